/**
 * How long the machine has been up, its sleep included: by this a daemon learns that it slept, since
 * the clock by which it waits stands still meanwhile. The default knows of no sleep.
 */
import * as Context from "effect/Context"

export interface SleepMeter {
  /** Milliseconds since some moment in the past, which never go back; null when nobody can tell. */
  readonly upMs: () => number | null
}

export const SleepMeter = Context.Reference<SleepMeter>("@nerve/runtime/sense/SleepMeter", {
  defaultValue: () => ({ upMs: () => null })
})
