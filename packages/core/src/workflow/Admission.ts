/**
 * Which threads of one workflow run, wait or are dropped (M4, M5): a pure decision over who is active
 * and who is queued. It knows no clock, no log and no worker; it returns what to do, in order, and
 * the caller does it and keeps the new state.
 *
 * Rules that hold after every decision: a thread is active, queued or gone, never two of them; unless
 * starts are held, nobody waits while a slot is free; who waits is started in the order of arrival.
 */
import type { WorkflowConfig } from "../config/NerveConfig.ts"

/** Who is active and who waits, oldest first. */
export interface State<Id extends string = string> {
  readonly active: ReadonlySet<Id>
  readonly queue: ReadonlyArray<Id>
}

/**
 * Why nothing may be started at present. `drain`: for a moment, while the worker is replaced; who
 * comes meanwhile waits. `given-up`: until somebody mends the worker; who is queued stays queued.
 */
export type Hold = "none" | "drain" | "given-up"

/** The limits in force. They may change between two decisions (M10). */
export interface Limits extends Pick<WorkflowConfig, "concurrency" | "overflow" | "maxQueue"> {
  readonly hold: Hold
}

/** What happened. */
export type Input<Id extends string = string> =
  | { readonly _tag: "Triggered"; readonly id: Id }
  /** An active thread is over and its slot free. */
  | { readonly _tag: "Ended"; readonly id: Id }
  | { readonly _tag: "Killed"; readonly id: Id }
  /** The limits are other ones now. */
  | { readonly _tag: "LimitsChanged" }
  /** What an earlier daemon left behind, oldest first (M7). */
  | { readonly _tag: "Recovered"; readonly started: ReadonlyArray<Id>; readonly queued: ReadonlyArray<Id> }
  /** The workflow is no more: nobody waits any longer and whoever runs must stop. */
  | { readonly _tag: "Removed" }

/** Why a newcomer was turned away. */
export type Rejection = "no-slot" | "no-place" | "given-up"

/** What to do about it, in order. */
export type Action<Id extends string = string> =
  /** Give it a slot: a newcomer, or the next in the queue. */
  | { readonly _tag: "Start"; readonly id: Id }
  /** It had a slot before: go on with it. */
  | { readonly _tag: "Resume"; readonly id: Id }
  | { readonly _tag: "Enqueue"; readonly id: Id }
  /** The newcomer is dropped. */
  | { readonly _tag: "Reject"; readonly id: Id; readonly why: Rejection }
  /** The oldest in the queue is dropped to make room. */
  | { readonly _tag: "Drop"; readonly id: Id }
  /** Out of the queue, by kill or removal. */
  | { readonly _tag: "Withdraw"; readonly id: Id }
  /** It runs: stop it. It keeps its slot until `Ended`. */
  | { readonly _tag: "Stop"; readonly id: Id }

export interface Decision<Id extends string = string> {
  readonly state: State<Id>
  readonly actions: ReadonlyArray<Action<Id>>
}

/** Nobody active, nobody waiting. */
export const empty: State<never> = { active: new Set(), queue: [] }

/** Whether there is nothing to do and nothing to wait for. A queue that is held as given up waits in vain. */
export const isIdle = (state: State, hold: Hold): boolean =>
  state.active.size === 0 && (state.queue.length === 0 || hold === "given-up")

