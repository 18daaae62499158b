/**
 * How long a process may take until it is ready (R8). A bound that passed while this process stood still says
 * nothing, for what the worker has said meanwhile lies unread in its pipe: it begins anew.
 */
import * as Heartbeat from "@nerve/core/supervision/Heartbeat"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as monotonic from "./monotonic.ts"

/** Waits until the bound has passed. */
export const passed = (timeoutMs: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    const now = monotonic.of(yield* Clock.Clock)
    for (;;) {
      const due = now() + timeoutMs
      yield* Effect.sleep(timeoutMs)
      if (now() <= due + Heartbeat.stallMs) return
    }
  })
