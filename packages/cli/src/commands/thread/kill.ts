/**
 * `nerve thread kill ID`
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { Failed } from "../../output/Failed.ts"
import { show } from "../../output/Show.ts"
import { id, withThread } from "./withThread.ts"

export const kill = Command.make("kill", { id }, ({ id }) =>
  withThread(id, (client, threadId, { status }) =>
    Effect.gen(function* () {
      const isKilled = yield* client.KillThread({ threadId })
      if (!isKilled) return yield* new Failed({ message: `nerve: thread ${threadId} has ended already (${status})` })
      return yield* show({ threadId, killed: true }, () => `killed thread ${threadId}`)
    })
  )
).pipe(Command.withDescription("Kill a thread that is queued or runs"))