/** The new state and what to do. Total: an id that is unknown, or known already, changes nothing. */
export const decide = <Id extends string>(state: State<Id>, input: Input<Id>, limits: Limits): Decision<Id> => {
  switch (input._tag) {
    case "Triggered":
      return admit(state, input.id, limits)
    case "Ended":
      return state.active.has(input.id)
        ? settle({ ...state, active: without(state.active, input.id) }, limits)
        : { state, actions: [] }
    case "Killed":
      if (state.active.has(input.id)) return { state, actions: [{ _tag: "Stop", id: input.id }] }
      return state.queue.includes(input.id)
        ? {
            state: { ...state, queue: state.queue.filter((id) => id !== input.id) },
            actions: [{ _tag: "Withdraw", id: input.id }]
          }
        : { state, actions: [] }
    case "LimitsChanged":
      return settle(state, limits)
    case "Recovered": {
      // All that were started held a slot when the last daemon ended, so all go on, over the cap if
      // it was lowered since. The queue then waits until there is room below the cap.
      const active = new Set([...state.active, ...input.started])
      const queue = [...new Set([...input.queued, ...state.queue])].filter((id) => !active.has(id))
      const settled = settle({ active, queue }, limits)
      const resumed = input.started.filter((id, index) => !state.active.has(id) && input.started.indexOf(id) === index)
      return {
        state: settled.state,
        actions: [...resumed.map((id) => ({ _tag: "Resume", id }) as const), ...settled.actions]
      }
    }
    case "Removed":
      return {
        state: { active: state.active, queue: [] },
        actions: [
          ...state.queue.map((id) => ({ _tag: "Withdraw", id }) as const),
          ...Array.from(state.active, (id) => ({ _tag: "Stop", id }) as const)
        ]
      }
  }
}

const freeSlots = (state: State, limits: Limits): number => Math.max(0, limits.concurrency - state.active.size)

/**
 * How many may wait. A hold of a moment must not turn away whom a free slot would have taken, so free
 * slots count as places while it lasts.
 */
const places = (state: State, limits: Limits): number =>
  (limits.overflow === "queue" ? limits.maxQueue : 0) + (limits.hold === "drain" ? freeSlots(state, limits) : 0)

const admit = <Id extends string>(state: State<Id>, id: Id, limits: Limits): Decision<Id> => {
  if (state.active.has(id) || state.queue.includes(id)) return { state, actions: [] }
  // A free slot goes to a newcomer only when nobody waits for it.
  if (limits.hold === "none" && state.queue.length === 0 && freeSlots(state, limits) > 0) {
    return { state: { ...state, active: new Set([...state.active, id]) }, actions: [{ _tag: "Start", id }] }
  }
  const room = places(state, limits)
  if (room === 0 || (limits.overflow === "drop" && state.queue.length >= room)) {
    return { state, actions: [{ _tag: "Reject", id, why: rejection(limits) }] }
  }
  const trimmed = trim({ ...state, queue: [...state.queue, id] }, room)
  return { state: trimmed.state, actions: [...trimmed.actions, { _tag: "Enqueue", id }] }
}

const rejection = (limits: Limits): Rejection =>
  limits.hold === "given-up" ? "given-up" : limits.overflow === "queue" ? "no-place" : "no-slot"

/** Gives free slots to the queue in order; then drops the oldest beyond what may wait. */
const settle = <Id extends string>(state: State<Id>, limits: Limits): Decision<Id> => {
  const count = limits.hold === "none" ? freeSlots(state, limits) : 0
  const next = state.queue.slice(0, count)
  const started: State<Id> = {
    active: next.length === 0 ? state.active : new Set([...state.active, ...next]),
    queue: state.queue.slice(count)
  }
  // Who was queued before `overflow` became `drop` has been promised its turn, and keeps it.
  const trimmed = limits.overflow === "queue" ? trim(started, places(started, limits)) : { state: started, actions: [] }
  return {
    state: trimmed.state,
    actions: [...next.map((id) => ({ _tag: "Start", id }) as const), ...trimmed.actions]
  }
}

const trim = <Id extends string>(state: State<Id>, room: number): Decision<Id> => {
  const excess = Math.max(0, state.queue.length - room)
  return {
    state: excess === 0 ? state : { ...state, queue: state.queue.slice(excess) },
    actions: state.queue.slice(0, excess).map((id) => ({ _tag: "Drop", id }) as const)
  }
}

const without = <Id extends string>(set: ReadonlySet<Id>, id: Id): ReadonlySet<Id> => {
  const copy = new Set(set)
  copy.delete(id)
  return copy
}
