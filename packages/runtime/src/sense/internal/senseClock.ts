/**
 * The time that schedules go by: it never goes back, no one sets it, and it counts what the machine
 * slept. Beside it, how far the system's own time is ahead of it, for schedules that mean the calendar.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { SleepMeter } from "../SleepMeter.ts"

/** Sleep shorter than this is not told from what the two clocks differ by anyway. */
const LEAST_SLEEP_MS = 1_500

/** The system's time moves against ours by less all the time, as it is kept in step with others. */
const LEAST_SET_MS = 200

/** How often it is worth looking. Each look wakes a machine that may have nothing else to do, and reads a file. */
export const LOOK_EVERY_MS = 30_000

export interface SenseClock {
  /** Milliseconds, with fractions. */
  readonly now: () => number
  /** What must be added to such a time to have milliseconds since the Unix epoch, as of the last look. */
  readonly wallOffset: () => number
  /** A time of this clock in whole milliseconds since the Unix epoch: two of them are as far apart as they were. */
  readonly wallOf: (at: number) => number
  /** Looks whether the machine slept or its time was set, unless it did so lately. What it found, if anything. */
  readonly look: () => { readonly sleptMs: number; readonly isSet: boolean } | null
}

export const make: Effect.Effect<SenseClock> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const meter = yield* SleepMeter
  const awake = () => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
  const wall = () => clock.currentTimeMillisUnsafe()
  const upAt = meter.upMs()
  const awakeAt = awake()
  let slept = 0
  let lookedAt = awakeAt
  const now = () => awake() + slept
  let offset = aheadOf(now, wall)

  return {
    now,
    wallOf: (at) => Math.round(at + offset),
    wallOffset: () => offset,
    look: () => {
      const at = awake()
      if (at - lookedAt < LOOK_EVERY_MS) return null
      lookedAt = at
      const up = meter.upMs()
      const asleep = up === null || upAt === null ? slept : up - upAt - (at - awakeAt)
      const sleptMs = asleep - slept >= LEAST_SLEEP_MS ? asleep - slept : 0
      slept += sleptMs
      const ahead = aheadOf(now, wall)
      const isSet = Math.abs(ahead - offset) >= LEAST_SET_MS
      if (isSet) offset = ahead
      return sleptMs === 0 && !isSet ? null : { sleptMs, isSet }
    }
  }
})

/** Whoever is held up between two looks at two clocks finds them further apart than they are: the best of a few counts. */
const aheadOf = (now: () => number, wall: () => number): number => {
  let ahead = 0
  let heldUp = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < 3; attempt++) {
    const before = now()
    const between = wall()
    const took = now() - before
    if (took >= heldUp) continue
    heldUp = took
    ahead = between - before
  }
  return ahead
}
