/**
 * Times and spans for people. Pure: now is an argument.
 */

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** `0.4 s`, `12 s`, `3 min`, `2 h 5 min`, `4 d 3 h`. Negative spans count as none. */
export const span = (milliseconds: number): string => {
  const ms = Math.max(0, milliseconds)
  if (ms < 10 * second) return `${Number((ms / second).toFixed(1))} s`
  if (ms < minute) return `${Math.floor(ms / second)} s`
  if (ms < hour) return withRest(ms, minute, "min", second, "s", 5)
  if (ms < day) return withRest(ms, hour, "h", minute, "min", 24)
  return withRest(ms, day, "d", hour, "h", 7)
}

/** The smaller unit is told only while the larger one is small. */
const withRest = (ms: number, unit: number, name: string, rest: number, restName: string, below: number): string => {
  const whole = Math.floor(ms / unit)
  const part = Math.floor((ms % unit) / rest)
  return whole < below && part > 0 ? `${whole} ${name} ${part} ${restName}` : `${whole} ${name}`
}

/** `12 ms`, and from a second on as `span`. */
export const brief = (milliseconds: number): string =>
  milliseconds < second ? `${Math.max(0, Math.round(milliseconds))} ms` : span(milliseconds)

/** `12 s ago`, `in 3 min`, `now`; `-` for never. */
export const relative = (at: number | null, now: number): string => {
  if (at === null) return "-"
  if (Math.abs(now - at) < second) return "now"
  return at < now
    ? `${span(Math.floor((now - at) / second) * second)} ago`
    : `in ${span(Math.ceil((at - now) / second) * second)}`
}

/** `14:03:09` in the time zone given, the machine's own unless told. */
export const clock = (at: number, timeZone?: string): string =>
  Math.abs(at) <= farthest ? formatter(timeZone).format(at) : "--:--:--"

/** `14:03:09` on the day of `now`, else `2026-02-28 14:03:09`, in the machine's own time zone unless told. */
export const moment = (at: number, now: number, timeZone?: string): string => {
  if (Math.abs(at) > farthest) return "-"
  const [date, time] = dated(at, timeZone)
  return date === dated(now, timeZone)[0] ? time : `${date} ${time}`
}

const dated = (at: number, timeZone: string | undefined): readonly [date: string, time: string] => {
  // The Swedish way to write a date is the one that sorts.
  const text = datedFormatter(timeZone).format(at)
  return [text.slice(0, 10), text.slice(11)]
}

const datedFormatters = new Map<string | undefined, Intl.DateTimeFormat>()

const datedFormatter = (timeZone: string | undefined): Intl.DateTimeFormat => {
  const known = datedFormatters.get(timeZone)
  if (known !== undefined) return known
  const made = new Intl.DateTimeFormat("sv-SE", {
    dateStyle: "short",
    timeStyle: "medium",
    ...(timeZone === undefined ? {} : { timeZone })
  })
  datedFormatters.set(timeZone, made)
  return made
}

/** The last moment that a date can express, in milliseconds from 1970. */
const farthest = 8.64e15

const formatters = new Map<string | undefined, Intl.DateTimeFormat>()

/** Making one takes milliseconds, using it microseconds. */
const formatter = (timeZone: string | undefined): Intl.DateTimeFormat => {
  const known = formatters.get(timeZone)
  if (known !== undefined) return known
  const made = new Intl.DateTimeFormat("en-GB", {
    timeStyle: "medium",
    ...(timeZone === undefined ? {} : { timeZone })
  })
  formatters.set(timeZone, made)
  return made
}
