/** What a proof is: a long form of a test, run by hand, that ends with figures. */
import type { Effect } from "effect"

export interface Settings {
  /** How often, in the proof's own unit. */
  readonly times: number
  /** A run with the same seed does the same. */
  readonly seed: number
  /** Told how it goes. */
  readonly say: (line: string) => void
}

export interface Figures {
  /** Whether everything that it asserts held. */
  readonly ok: boolean
  readonly [name: string]: unknown
}

export interface Proof {
  readonly what: string
  /** What `times` counts, and how many there are unless told. */
  readonly unit: string
  readonly times: number
  readonly run: (settings: Settings) => Effect.Effect<Figures>
}

/** A small generator of its own, so that a run can be repeated from its seed. */
export const randomOf = (seed: number): ((below: number) => number) => {
  let state = seed >>> 0
  return (below) => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** The p-th part of the values, 0 to 1; 0 when there are none. */
export const quantile = (values: ReadonlyArray<number>, p: number): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? 0
}
