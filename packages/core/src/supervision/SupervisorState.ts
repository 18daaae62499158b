/**
 * What a supervisor knows at a moment: its children in start order, the round that goes through them, its
 * crashes and its breaker. A value; `SupervisorMachine.decide` makes the next one of it. Here is its shape,
 * and what can be read off it.
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import type { LifecycleExit } from "./LifecycleState.ts"
import type { RestartMode, Strategy } from "./StateTree.ts"

export interface ChildSpec {
  readonly id: string
  readonly restart: RestartMode
}

/**
 * `Down`: not alive and nothing planned. `Queued`: its turn in a round comes. `Delayed`: its own backoff
 * runs. `Held`: backoff over, but the breaker is open or the supervisor suspended.
 */
export type ChildPhase = "Down" | "Queued" | "Delayed" | "Held" | "GivenUp" | "Starting" | "Running" | "Stopping"

export interface Child extends ChildSpec {
  readonly phase: ChildPhase
  /** Number of the present or last incarnation; 0 before the first. */
  readonly incarnation: number
  /** Crashes since it was added or reset. */
  readonly crashes: number
  /** When the present incarnation began to run, in milliseconds; null before. */
  readonly runningSince: number | null
  /** It goes for good. */
  readonly removing: boolean
}

/** A walk through children by order. `at` is the index whose turn it is. */
export type Round =
  /** Stops backward those who share the culprit's fate. */
  | { readonly stage: "Stopping"; readonly ids: ReadonlyArray<string>; readonly at: number; readonly crash: Crash }
  /** All are down; the culprit's policy is asked, then its delay runs. */
  | { readonly stage: "Waiting" | "Held"; readonly ids: ReadonlyArray<string>; readonly crash: Crash }
  /** Starts forward those that are queued, each when the one before runs. */
  | { readonly stage: "Starting"; readonly ids: ReadonlyArray<string>; readonly at: number }

export interface Crash {
  readonly id: string
  readonly exit: LifecycleExit
  readonly uptimeMs: number
}

export interface Settings {
  readonly strategy: Strategy
  /** The `max`-th crash within the window ends the supervisor itself; null for never. */
  readonly intensity: { readonly max: number; readonly withinMs: number } | null
  readonly breaker: CircuitBreaker.CircuitBreaker | null
}

export interface Machine {
  readonly settings: Settings
  readonly mode: "Pending" | "Running" | "Suspended" | "Stopping" | "Ended"
  /** Why it is ending by itself; null when it was asked to, or is not ending. */
  readonly failure: string | null
  /** Ids in start order. */
  readonly order: ReadonlyArray<string>
  readonly children: HashMap.HashMap<string, Child>
  readonly round: Round | null
  /** Where the stopping of all stands. */
  readonly stoppingAt: number
  /** Times of the crashes that count for the intensity. */
  readonly crashes: ReadonlyArray<number>
  readonly breaker: CircuitBreaker.State
  /** The child whose start is the half-open breaker's trial. */
  readonly trial: string | null
}

/** A child as it is before anything has happened to it. */
export const newChild = (spec: ChildSpec): Child => ({
  ...spec,
  phase: "Down",
  incarnation: 0,
  crashes: 0,
  runningSince: null,
  removing: false
})

/** A supervisor that was not started. Ids must differ. */
export const make = (settings: Settings, children: ReadonlyArray<ChildSpec>): Machine => ({
  settings,
  mode: "Pending",
  failure: null,
  order: children.map((child) => child.id),
  children: HashMap.fromIterable(children.map((child) => [child.id, newChild(child)] as const)),
  round: null,
  stoppingAt: -1,
  crashes: [],
  breaker: CircuitBreaker.closed,
  trial: null
})

export const childOf = (machine: Machine, id: string): Child | undefined =>
  Option.getOrUndefined(HashMap.get(machine.children, id))

/** Whether an incarnation of it lives. */
export const isUp = (child: Child): boolean =>
  child.phase === "Starting" || child.phase === "Running" || child.phase === "Stopping"

/** Whether this end of it is a crash to be followed by a restart. */
export const isRestarted = (child: ChildSpec, exit: LifecycleExit): boolean => {
  switch (child.restart) {
    case "always":
      return true
    case "on-failure":
      return exit.outcome === "Failed" || exit.outcome === "Killed"
    case "never":
      return false
  }
}

/** Where in the order those begin who share the culprit's fate. */
export const sharedFrom = (machine: Machine, culprit: string): number =>
  machine.settings.strategy === "one-for-all" ? 0 : machine.order.indexOf(culprit)

/** Whether its policy's answer, or its delay, is what the round waits for. */
export const isCulprit = ({ round }: Machine, id: string): boolean =>
  round?.stage === "Waiting" && round.crash.id === id

/** Whether this child's policy or delay is awaited, for itself or for its round. */
export const isWaiting = (machine: Machine, child: Child): boolean =>
  child.phase === "Delayed" || isCulprit(machine, child.id)
