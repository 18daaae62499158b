/**
 * Milliseconds of a clock that nobody sets and that never goes back: what uptimes, windows and bounds are measured by. On
 * the wall clock a correction would forget crashes, or count old ones.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Read from this clock. */
export const of = (clock: Clock.Clock) => (): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)

/** Read now. */
export const now: Effect.Effect<number> = Clock.clockWith((clock) => Effect.succeed(of(clock)()))
