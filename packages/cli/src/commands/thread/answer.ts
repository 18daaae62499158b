/**
 * `nerve thread answer ID --approve | --reject`: answers what a thread waits for.
 */
import * as Command from "effect/cli/Command"
import * as CliError from "effect/cli/CliError"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { userInfo } from "node:os"
import { given } from "../../flags/Given.ts"
import { json } from "../../flags/Json.ts"
import { reason } from "../../flags/Reason.ts"
import { show } from "../../output/Show.ts"
import { id, withThread } from "./withThread.ts"

/** Who sits at the terminal; a system may not know. */
const user = Effect.orElseSucceed(
  Effect.try(() => userInfo().username),
  () => "somebody"
)

export const answer = Command.make(
  "answer",
  {
    id,
    approve: Flag.Boolean("approve").pipe(Flag.withDescription("Say yes"), Flag.withDefault(false)),
    reject: Flag.Boolean("reject").pipe(Flag.withDescription("Say no"), Flag.withDefault(false)),
    reason: reason("recorded with the answer"),
    answer: json("answer").pipe(
      Flag.withDescription("What the thread asks for besides yes, as JSON; `thread inspect` shows its schema"),
      Flag.optional
    ),
    by: Flag.String("by").pipe(
      Flag.withMetavar("NAME"),
      Flag.withDescription("Who answers; the user of the terminal unless told"),
      Flag.optional
    )
  },
  ({ answer, approve, by, id, reason, reject }) =>
    Effect.gen(function* () {
      if (approve === reject) {
        return yield* new CliError.InvalidValue({
          option: "approve",
          value: approve ? "with --reject" : "without --reject",
          expected: "either --approve or --reject",
          kind: "flag"
        })
      }
      const name = yield* Option.match(by, { onNone: () => user, onSome: Effect.succeed })
      const run = yield* withThread(id, (client, threadId) =>
        client.AnswerThread({
          threadId,
          decision: approve ? "approved" : "rejected",
          by: name,
          reason,
          ...given({ answer })
        })
      )
      return yield* show(run, ({ threadId }) => `${approve ? "approved" : "rejected"}; thread ${threadId} goes on`)
    })
).pipe(Command.withDescription("Answer what a thread waits for"))
