/**
 * One interface over everything that can be started, stopped and waited for: a child process, a thread, a
 * command, a container, an Effect, a whole supervisor (L1, L2). A `Worker` here is one incarnation, with
 * one life; a `Blueprint` says how to make one, and a `Supervisor` makes the next one of it after a crash.
 *
 * It owns the state of that life, the fiber that lives it and the stop ladder. It decides nothing about
 * restarts. What a worker runs, and how that is asked, signalled, killed, suspended, is its blueprint's.
 */
import type { Ending, LifecycleExit, LifecycleState } from "@nerve/core/supervision/LifecycleState"
import type * as StateTree from "@nerve/core/supervision/StateTree"
import type * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { type Handover, newResumeId } from "./Handover.ts"
import { Life } from "./internal/life.ts"
import type { AlreadyStarted, SuspendFailed } from "./LifecycleError.ts"
import type { Suspension } from "./Suspension.ts"

export type { Handover } from "./Handover.ts"
export { AlreadyStarted, SuspendFailed, SuspendFailure } from "./LifecycleError.ts"
export type { Suspension } from "./Suspension.ts"

/** How a life is steered. What is missing is done by interrupting the fiber that lives it, or not at all. */
export interface Controls {
  readonly pid?: number
  /** Asks it politely to end. */
  readonly ask?: Effect.Effect<unknown>
  /** SIGTERM, or what comes nearest. */
  readonly terminate?: Effect.Effect<unknown>
  /** SIGKILL, or what comes nearest. */
  readonly kill?: Effect.Effect<unknown>
  readonly suspend?: Effect.Effect<Suspension>
  readonly resume?: Effect.Effect<Suspension>
  /** Takes the place of the stop ladder. No policy: each below by its own. */
  readonly stop?: (policy: StopPolicy.StopPolicy | undefined) => void
  /** What only it knows of its snapshot. */
  readonly details?: Details
}

/** What a life's own snapshot adds. */
export type Details = () => Partial<StateTree.StateTree>

/** What a life sees of the worker whose life it is. */
export interface Port {
  readonly handover: Handover
  /** From now on it can be steered so. Call it again when that changes. */
  readonly attach: (controls: Controls) => void
  /** It runs: Starting becomes Running. */
  readonly started: () => void
  /** Its details have changed. */
  readonly changed: () => void
  /** Where the life stands now. */
  readonly stateUnsafe: () => LifecycleState
}

/** How to make incarnations of a worker. A value; nothing runs by it. */
export interface Blueprint<out R = never> {
  readonly kind: StateTree.WorkerKind
  readonly metadata: { readonly [key: string]: string }
  /** Lives one life to its end. Closing its scope must leave nothing behind. */
  readonly life: (port: Port) => Effect.Effect<Ending, never, R | Scope.Scope>
}

/** One incarnation. */
export interface Worker {
  readonly id: string
  readonly kind: StateTree.WorkerKind
  /** Begins its life and does not wait for anything. */
  readonly start: Effect.Effect<void, AlreadyStarted>
  /**
   * Stops it by the stop ladder and waits for the end, which comes within the policy's bounds and the
   * grace after a kill. Asked again, the newest bounds hold. One that was never started is Stopped.
   */
  readonly stop: (policy?: StopPolicy.StopPolicy) => Effect.Effect<LifecycleExit>
  /** Waits for its end, however it comes. Any number may wait, also afterwards. */
  readonly wait: Effect.Effect<LifecycleExit>
  /** Only what runs can be suspended, and only what is suspended resumed. */
  readonly suspend: Effect.Effect<void, SuspendFailed>
  readonly resume: Effect.Effect<void, SuspendFailed>
  readonly state: Effect.Effect<LifecycleState>
  readonly snapshot: Effect.Effect<StateTree.StateTree>
  /**
   * The snapshot now and after each change, no two alike in a row; ends with the worker. A slow reader
   * misses what lies between, never the last.
   */
  readonly changes: Stream.Stream<StateTree.StateTree>
}

/**
 * A worker by a blueprint, for whoever wants one without a supervisor. It is not started. When the scope
 * closes it is stopped.
 */
export const make = Effect.fnUntraced(function* <R>(
  blueprint: Blueprint<R>,
  options: { readonly id?: string; readonly resumeId?: string; readonly stop?: StopPolicy.StopPolicy } = {}
): Effect.fn.Return<Worker, never, R | Scope.Scope> {
  const life: Life = new Life({
    ...bind(blueprint, yield* Effect.context<R>()),
    handover: {
      id: options.id ?? blueprint.kind,
      resumeId: options.resumeId ?? newResumeId(),
      incarnation: 1,
      previousExit: null
    },
    stop: options.stop
  })
  yield* Effect.addFinalizer(() => life.stop())
  return life
})

/** A blueprint with what its lives require. */
export interface Bound {
  readonly blueprint: Blueprint
  /** The context that lives run in. */
  readonly context: Context.Context<never>
}

/** Ties a blueprint to the context that its lives will run in. */
export const bind = <R>(blueprint: Blueprint<R>, context: Context.Context<R>): Bound => ({
  // A life is run in this context and nowhere else (`Life`), so it requires no more. Without the cast
  // each life would carry a layer around it that provides what is there already.
  blueprint: blueprint as Blueprint,
  context
})
