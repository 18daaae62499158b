/** One timer for all senses, asleep until the earliest of them wants to be woken. */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as SenseClock from "./senseClock.ts"
import { WakeQueue } from "./wakeQueue.ts"

export interface WakeTimer<A> {
  /** Wakes the item at this time of the clock, and no more at the time it had; null for not at all. */
  readonly set: (item: A, at: number | null) => void
  /** Runs until it is interrupted. */
  readonly run: Effect.Effect<never>
}

/** `look` is called before each wake, at least every half minute. */
export const make = <A>(options: {
  readonly now: () => number
  readonly look: () => void
  readonly wake: (item: A) => void
}): WakeTimer<A> => {
  const { look, now, wake } = options
  const rearm = Latch.makeUnsafe()
  const wakes = new WakeQueue<A>()
  let armedAt = Number.POSITIVE_INFINITY
  return {
    set: (item, at) => {
      wakes.set(item, at)
      if (at !== null && at < armedAt) rearm.openUnsafe()
    },
    run: Effect.gen(function* () {
      while (true) {
        rearm.closeUnsafe()
        armedAt = Number.NEGATIVE_INFINITY
        look()
        for (const item of wakes.takeDue(now())) wake(item)
        armedAt = wakes.nextAt
        // Rounded up, since timers know whole milliseconds: a nap that ends too early would be wasted. No
        // nap is long, for a clock that stands still while the machine sleeps would prolong it.
        const nap = Math.min(SenseClock.LOOK_EVERY_MS, Math.max(0, Math.ceil(armedAt - now())))
        yield* Effect.timeoutOption(rearm.await, nap)
      }
    })
  }
}
