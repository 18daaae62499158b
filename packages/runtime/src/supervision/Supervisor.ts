/**
 * A supervisor: workers that are started in order, watched, started again after a crash by strategy and
 * policy, and stopped in reverse order (L3, L4). It is a worker itself, so supervisors make trees.
 *
 * It is the one owner of its children's restarts. What is to be done is decided by `SupervisorMachine`; the
 * shell in `internal/supervisorCore` does it: incarnations, delays, the breaker's timer. It neither knows nor
 * cares what its children run.
 */
import type * as CircuitBreaker from "@nerve/core/supervision/CircuitBreaker"
import type * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import type { RestartMode, Strategy } from "@nerve/core/supervision/StateTree"
import type * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { assertOneEffect } from "../internal/oneEffect.ts"
import { newResumeId } from "./Handover.ts"
import { Life } from "./internal/life.ts"
import { SupervisorCore } from "./internal/supervisorCore.ts"
import type * as Lifecycle from "./Lifecycle.ts"
import { DuplicateChild, type SupervisorOver, type UnknownChild } from "./SupervisorError.ts"

export { standardIntensity, standardRespawn } from "./internal/supervisorCore.ts"
export { DuplicateChild, SupervisorOver, UnknownChild } from "./SupervisorError.ts"

/** A child as it is declared. */
export interface Child<out R = never> {
  /** Unique among its siblings. */
  readonly id: string
  readonly worker: Lifecycle.Blueprint<R>
  /** `always` unless told. */
  readonly restart?: RestartMode
  /** When to start it again, and whether; the supervisor's unless told. Its end gives the child up. */
  readonly respawn?: RespawnPolicy.RespawnPolicy
  /** Bounds of its stop ladder. A supervisor's are those of its children, one after the other. */
  readonly stop?: StopPolicy.StopPolicy
  /** To go on under an id that is known from before; a new one unless told. */
  readonly resumeId?: string
}

export interface Options<Children extends ReadonlyArray<Child<unknown>>> {
  /** Names it in logs and snapshots; a child of a supervisor goes by its child id. */
  readonly id?: string
  /**
   * Who else is stopped and started again when a child crashes: nobody (`one-for-one`, unless told), all
   * (`one-for-all`), those that come after it (`rest-for-one`).
   */
  readonly strategy?: Strategy
  /** In start order. */
  readonly children: Children
  /** For children without a policy of their own; `standardRespawn` unless told. */
  readonly respawn?: RespawnPolicy.RespawnPolicy
  /**
   * At the `max`-th crash `within` a sliding window the supervisor stops all children and is Failed itself,
   * which is its own supervisor's business. 10 in a minute unless told, none when false or with a breaker.
   */
  readonly intensity?: { readonly max: number; readonly within: Duration.Input } | false
  /** Pauses restarts when there are too many: see `CircuitBreaker.make`. */
  readonly breaker?: CircuitBreaker.CircuitBreaker
  readonly metadata?: { readonly [key: string]: string }
}

/** What children require, together. */
export type RequirementsOf<Children extends ReadonlyArray<Child<unknown>>> = Children[number] extends infer One
  ? One extends Child<infer R>
    ? R
    : never
  : never

export interface Supervisor extends Lifecycle.Worker {
  /** Adds a child behind the others, and starts it if the supervisor runs. */
  readonly add: <R>(child: Child<R>) => Effect.Effect<void, DuplicateChild | SupervisorOver, R>
  /** Stops a child, by these bounds or its own, and forgets it, its resume id too. Waits for that. */
  readonly remove: (id: string, stop?: StopPolicy.StopPolicy) => Effect.Effect<void, UnknownChild>
  /** Forgets crashes, closes the breaker, starts who was given up: one child, or all. */
  readonly reset: (id?: string) => Effect.Effect<void, UnknownChild>
}

/** A supervisor that is not started. When the scope closes it is stopped, its children in reverse order. */
export const make = Effect.fnUntraced(function* <const Children extends ReadonlyArray<Child<unknown>>>(
  options: Options<Children>
): Effect.fn.Return<Supervisor, DuplicateChild, RequirementsOf<Children> | Scope.Scope> {
  yield* assertOneEffect
  const context = yield* Effect.context<RequirementsOf<Children>>()
  const twice = duplicate(options.children)
  if (twice !== undefined) return yield* new DuplicateChild({ id: twice })
  const core = new SupervisorCore(options, context, newResumeId)
  const life = new Life({
    blueprint: { kind: "supervisor", metadata: options.metadata ?? {}, life: (port) => core.run(port) },
    context,
    handover: {
      id: options.id ?? "supervisor",
      resumeId: newResumeId(),
      incarnation: 1,
      previousExit: null
    },
    stop: undefined,
    details: core.details
  })
  core.onChange = () => life.changed()
  yield* Effect.addFinalizer(() => life.stop())
  return supervisorOf(core, life)
})

/** A supervisor as a child of another one. */
export const blueprint = <const Children extends ReadonlyArray<Child<unknown>>>(
  options: Omit<Options<Children>, "id">
): Lifecycle.Blueprint<RequirementsOf<Children>> => ({
  kind: "supervisor",
  metadata: options.metadata ?? {},
  life: (port) =>
    Effect.contextWith((context: Context.Context<RequirementsOf<Children>>) => {
      const twice = duplicate(options.children)
      if (twice !== undefined) {
        return Effect.succeed({ code: 1, signal: null, error: new DuplicateChild({ id: twice }).message })
      }
      // Derived, so that they are the same after a restart of the supervisor itself.
      const resumeId = (id: string) => `${port.handover.resumeId}/${id}`
      return new SupervisorCore(options, context, resumeId).run(port)
    })
})

const duplicate = (children: ReadonlyArray<Child<unknown>>): string | undefined => {
  const seen = new Set<string>()
  for (const { id } of children) {
    if (seen.has(id)) return id
    seen.add(id)
  }
  return undefined
}

const supervisorOf = (core: SupervisorCore, life: Life): Supervisor => ({
  id: life.id,
  kind: life.kind,
  start: life.start,
  stop: (policy) => life.stop(policy),
  wait: life.wait,
  suspend: life.suspend,
  resume: life.resume,
  state: life.state,
  snapshot: life.snapshot,
  changes: life.changes,
  add: (child) => core.add(life.id, child),
  remove: (id, stop) => core.remove(id, stop),
  reset: (id) => core.reset(id)
})
