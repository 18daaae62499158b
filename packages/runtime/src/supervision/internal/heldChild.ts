/**
 * One child of a supervisor over all its incarnations: what it was declared as, what lives now, what its
 * policy remembers; and how it looks to whoever watches.
 */
import type * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import type { Plan, StateTree } from "@nerve/core/supervision/StateTree"
import type * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type * as SupervisorState from "@nerve/core/supervision/SupervisorState"
import type * as Deferred from "effect/Deferred"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Lifecycle from "../Lifecycle.ts"
import type { Child } from "../Supervisor.ts"
import type { Life } from "./life.ts"

export interface HeldChild {
  readonly child: Child<unknown>
  readonly worker: Lifecycle.Bound
  readonly resumeId: string
  /** The present or last incarnation. */
  life: Life | undefined
  previousExit: string | null
  /** What its policy remembers; made at its first crash. */
  decide: Effect.Success<ReturnType<typeof RespawnPolicy.toDecide>> | undefined
  /** Its policy while that is asked, then its delay. */
  pending: Fiber.Fiber<void> | undefined
  /** Overrides the child's own, when it is removed. */
  stop: StopPolicy.StopPolicy | undefined
  /** Done when it is removed; made when somebody waits. */
  removed: Deferred.Deferred<void> | undefined
  /** The snapshot as last made, and what of. */
  view:
    | { readonly tree: StateTree; readonly of: StateTree | undefined; readonly child: SupervisorState.Child }
    | undefined
}

/** A child that was never started. */
export const make = (child: Child<unknown>, worker: Lifecycle.Bound, resumeId: string): HeldChild => ({
  child,
  worker,
  resumeId,
  life: undefined,
  previousExit: null,
  decide: undefined,
  pending: undefined,
  stop: undefined,
  removed: undefined,
  view: undefined
})

/** Its node in the tree: the same object as long as nothing changes. */
export const viewOf = (held: HeldChild, child: SupervisorState.Child): StateTree => {
  const of = held.life?.snapshotUnsafe()
  if (held.view !== undefined && held.view.of === of && held.view.child === child) return held.view.tree
  const { restart, phase, crashes } = child
  const tree: StateTree = {
    ...(of ?? neverStarted(held)),
    restart,
    crashes,
    plan: planOf(phase)
  }
  held.view = { tree, of, child }
  return tree
}

const planOf = (phase: SupervisorState.ChildPhase): Plan => {
  switch (phase) {
    case "Queued":
      return "queued"
    case "Delayed":
      return "delayed"
    case "Held":
      return "held"
    case "GivenUp":
      return "given-up"
    default:
      return "none"
  }
}

const neverStarted = ({ child, resumeId }: HeldChild): StateTree => ({
  id: child.id,
  kind: child.worker.kind,
  state: "Pending",
  since: 0,
  incarnation: 0,
  crashes: 0,
  restart: null,
  plan: "none",
  resumeId,
  pid: null,
  exit: null,
  metadata: child.worker.metadata,
  strategy: null,
  breaker: null,
  children: []
})
