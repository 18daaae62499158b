/**
 * The stop ladder of one life: ask, wait, SIGTERM or what comes nearest, wait, force, wait for the end. What
 * does not end then is given up for lost.
 */
import type { Ending } from "@nerve/core/supervision/LifecycleState"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Effect from "effect/Effect"
import type { Controls } from "../Lifecycle.ts"

/** What the ladder sees of the life that it ends. */
export interface Host {
  /** Waits until it can be steered. */
  readonly attached: Effect.Effect<unknown>
  readonly controls: () => Controls | undefined
  /** A suspend was tried and not undone. */
  readonly maybeSuspended: () => boolean
  /** Interrupts the fiber that lives it. */
  readonly interruptUnsafe: () => void
  /** Force is being used. */
  readonly killTaken: () => void
  /** It is given up for lost. */
  readonly abandoned: (ending: Ending) => void
  /** Waits for the end. */
  readonly wait: Effect.Effect<unknown>
}

/** After force was used, how long the end may take to come before the life is given up for lost. */
const killGraceMs = 5000

/** Ends when the life has ended, or has been given up for lost. */
export const goDown = Effect.fnUntraced(function* (host: Host, asked: StopPolicy.StopPolicy | undefined) {
  const policy = asked ?? StopPolicy.standard
  const steps = StopPolicy.steps(policy, true)
  // Spawning takes a moment, in which nothing can be asked or signalled.
  yield* Effect.timeoutOption(host.attached, policy.politeMs + policy.termMs)
  const attached = host.controls()
  const controls = attached ?? {}
  if (controls.stop !== undefined) {
    if (steps[0]?._tag === "Kill") host.killTaken()
    return controls.stop(asked)
  }
  if (host.maybeSuspended()) yield* controls.resume ?? Effect.void
  const interrupt = Effect.sync(() => host.interruptUnsafe())
  const byInterruption = controls.kill === undefined && attached !== undefined ? interrupt : undefined
  for (const step of steps) {
    if (step._tag === "Kill") return yield* useForce(host, controls.kill ?? interrupt)
    const effect = (step._tag === "Ask" ? controls.ask : controls.terminate) ?? byInterruption
    if (effect !== undefined) yield* Effect.timeoutOption(Effect.andThen(effect, host.wait), step.waitMs)
  }
})

const useForce = Effect.fnUntraced(function* (host: Host, kill: Effect.Effect<unknown>) {
  host.killTaken()
  yield* Effect.timeoutOption(Effect.andThen(kill, host.wait), killGraceMs)
  host.interruptUnsafe()
  host.abandoned({
    code: null,
    signal: null,
    error: `did not end within ${killGraceMs} ms of being killed; given up for lost`
  })
})
