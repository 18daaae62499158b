/**
 * `nerve thread retry ID`
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { given } from "../../flags/Given.ts"
import { positive } from "../../flags/Time.ts"
import { show } from "../../output/Show.ts"
import { id, withThread } from "./withThread.ts"

export const retry = Command.make(
  "retry",
  {
    id,
    maxRounds: positive("max-rounds").pipe(
      Flag.withDescription("Rounds that it may have in all; as before unless told"),
      Flag.optional
    )
  },
  ({ id, maxRounds }) =>
    Effect.gen(function* () {
      const run = yield* withThread(id, (client, threadId) => client.RetryThread({ threadId, ...given({ maxRounds }) }))
      return yield* show(
        run,
        ({ rounds, status, threadId }) => `thread ${threadId} ${status}, goes on after round ${rounds}`
      )
    })
).pipe(Command.withDescription("Take up a thread that failed, crashed or was ended, after its last good round"))
