/**
 * A circuit breaker for restarts (L4). Crashes within a sliding window are counted; at the limit the
 * breaker opens and nothing is started for a while; then one trial start tells whether it closes.
 *
 * ```
 * Closed ─the max-th crash within the window─► Open ─cooldown over─► HalfOpen ─trial stays up─► Closed
 *                                               ▲                       │ crash
 *                                               └───────────────────────┘        reset: Closed, from any
 * ```
 *
 * Pure: time is an argument, in milliseconds. A supervisor uses the machine for all its children;
 * `RespawnPolicy.circuitBreaker` uses it for one worker or key.
 */
import * as Duration from "effect/Duration"

/** Bounds of a breaker, in milliseconds. */
export interface CircuitBreaker {
  /** The crash that opens it: the `max`-th within the window. At least 1. */
  readonly max: number
  /** Length of the sliding window. */
  readonly withinMs: number
  /** How long it stays open. */
  readonly cooldownMs: number
  /** How long a trial must stay up to close it. */
  readonly trialMs: number
}

/**
 * A breaker that opens at the `max`-th crash `within` a sliding window, stays open for `cooldown`, and
 * closes when a trial has stayed up for `trial` (as long as the cooldown unless told).
 */
export const make = (options: {
  readonly max: number
  readonly within: Duration.Input
  readonly cooldown: Duration.Input
  readonly trial?: Duration.Input
}): CircuitBreaker => {
  const millis = (duration: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(duration))
  return {
    max: Math.max(1, options.max),
    withinMs: millis(options.within),
    cooldownMs: millis(options.cooldown),
    trialMs: millis(options.trial ?? options.cooldown)
  }
}

export type State =
  /** `crashes`: the times of those within the window. */
  | { readonly _tag: "Closed"; readonly crashes: ReadonlyArray<number> }
  | { readonly _tag: "Open"; readonly until: number }
  | { readonly _tag: "HalfOpen" }

export const closed: State = { _tag: "Closed", crashes: [] }

const open = (breaker: CircuitBreaker, now: number): State => ({ _tag: "Open", until: now + breaker.cooldownMs })

/** A crash has happened. While open, another one changes nothing; in the trial it opens the breaker again. */
export const crashed = (breaker: CircuitBreaker, state: State, now: number): State => {
  switch (state._tag) {
    case "Closed": {
      const crashes = within(state.crashes, now, breaker.withinMs)
      return crashes.length >= breaker.max ? open(breaker, now) : { _tag: "Closed", crashes }
    }
    case "Open":
      return state
    case "HalfOpen":
      return open(breaker, now)
  }
}

/** Time has passed: an open breaker whose cooldown is over is half open. */
export const elapsed = (state: State, now: number): State =>
  state._tag === "Open" && now >= state.until ? { _tag: "HalfOpen" } : state

/** The trial has stayed up. */
export const passed = (state: State): State => (state._tag === "HalfOpen" ? closed : state)

/** The crashes that lie within the window that ends now, this one included. */
export const within = (crashes: ReadonlyArray<number>, now: number, withinMs: number): ReadonlyArray<number> => [
  ...crashes.filter((at) => now - at < withinMs),
  now
]
