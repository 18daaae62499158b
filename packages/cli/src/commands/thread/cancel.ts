/**
 * `nerve thread cancel ID [--reason TEXT]`
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { reason } from "../../flags/Reason.ts"
import { Failed } from "../../output/Failed.ts"
import { show } from "../../output/Show.ts"
import { id, withThread } from "./withThread.ts"

export const cancel = Command.make(
  "cancel",
  {
    id,
    reason: reason("recorded with its end")
  },
  ({ id, reason }) =>
    Effect.gen(function* () {
      const cancelled = yield* withThread(id, (client, threadId) =>
        Effect.map(client.CancelThread({ threadId, reason }), (cancelled) => ({ threadId, cancelled }))
      )
      if (!cancelled.cancelled) {
        return yield* new Failed({ message: `nerve: thread ${cancelled.threadId} has ended already` })
      }
      return yield* show(cancelled, ({ threadId }) => `cancelled thread ${threadId}`)
    })
).pipe(Command.withDescription("End a thread as interrupted, with a reason; its role is stopped at once"))
