/**
 * Flags for spans and points of time. A mistake is a usage mistake (exit code 2).
 */
import * as DurationText from "@nerve/core/config/DurationText"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import * as Result from "effect/Result"

/** `60s`, `10m`, as in nerve.yaml; milliseconds. */
export const duration = (name: string): Flag.Flag<number> =>
  Flag.String(name).pipe(
    Flag.withMetavar("DURATION"),
    Flag.filterMap(
      (text) => Result.getSuccess(DurationText.parse(text)),
      (text) => {
        const suggestion = Result.match(DurationText.parse(text), {
          onFailure: (invalid) => invalid.suggestion,
          onSuccess: () => null
        })
        const meant = suggestion === null ? "" : `; did you mean ${suggestion}?`
        return `${DurationText.expected}${meant}`
      }
    )
  )

/** How long ago, or at which moment. */
export type Since =
  | { readonly _tag: "Ago"; readonly milliseconds: number }
  | { readonly _tag: "At"; readonly milliseconds: number }

/** `10m` (ago), or `2026-02-28`, `2026-02-28T14:00:00Z`. Pure. */
export const parseSince = (text: string): Option.Option<Since> => {
  const ago = DurationText.parse(text)
  if (Result.isSuccess(ago)) return Option.some({ _tag: "Ago", milliseconds: ago.success })
  // Only forms that start with a full date: Date.parse would take "1" for a month.
  const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(at) ? Option.none() : Option.some({ _tag: "At", milliseconds: at })
}

/** Milliseconds since the Unix epoch. */
export const resolveSince = (since: Since, now: number): number =>
  since._tag === "Ago" ? now - since.milliseconds : since.milliseconds

/** A point of time in the past. */
export const since = (name: string): Flag.Flag<Since> =>
  Flag.String(name).pipe(
    Flag.withMetavar("TIME"),
    Flag.filterMap(parseSince, () => "a duration such as 10m, or a date such as 2026-02-28T14:00:00Z")
  )

/** A count from 1 up. */
export const positive = (name: string): Flag.Flag<number> =>
  Flag.Int(name).pipe(
    Flag.withMetavar("N"),
    Flag.filter(
      (value) => value >= 1,
      () => "a whole number from 1 up"
    )
  )
