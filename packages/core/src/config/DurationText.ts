/**
 * Durations as people write them in `nerve.yaml` and on the command line: a whole number and a unit,
 * `500ms`, `5s`, `10m`, `1h`, `1d` (S9). There is one way to write each: no bare numbers (which unit
 * would they be in?), no fractions, no sums. What is refused comes with the spelling that was
 * probably meant. Pure.
 */
import * as Result from "effect/Result"

/** Milliseconds per unit, largest first. */
const units = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const
type Unit = keyof typeof units
const unitNames: ReadonlyArray<Unit> = ["d", "h", "m", "s", "ms"]

/** Other spellings of the units. They are not accepted, only understood. */
const unitWords: ReadonlyArray<readonly [words: RegExp, milliseconds: number]> = [
  [/^(?:ms|msecs?|millis?|milliseconds?)$/, units.ms],
  [/^(?:s|secs?|seconds?)$/, units.s],
  [/^(?:m|mins?|minutes?)$/, units.m],
  [/^(?:h|hrs?|hours?)$/, units.h],
  [/^(?:d|days?)$/, units.d],
  [/^(?:w|wks?|weeks?)$/, 7 * units.d]
]

/** Why a text is no duration, and how it was probably meant. */
export interface Invalid {
  /** A sentence part that follows the text: `has no unit`. */
  readonly reason: string
  /** A valid duration; null when there is no good guess. */
  readonly suggestion: string | null
}

/** What a duration looks like, for messages. */
export const expected = "a duration such as 500ms, 5s, 10m, 1h or 1d"

const invalid = (reason: string, suggestion: string | null = null) => Result.fail<Invalid>({ reason, suggestion })

/** Milliseconds of a duration, from 0 to `Number.MAX_SAFE_INTEGER`. */
export const parse = (text: string): Result.Result<number, Invalid> => {
  const match = /^(\d+)(ms|s|m|h|d)$/.exec(text)
  if (match === null) return explain(text)
  const milliseconds = Number(match[1]) * unitOf(match[2])
  return Number.isSafeInteger(milliseconds) ? Result.succeed(milliseconds) : invalid("is too long a time")
}

/** The shortest way to write a whole number of milliseconds: 90 000 is `90s`, 3 600 000 is `1h`. */
export const format = (milliseconds: number): string => {
  const unit = milliseconds === 0 ? "s" : (unitNames.find((name) => milliseconds % units[name] === 0) ?? "ms")
  return `${milliseconds / units[unit]}${unit}`
}

const unitOf = (text: string | undefined): number => units[unitNames.find((name) => name === text) ?? "ms"]

/** Finds the reason for a refusal, and reads the text as a person would for the suggestion. */
const explain = (text: string): Result.Result<number, Invalid> => {
  const trimmed = text.trim().toLowerCase()
  // Nothing longer is a duration; it also keeps the patterns below from running over megabytes.
  if (trimmed === "" || trimmed.length > 40) return invalid("is not a duration")
  if (/^[-+]?[\d._]+$/.test(trimmed)) return invalid("has no unit", guessUnit(Number(trimmed.replaceAll("_", ""))))
  if (trimmed.startsWith("-")) return invalid("is less than no time")
  return invalid("is not a duration", guess(trimmed))
}

/** A bare number is meant as seconds when it is small, as milliseconds when it is large. */
const guessUnit = (value: number): string | null => {
  if (!Number.isFinite(value) || value < 0) return null
  return asDuration(value < 1_000 ? value * units.s : value)
}

/** Sum of all `<number><word>` parts, when the text is made of nothing else. */
const guess = (text: string): string | null => {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/g)]
  const rest = text.replace(/(\d+(?:\.\d+)?)\s*([a-z]+)/g, "").replace(/[\s,]|and/g, "")
  if (parts.length === 0 || rest !== "") return null
  let total = 0
  for (const [, amount, word] of parts) {
    const unit = unitWords.find(([words]) => words.test(word ?? ""))
    if (unit === undefined) return null
    total += Number(amount) * unit[1]
  }
  return asDuration(total)
}

const asDuration = (milliseconds: number): string | null => {
  const rounded = Math.round(milliseconds)
  return Number.isSafeInteger(rounded) ? format(rounded) : null
}
