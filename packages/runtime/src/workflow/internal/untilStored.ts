/**
 * How the workflow manager insists on the log: what a worker has answered and what has ended must not
 * be lost to a full disk, so it is tried again until the store takes it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { LogStoreError } from "../../log/LogStore.ts"

/** Longest wait between two tries: short enough that a mended disk is noticed, long enough to read the log lines. */
const longestWait = Duration.seconds(10)

const backoff = Schedule.exponential("100 millis").pipe(
  Schedule.modifyDelay(({ duration }) => Effect.succeed(Duration.min(duration, longestWait)))
)

/**
 * Tries until the store did it, with a growing wait, logging each failure. An attempt is never cut in
 * half; the wait between two can be interrupted. Dies of an error that trying again does not mend.
 */
export const untilStored = <A>(attempt: Effect.Effect<A, LogStoreError>): Effect.Effect<A> =>
  Effect.uninterruptible(attempt).pipe(
    Effect.tapError((error) =>
      Effect.logError(`the log store failed${error.permanent === true ? "" : "; trying again"}: ${error.message}`)
    ),
    // The schedule has no end, so what is left is permanent.
    Effect.retry({ schedule: backoff, while: (error) => error.permanent !== true }),
    Effect.orDie
  )
