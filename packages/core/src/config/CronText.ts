/**
 * Cron expressions as people write them in `nerve.yaml`: `minute hour day month weekday`, optionally
 * with seconds in front. Effect's `Cron` reads them; this module says which field is at fault, refuses
 * those that never come, and knows the nicknames (`@daily`) well enough to write them out. Pure.
 */
import * as Cron from "effect/Cron"
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Suggest from "./Suggest.ts"

/** Why a text is no cron expression, and how it was probably meant. */
export interface Invalid {
  /** A sentence part that follows the text: `has 4 fields`. */
  readonly reason: string
  /** A valid expression or time zone; null when there is no good guess. */
  readonly suggestion: string | null
}

/** What a cron expression looks like, for messages. */
export const expected = 'a cron expression such as "0 3 * * 1-5": minute, hour, day, month, weekday; seconds may lead'

/** What a time zone looks like, for messages. */
export const zoneExpected = "a time zone such as Europe/Berlin, UTC or +02:00"

const fields = [
  { name: "second", range: "0-59" },
  { name: "minute", range: "0-59" },
  { name: "hour", range: "0-23" },
  { name: "day", range: "1-31" },
  { name: "month", range: "1-12 or jan-dec" },
  { name: "weekday", range: "0-7 or sun-sat" }
] as const

/** Other systems' nicknames. They are not accepted, only understood. */
const nicknames: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *"
}

/** Nothing longer is meant to be read by anyone. */
const longest = 200

const invalid = (reason: string, suggestion: string | null = null) => Result.fail<Invalid>({ reason, suggestion })

/** The schedule of an expression, in the machine's own time zone when `timeZone` is null. */
export const parse = (text: string, timeZone: string | null): Result.Result<Cron.Cron, Invalid> => {
  const trimmed = text.trim()
  const nickname = nicknames[trimmed.toLowerCase()]
  if (nickname !== undefined) return invalid("is a nickname", nickname)
  const parts = trimmed === "" || trimmed.length > longest ? [] : trimmed.split(/\s+/)
  if (parts.length !== 5 && parts.length !== 6) {
    return invalid(
      parts.length === 0
        ? "is not a cron expression"
        : `has ${parts.length === 1 ? "1 field" : `${parts.length} fields`}`,
      parts.length === 4 ? [...parts, "*"].join(" ") : null
    )
  }
  const own = parts.length === 5 ? fields.slice(1) : fields
  for (const [index, field] of own.entries()) {
    const part = parts[index] ?? ""
    // Alone among fields that allow everything: whatever is wrong is wrong with it.
    const alone = own.map((_, other) => (other === index ? part : "*")).join(" ")
    if (Result.isFailure(Cron.parse(alone))) {
      return invalid(`has ${JSON.stringify(part)} as its ${field.name}, which is not within ${field.range}`)
    }
  }
  return Result.flatMap(
    Result.mapError(Cron.parse(trimmed, timeZone ?? undefined), ({ message }): Invalid => ({
      reason: `cannot be read: ${message}`,
      suggestion: null
    })),
    (cron) => (Option.isNone(nextAfter(cron, someMoment)) ? invalid("never comes") : Result.succeed(cron))
  )
}

/** Whether the expression can be read; for checks of what does not come from a file. */
export const isValid = (text: string, timeZone: string | null): boolean =>
  (timeZone === null || Result.isSuccess(parseZone(timeZone))) && Result.isSuccess(parse(text, timeZone))

/** The name of a time zone, or an offset from UTC. */
export const parseZone = (text: string): Result.Result<string, Invalid> =>
  text.length <= 64 && Option.isSome(DateTime.zoneFromString(text))
    ? Result.succeed(text)
    : invalid("is not a time zone", Suggest.nearest(text.replaceAll(" ", "_"), Intl.supportedValuesOf("timeZone")))

/**
 * The first moment of the schedule after `at`, both in milliseconds since the Unix epoch. None for one
 * that never comes, such as the 30th of February.
 */
export const nextAfter = (cron: Cron.Cron, at: number): Option.Option<number> =>
  // Effect's search throws when it finds nothing.
  Option.map(Option.liftThrowable(() => Cron.next(cron, at))(), (date) => date.getTime())

/** Any moment will do to see whether a schedule comes at all: the search spans decades. */
const someMoment = Date.UTC(2026, 0, 1)
