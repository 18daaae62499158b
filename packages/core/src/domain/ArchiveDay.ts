/**
 * Which UTC day of the archive an entry belongs to. Pure.
 *
 * Files follow the order of ids, and clocks step: an entry whose time lies before the day being filled
 * goes into that day all the same, and one from the future (a clock that was wrong) starts no day.
 */
import * as DateTime from "effect/DateTime"

/** Milliseconds of a UTC day. */
export const DAY = 86_400_000

/** Start of the UTC day of a point of time, both in milliseconds since the Unix epoch. */
export const startOf = (timestamp: number): number => Math.floor(timestamp / DAY) * DAY

/** `2026-02-28` */
export const nameOf = (day: number): string => DateTime.formatIsoDateUtc(DateTime.makeUnsafe(day))

/** Start of the day that begins with an entry of this time, when `last` (or none) was the day before. */
export const first = (timestamp: number, last: number | null): number =>
  last === null ? startOf(timestamp) : Math.max(startOf(timestamp), last + DAY)

/** Whether an entry that follows in the log still belongs to the day that started at `day`. */
export const belongs = (timestamp: number, day: number, now: number): boolean =>
  timestamp < day + DAY || timestamp > now

/** Whether the whole day is older than `age` milliseconds. */
export const isCold = (day: number, now: number, age: number): boolean => day + DAY + age <= now

/** Start of the day that `nameOf` named so. */
export const parse = (name: string): number => DateTime.makeUnsafe(`${name}T00:00:00Z`).epochMilliseconds
