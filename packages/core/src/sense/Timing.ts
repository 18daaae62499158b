/**
 * Where a sense's ticks lie: on a fixed grid from its start (interval), or at times of the calendar
 * (cron). Pure; times are milliseconds of a clock that never goes back, and `wallOffset` is what must
 * be added to such a time to have milliseconds since the Unix epoch.
 *
 * An interval's grid does not know the calendar, so that setting the system's time does not move it. A
 * cron's ticks do: they are kept as times of the calendar, and `clockSet` says what setting it does.
 */
import * as Cron from "effect/Cron"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import * as CronText from "../config/CronText.ts"
import type { SenseConfig } from "../config/NerveConfig.ts"
import type { SenseName } from "../domain/Ids.ts"

export type Timing =
  /** Milliseconds from tick to tick. */
  { readonly _tag: "Interval"; readonly everyMs: number } | { readonly _tag: "Cron"; readonly cron: Cron.Cron }

/** Where the ticks have come to. */
export type Ticks =
  /** The next tick. */
  | { readonly _tag: "Interval"; readonly at: number }
  /** The next tick since the Unix epoch; `Infinity` when there is none within the calendar. */
  | { readonly _tag: "Cron"; readonly wallAt: number }

/** Ticks that lie behind. */
export interface Passed {
  /** How many; of a cron's, no more than `COUNTED` are counted. */
  readonly count: number
  /** When the first of them was due. */
  readonly first: number
  /** When the second was, if there are two; else as the first. */
  readonly second: number
  /** When the latest of them were due, as many as were asked for, the oldest first. */
  readonly latest: ReadonlyArray<number>
  readonly ticks: Ticks
}

/** Ticks of a cron that are counted when a long time has passed: each takes a search in the calendar. */
export const COUNTED = 1_000

/** A jump back of the system's time by more than this is a correction, not a twice-told hour. */
const CORRECTION_MS = 3 * 3_600_000

export const interval = (everyMs: number): Timing => ({ _tag: "Interval", everyMs })

export const cron = (cron: Cron.Cron): Timing => ({ _tag: "Cron", cron })

/** Null for a sense that only triggers start. */
export const ofConfig = (config: Pick<SenseConfig, "cron" | "intervalMs">): Timing | null => {
  if (config.intervalMs !== null) return interval(config.intervalMs)
  if (config.cron === null) return null
  // The configuration's schema has read it once already.
  return cron(Cron.parseUnsafe(config.cron.expression, config.cron.timeZone ?? undefined))
}

export const causeOf = (timing: Timing): { readonly _tag: "Interval" } | { readonly _tag: "Cron" } =>
  timing._tag === "Interval" ? intervalCause : cronCause

const intervalCause = { _tag: "Interval" } as const
const cronCause = { _tag: "Cron" } as const

export const equals = (left: Timing | null, right: Timing | null): boolean => {
  if (left === null || right === null) return left === right
  if (left._tag === "Interval") return right._tag === "Interval" && left.everyMs === right.everyMs
  return right._tag === "Cron" && Cron.equals(left.cron, right.cron)
}

/**
 * Within how many milliseconds of the start the first tick of an interval comes: a tenth of it, but
 * at least a second and at most half a minute, and never more than the interval itself.
 */
export const spreadMs = (everyMs: number): number => Math.min(everyMs, Math.max(1_000, Math.min(30_000, everyMs / 10)))

/**
 * The ticks of a sense that starts now. Those of an interval start spread by name, so that a hundred
 * senses of one interval do not all fire in the same instant, now and ever after; a cron means its times
 * to the second, and is not spread.
 */
export const start = (timing: Timing | null, name: SenseName, now: number, wallOffset: number): Ticks | null => {
  if (timing === null) return null
  return timing._tag === "Interval"
    ? { _tag: "Interval", at: now + spread(name, spreadMs(timing.everyMs)) }
    : cronAfter(timing.cron, now + wallOffset)
}

/** When the next tick is due. */
export const nextAt = (ticks: Ticks, wallOffset: number): number =>
  ticks._tag === "Interval" ? ticks.at : ticks.wallAt - wallOffset

/** Takes the ticks that are due by now, of which there must be one; `keep` at most are told one by one. */
export const pass = (timing: Timing, ticks: Ticks, now: number, wallOffset: number, keep: number): Passed => {
  if (timing._tag === "Interval" && ticks._tag === "Interval") {
    const { everyMs } = timing
    const count = Math.floor((now - ticks.at) / everyMs) + 1
    const told = Math.min(count, keep)
    const latest = Array.from({ length: told }, (_, index) => ticks.at + (count - told + index) * everyMs)
    const second = count === 1 ? ticks.at : ticks.at + everyMs
    return { count, first: ticks.at, second, latest, ticks: { _tag: "Interval", at: ticks.at + count * everyMs } }
  }
  if (timing._tag === "Cron" && ticks._tag === "Cron") return passCron(timing.cron, ticks.wallAt, now, wallOffset, keep)
  // Whoever changes the timing starts its ticks anew.
  return { count: 1, first: now, second: now, latest: [now], ticks }
}

const passCron = (cron: Cron.Cron, wallAt: number, now: number, wallOffset: number, keep: number): Passed => {
  const wallNow = now + wallOffset
  const walls = [wallAt]
  let ticks = cronAfter(cron, wallAt)
  while (ticks.wallAt <= wallNow && walls.length < COUNTED) {
    walls.push(ticks.wallAt)
    ticks = cronAfter(cron, ticks.wallAt)
  }
  return {
    count: walls.length,
    first: wallAt - wallOffset,
    second: (walls[1] ?? wallAt) - wallOffset,
    latest: walls.slice(-keep).map((wall) => wall - wallOffset),
    ticks: ticks.wallAt <= wallNow ? cronAfter(cron, wallNow) : ticks
  }
}

/**
 * The ticks after the system's time was set. Forward: what lies between is behind us, as after a sleep.
 * Back by a little: times that come again do not count again. Back by more: the calendar starts anew.
 */
export const clockSet = (timing: Timing, ticks: Ticks, now: number, wallOffset: number): Ticks => {
  if (timing._tag !== "Cron" || ticks._tag !== "Cron") return ticks
  const fresh = cronAfter(timing.cron, now + wallOffset)
  return ticks.wallAt - fresh.wallAt > CORRECTION_MS ? fresh : ticks
}

const cronAfter = (cron: Cron.Cron, wall: number): Ticks & { readonly _tag: "Cron" } => ({
  _tag: "Cron",
  wallAt: Option.getOrElse(CronText.nextAfter(cron, wall), () => Number.POSITIVE_INFINITY)
})

/** From 0 to below `within`, evenly over names, the same for a name each time. */
const spread = (name: SenseName, within: number): number => {
  // The hash of similar names is similar in its lower digits: a golden-ratio step scatters them.
  const scattered = (Math.imul(Hash.string(name), 0x9e3779b1) >>> 0) / 2 ** 32
  return Math.floor(scattered * within)
}
