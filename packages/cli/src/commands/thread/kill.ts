/**
 * `nerve thread kill ID`
 */
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../../flags/Global.ts"
import { findThread } from "../../history/findThread.ts"
import * as History from "../../history/History.ts"
import { Failed } from "../../output/Failed.ts"
import { show } from "../../output/Show.ts"

export const kill = Command.make(
  "kill",
  {
    id: Argument.String("id").pipe(Argument.withDescription("Id of the thread, or a unique beginning of it"))
  },
  ({ id }) =>
    Effect.gen(function* () {
      yield* ControlClient.use(yield* Global.workspace, (client) =>
        Effect.gen(function* () {
          const run = yield* findThread(History.ofClient(client), id)
          const isKilled = yield* client.KillThread({ threadId: run.threadId })
          if (!isKilled) {
            return yield* new Failed({ message: `nerve: thread ${run.threadId} has ended already (${run.status})` })
          }
          return yield* show({ threadId: run.threadId, killed: true }, ({ threadId }) => `killed thread ${threadId}`)
        })
      )
    })
).pipe(Command.withDescription("Kill a thread that is queued or runs"))
