/**
 * When, and whether, a crashed worker is started again: a `Schedule` that the supervisor steps once
 * per crash. What it yields is the delay before the next start; its end is the giving up (R6).
 *
 * Each policy is pure: time comes in with the step, state lives in the step function. Combine them
 * with the combinators here, which keep a policy a policy, or with `Schedule`'s own.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import type { WorkerExit } from "../domain/WorkerExit.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"

/** One crash, as a policy sees it. */
export interface Crash {
  /** Null when the process could not be spawned or was not ready in time. */
  readonly exit: WorkerExit | null
  /** Milliseconds from `ready` to the crash; 0 when it never was ready. */
  readonly uptimeMs: number
}

export type RespawnPolicy = Schedule.Schedule<unknown, Crash>

/** Never again: the first crash gives the key up. */
export const never: RespawnPolicy = Schedule.fromStep(Effect.succeed(() => Cause.done(undefined)))

/** At once, without end. */
export const immediately: RespawnPolicy = Schedule.forever

/** After a fixed delay, without end. */
export const spaced = (delay: Duration.Input): RespawnPolicy => Schedule.spaced(delay)

/**
 * After a growing delay: `initial`, times `factor` (2 unless told) after each crash, at most `max`
 * (one minute unless told), with a jitter of ±20 % unless `jitter` is false. Without end.
 */
export const exponential = (options: {
  readonly initial: Duration.Input
  readonly factor?: number
  readonly max?: Duration.Input
  readonly jitter?: boolean
}): RespawnPolicy => {
  const max = Duration.fromInputUnsafe(options.max ?? "1 minute")
  const growing = Schedule.exponential(options.initial, options.factor ?? 2)
  // Capped last: the jitter must not reach over the bound.
  return Schedule.modifyDelay(options.jitter === false ? growing : Schedule.jittered(growing), ({ duration }) =>
    Effect.succeed(Duration.min(duration, max))
  )
}

/**
 * At most `max - 1` respawns in a sliding window: the `max`-th crash within it gives up (R6). A
 * worker that became ready in between does not start the count anew; only time does.
 */
export const intensity = (options: {
  readonly max: number
  readonly within: Duration.Input
  /** Delay before each respawn; none unless told. */
  readonly delay?: Duration.Input
}): RespawnPolicy => {
  const withinMs = Duration.toMillis(Duration.fromInputUnsafe(options.within))
  const delay = Duration.fromInputUnsafe(options.delay ?? 0)
  return Schedule.fromStep(
    Effect.sync(() => {
      let crashes: ReadonlyArray<number> = []
      return (now: number, _crash: Crash) => {
        crashes = CircuitBreaker.within(crashes, now, withinMs)
        return crashes.length >= options.max
          ? Cause.done(crashes.length)
          : Effect.succeed([crashes.length, delay] as [number, Duration.Duration])
      }
    })
  )
}

/** Starts the policy anew when a worker had been up for `uptime` before it crashed. */
export const resetAfter =
  (uptime: Duration.Input) =>
  (self: RespawnPolicy): RespawnPolicy => {
    const stable = Duration.toMillis(Duration.fromInputUnsafe(uptime))
    return Schedule.fromStep(
      Effect.gen(function* () {
        let step = yield* Schedule.toStep(self)
        return Effect.fnUntraced(function* (now: number, crash: Crash) {
          if (crash.uptimeMs >= stable) step = yield* Schedule.toStep(self)
          return yield* step(now, crash)
        })
      })
    )
  }

/** A crash for which the predicate says true gives the key up; for all others the policy decides. */
export const veto =
  (forbids: (crash: Crash) => boolean) =>
  (self: RespawnPolicy): RespawnPolicy =>
    Schedule.fromStep(
      Effect.map(
        Schedule.toStep(self),
        (step) => (now: number, crash: Crash) => (forbids(crash) ? Cause.done(undefined) : step(now, crash))
      )
    )

/** Only after a failure: an exit with code 0 that nobody asked for gives the key up. */
export const onFailure: (self: RespawnPolicy) => RespawnPolicy = veto(({ exit }) => exit?.code === 0)

/**
 * A breaker around a policy (L4): while it is closed the policy decides; when it opens, the next start comes after
 * the cooldown, and that is the trial. It never gives up by itself; its policy may. A trial that was up for long
 * enough closes it, and the policy starts anew.
 */
export const circuitBreaker = (
  options: Parameters<typeof CircuitBreaker.make>[0]
): ((self: RespawnPolicy) => RespawnPolicy) => {
  const breaker = CircuitBreaker.make(options)
  return (self) =>
    Schedule.fromStep(
      Effect.gen(function* () {
        let step = yield* Schedule.toStep(self)
        let state: CircuitBreaker.State = CircuitBreaker.closed
        return Effect.fnUntraced(function* (now: number, crash: Crash) {
          // A crash while open is the trial's: nothing else was started.
          if (state._tag === "Open") state = { _tag: "HalfOpen" }
          if (state._tag === "HalfOpen" && crash.uptimeMs >= breaker.trialMs) {
            state = CircuitBreaker.passed(state)
            step = yield* Schedule.toStep(self)
          }
          state = CircuitBreaker.crashed(breaker, state, now)
          if (state._tag !== "Open") return yield* step(now, crash)
          const cooldown: [unknown, Duration.Duration] = [state, Duration.millis(breaker.cooldownMs)]
          return cooldown
        })
      })
    )
}

/** What a policy says about one crash. `failure`: it gives up because it failed itself, by this. */
export type Decision =
  | { readonly _tag: "Respawn"; readonly delayMs: number }
  | { readonly _tag: "GiveUp"; readonly failure?: string }

/**
 * The policy as a function of time and crash. Make a new one to forget all crashes. A policy whose
 * schedule fails or throws is taken to give up, and says by what. `now` is in milliseconds of a clock that
 * nobody sets: on the wall clock, a correction would forget crashes or count old ones.
 */
export const toDecide = (
  policy: RespawnPolicy
): Effect.Effect<(now: number, crash: Crash) => Effect.Effect<Decision>> =>
  Effect.map(
    Schedule.toStep(policy),
    (step) => (now, crash) =>
      Pull.matchEffect(
        Effect.suspend(() => step(now, crash)),
        {
          onSuccess: ([, delay]) => Effect.succeed<Decision>({ _tag: "Respawn", delayMs: Duration.toMillis(delay) }),
          onFailure: (cause) =>
            Effect.succeed<Decision>({ _tag: "GiveUp", failure: `the respawn policy failed: ${messageOf(cause)}` }),
          onDone: () => Effect.succeed<Decision>({ _tag: "GiveUp" })
        }
      )
  )

const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}
