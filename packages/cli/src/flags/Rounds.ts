/**
 * The flags that say which rounds of a thread to show, and the note on what is left out.
 */
import type { ThreadDetail } from "@nerve/core/wire/ControlRpcs"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Wanted } from "../history/roundsOf.ts"
import * as Output from "../output/Output.ts"
import { positive } from "./Time.ts"

export const flags = {
  from: positive("from").pipe(Flag.withDescription("The first round to show, 1 unless told"), Flag.withDefault(1)),
  limit: positive("limit").pipe(Flag.withAlias("n"), Flag.withDescription("At most so many rounds"), Flag.optional),
  characters: positive("characters").pipe(
    Flag.withDescription("Whole rounds up to so many characters, but one in any case"),
    Flag.optional
  )
}

export const wanted = (given: {
  readonly from: number
  readonly limit: Option.Option<number>
  readonly characters: Option.Option<number>
}): Wanted => ({
  from: given.from,
  limit: Option.getOrElse(given.limit, () => Infinity),
  characters: Option.getOrElse(given.characters, () => Infinity)
})

/** Says which rounds these are, where they are not all. */
export const note = ({ messages, run }: ThreadDetail) => {
  const first = messages[0]?.round
  const last = messages.at(-1)?.round
  if (first === undefined || last === undefined || messages.length >= run.rounds) return Effect.void
  const which = first === last ? `round ${first}` : `rounds ${first} to ${last}`
  return Output.note(`${which} of ${run.rounds}${last < run.rounds ? `; go on with --from ${last + 1}` : ""}`)
}
