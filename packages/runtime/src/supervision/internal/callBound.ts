/**
 * The bound of a call. One that passed while this process stood still (SIGSTOP, a suspend, a blocked event loop) says
 * nothing yet: an answer that has come meanwhile lies unread in its pipe, and is given the time to be read.
 */
import * as Heartbeat from "@nerve/core/supervision/Heartbeat"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as monotonic from "./monotonic.ts"

/** After standing still, how long answers that have come meanwhile may take to be read. */
export const stallGraceMs = 1000

/** Waits until the bound has passed. */
const passed = (timeoutMs: number): Effect.Effect<void> =>
  Clock.clockWith((clock) => {
    const now = monotonic.of(clock)
    const sleep = (ms: number): Effect.Effect<void> => {
      const due = now() + ms
      return Effect.flatMap(Effect.sleep(ms), () =>
        now() > due + Heartbeat.stallMs ? sleep(stallGraceMs) : Effect.void
      )
    }
    return sleep(timeoutMs)
  })

/** What it gives, or the failure of `orElse` when the bound has passed before that. */
export const within = <A, E, E2>(
  self: Effect.Effect<A, E>,
  timeoutMs: number,
  orElse: () => E2
): Effect.Effect<A, E | E2> =>
  Effect.raceFirst(
    self,
    Effect.flatMap(passed(timeoutMs), () => Effect.fail(orElse()))
  )
