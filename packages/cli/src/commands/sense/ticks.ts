/**
 * `nerve sense ticks NAME`
 */
import { TickOutcome } from "@nerve/core/domain/Tick"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { given } from "../../flags/Given.ts"
import * as Global from "../../flags/Global.ts"
import { positive } from "../../flags/Time.ts"
import * as History from "../../history/History.ts"
import { latestTicks } from "../../history/latest.ts"
import * as Output from "../../output/Output.ts"
import { show } from "../../output/Show.ts"
import * as SenseViews from "../../render/SenseViews.ts"

export const ticks = Command.make(
  "ticks",
  {
    name: Argument.String("name").pipe(Argument.withDescription("Name of the sense")),
    outcome: Flag.Literals("outcome", TickOutcome.literals).pipe(
      Flag.withDescription("Only ticks that came to this"),
      Flag.optional
    ),
    limit: positive("limit").pipe(
      Flag.withAlias("n"),
      Flag.withDescription("At most so many, the newest"),
      Flag.withDefault(20)
    )
  },
  ({ limit, name, outcome }) =>
    Effect.gen(function* () {
      const query = { sense: name, ...given({ outcome }) }
      const found = yield* History.use(yield* Global.workspace, (history) => latestTicks(history, query, limit))
      if (found.length === 0)
        yield* Output.note(`no ticks of ${name}${Option.isSome(outcome) ? " that came to that" : ""}`)
      return yield* show(found, SenseViews.ticks)
    })
).pipe(Command.withDescription("What became of a sense's latest ticks, newest first"))
