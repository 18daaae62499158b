/**
 * `nerve thread fork ID [--round N]`: a new thread that begins with the first rounds of another.
 */
import type { Forked } from "@nerve/core/wire/ControlRpcs"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { given } from "../../flags/Given.ts"
import { json } from "../../flags/Json.ts"
import { positive } from "../../flags/Time.ts"
import { Failed } from "../../output/Failed.ts"
import * as Output from "../../output/Output.ts"
import { show } from "../../output/Show.ts"
import { id, withThread } from "./withThread.ts"

const warning = ({ rerun }: Forked): string =>
  `these roles spoke after the fork's point, and their effects may happen again: ${rerun.join(", ")}`

export const fork = Command.make(
  "fork",
  {
    id,
    round: Flag.Int("round").pipe(
      Flag.withMetavar("N"),
      Flag.filter(
        (value) => value >= 0,
        () => "a whole number from 0 up"
      ),
      Flag.withDescription("Last round that is copied, 0 for none; all unless told"),
      Flag.optional
    ),
    content: Flag.String("content").pipe(
      Flag.withMetavar("TEXT"),
      Flag.withDescription("Replaces what that round says"),
      Flag.optional
    ),
    meta: json("meta").pipe(Flag.withDescription("Replaces the meta of that round"), Flag.optional),
    prompt: Flag.String("prompt").pipe(
      Flag.withAlias("p"),
      Flag.withMetavar("TEXT"),
      Flag.withDescription("Replaces the prompt"),
      Flag.optional
    ),
    maxRounds: positive("max-rounds").pipe(
      Flag.withDescription("End the new thread after this many rounds"),
      Flag.optional
    )
  },
  ({ content, id, maxRounds, meta, prompt, round }) =>
    Effect.gen(function* () {
      const forked = yield* withThread(id, (client, threadId) =>
        client.ForkThread({ threadId, ...given({ round, content, meta, prompt, maxRounds }) })
      )
      if (forked.rerun.length > 0) yield* Output.note(warning(forked))
      yield* show(forked, ({ status, threadId }) => `thread ${threadId} ${status}`)
      if (forked.status === "dropped") {
        return yield* new Failed({ message: "nerve: the workflow has no room for another thread: it was dropped" })
      }
    })
).pipe(Command.withDescription("Start a new thread from the first rounds of another, which is left as it is"))
