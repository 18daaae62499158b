/**
 * Which threads of one workflow run, wait or are dropped (M4, M5): a pure decision over who is active,
 * who is queued and who is parked. It knows no clock, no log and no worker; it returns what to do, in
 * order, and the caller does it and keeps the new state.
 *
 * Rules that hold after every decision: a thread is active, queued, parked or gone, never two of them;
 * unless starts are held, nobody is queued while a slot is free; who is queued is started by priority,
 * then those that had a slot before, then in the order of arrival.
 */
import type { WorkflowConfig } from "../config/NerveConfig.ts"

/** What decides whose turn it is. */
export interface Rank {
  /** Higher goes first. */
  readonly priority: number
  /** It had a slot before: it goes before those that never had one, and is never dropped for want of a place. */
  readonly returning: boolean
  /** Ever-increasing with the order of arrival. */
  readonly order: number
}

/** Somebody in the queue. */
export interface Waiting<Id extends string = string> extends Rank {
  readonly id: Id
}

/** Who is active, who is queued (next first), and who holds still: waits for something, or is paused. */
export interface State<Id extends string = string> {
  readonly active: ReadonlySet<Id>
  readonly queue: ReadonlyArray<Waiting<Id>>
  readonly parked: ReadonlySet<Id>
}

/**
 * Why nothing may be started at present. `drain`: for a moment, while the worker is replaced; who
 * comes meanwhile waits. `given-up` and `paused`: until somebody mends the worker or resumes the
 * workflow; who is queued stays queued.
 */
export type Hold = "none" | "drain" | "given-up" | "paused"

/** The limits in force. They may change between two decisions (M10). */
export interface Limits extends Pick<WorkflowConfig, "concurrency" | "overflow" | "maxQueue"> {
  readonly hold: Hold
}

/** What happened. */
export type Input<Id extends string = string> =
  /** A newcomer. */
  | { readonly _tag: "Triggered"; readonly id: Id; readonly priority: number; readonly order: number }
  /** An active thread is over and its slot free. */
  | { readonly _tag: "Ended"; readonly id: Id }
  /** An active thread gives its slot up, or a queued one its place: it waits for something, or is paused. */
  | { readonly _tag: "Parked"; readonly id: Id }
  /** A parked thread goes on, or one that had ended is taken up again. */
  | ({ readonly _tag: "Returned"; readonly id: Id } & Rank)
  | { readonly _tag: "Killed"; readonly id: Id }
  /** The limits are other ones now. */
  | { readonly _tag: "LimitsChanged" }
  /** What an earlier daemon left behind (M7). The queue may come in any order. */
  | {
      readonly _tag: "Recovered"
      readonly started: ReadonlyArray<Id>
      readonly queued: ReadonlyArray<Waiting<Id>>
      readonly parked: ReadonlyArray<Id>
    }
  /** The workflow is no more: nobody waits any longer and whoever runs must stop. */
  | { readonly _tag: "Removed" }

/** Why a newcomer was turned away. */
export type Rejection = "no-slot" | "no-place" | "given-up" | "paused"

/** What to do about it, in order. */
export type Action<Id extends string = string> =
  /** Give it a slot: a newcomer, or the next in the queue. */
  | { readonly _tag: "Start"; readonly id: Id }
  /** It had a slot before: go on with it. */
  | { readonly _tag: "Resume"; readonly id: Id }
  | { readonly _tag: "Enqueue"; readonly id: Id }
  /** The newcomer is dropped. */
  | { readonly _tag: "Reject"; readonly id: Id; readonly why: Rejection }
  /** The oldest in the queue, of those with the lowest priority, is dropped to make room. */
  | { readonly _tag: "Drop"; readonly id: Id }
  /** Out of the queue, or not parked any more, by kill or removal. */
  | { readonly _tag: "Withdraw"; readonly id: Id }
  /** It runs: stop it. It keeps its slot until `Ended`. */
  | { readonly _tag: "Stop"; readonly id: Id }

export interface Decision<Id extends string = string> {
  readonly state: State<Id>
  readonly actions: ReadonlyArray<Action<Id>>
}

/** Nobody active, nobody queued, nobody parked. */
export const empty: State<never> = { active: new Set(), queue: [], parked: new Set() }

/**
 * Whether there is nothing to do and nothing to wait for that would come by itself. A queue that is
 * held until somebody does something waits in vain, and so does who is parked.
 */
export const isIdle = (state: State, hold: Hold): boolean =>
  state.active.size === 0 && (state.queue.length === 0 || hold === "given-up" || hold === "paused")

/** The new state and what to do. Total: an id that is unknown, or known already, changes nothing. */
export const decide = <Id extends string>(state: State<Id>, input: Input<Id>, limits: Limits): Decision<Id> => {
  switch (input._tag) {
    case "Triggered":
      return admit(state, { id: input.id, priority: input.priority, returning: false, order: input.order }, limits)
    case "Returned": {
      const { id, order, priority, returning } = input
      if (state.active.has(id) || isQueued(state, id)) return unchanged(state)
      const parked = state.parked.has(id) ? without(state.parked, id) : state.parked
      return comeBack({ ...state, parked }, { id, priority, returning, order }, limits)
    }
    case "Ended":
      return state.active.has(input.id)
        ? settle({ ...state, active: without(state.active, input.id) }, limits)
        : unchanged(state)
    case "Parked":
      return park(state, input.id, limits)
    case "Killed":
      return kill(state, input.id)
    case "LimitsChanged":
      return settle(state, limits)
    case "Recovered":
      return recover(state, input, limits)
    case "Removed":
      return {
        state: { active: state.active, queue: [], parked: new Set() },
        actions: [
          ...state.queue.map(({ id }) => ({ _tag: "Withdraw", id }) as const),
          ...Array.from(state.parked, (id) => ({ _tag: "Withdraw", id }) as const),
          ...Array.from(state.active, (id) => ({ _tag: "Stop", id }) as const)
        ]
      }
  }
}

const unchanged = <Id extends string>(state: State<Id>): Decision<Id> => ({ state, actions: [] })

const isQueued = (state: State, id: string): boolean => state.queue.some((one) => one.id === id)

const freeSlots = (state: State, limits: Limits): number => Math.max(0, limits.concurrency - state.active.size)

/**
 * How many newcomers may wait. A hold of a moment must not turn away whom a free slot would have taken,
 * so free slots count as places while it lasts.
 */
const places = (state: State, limits: Limits): number =>
  (limits.overflow === "queue" ? limits.maxQueue : 0) + (limits.hold === "drain" ? freeSlots(state, limits) : 0)

const newcomers = (queue: ReadonlyArray<Waiting>): number =>
  queue.reduce((count, { returning }) => (returning ? count : count + 1), 0)

/** Negative when `a` goes first. */
const compare = (a: Rank, b: Rank): number =>
  b.priority - a.priority || Number(b.returning) - Number(a.returning) || a.order - b.order

/** The queue with one more, in its place. Most come last, so that is looked at first. */
const insert = <Id extends string>(queue: ReadonlyArray<Waiting<Id>>, one: Waiting<Id>): ReadonlyArray<Waiting<Id>> => {
  let at = queue.length
  while (at > 0) {
    const before = queue[at - 1]
    if (before === undefined || compare(before, one) <= 0) break
    at--
  }
  return [...queue.slice(0, at), one, ...queue.slice(at)]
}

const admit = <Id extends string>(state: State<Id>, one: Waiting<Id>, limits: Limits): Decision<Id> => {
  const { id } = one
  if (state.active.has(id) || state.parked.has(id) || isQueued(state, id)) return unchanged(state)
  // A free slot goes to a newcomer only when nobody waits for it.
  if (limits.hold === "none" && state.queue.length === 0 && freeSlots(state, limits) > 0) return start(state, id)
  const room = places(state, limits)
  if (room === 0 || (limits.overflow === "drop" && newcomers(state.queue) >= room)) {
    return { state, actions: [{ _tag: "Reject", id, why: rejection(limits) }] }
  }
  const trimmed = trim({ ...state, queue: insert(state.queue, one) }, room)
  // Who is dropped may be the newcomer itself: all others go before it.
  return trimmed.actions.some((action) => action.id === id)
    ? { state, actions: [{ _tag: "Reject", id, why: "no-place" }] }
    : { state: trimmed.state, actions: [...trimmed.actions, { _tag: "Enqueue", id }] }
}

const start = <Id extends string>(state: State<Id>, id: Id): Decision<Id> => ({
  state: { ...state, active: new Set([...state.active, id]) },
  actions: [{ _tag: "Start", id }]
})

/** Who comes back is never turned away. */
const comeBack = <Id extends string>(state: State<Id>, one: Waiting<Id>, limits: Limits): Decision<Id> =>
  limits.hold === "none" && state.queue.length === 0 && freeSlots(state, limits) > 0
    ? start(state, one.id)
    : {
        state: { ...state, queue: insert(state.queue, one) },
        actions: [{ _tag: "Enqueue", id: one.id }]
      }

const park = <Id extends string>(state: State<Id>, id: Id, limits: Limits): Decision<Id> => {
  const parked = new Set([...state.parked, id])
  if (state.active.has(id)) return settle({ ...state, active: without(state.active, id), parked }, limits)
  if (!isQueued(state, id)) return unchanged(state)
  return unchanged({ ...state, queue: state.queue.filter((one) => one.id !== id), parked })
}

const kill = <Id extends string>(state: State<Id>, id: Id): Decision<Id> => {
  if (state.active.has(id)) return { state, actions: [{ _tag: "Stop", id }] }
  if (state.parked.has(id)) {
    return { state: { ...state, parked: without(state.parked, id) }, actions: [{ _tag: "Withdraw", id }] }
  }
  if (!isQueued(state, id)) return unchanged(state)
  return {
    state: { ...state, queue: state.queue.filter((one) => one.id !== id) },
    actions: [{ _tag: "Withdraw", id }]
  }
}

const recover = <Id extends string>(
  state: State<Id>,
  left: Extract<Input<Id>, { readonly _tag: "Recovered" }>,
  limits: Limits
): Decision<Id> => {
  // All that were started held a slot when the last daemon ended, so all go on, over the cap if
  // it was lowered since. The queue then waits until there is room below the cap.
  const active = new Set([...state.active, ...left.started])
  const parked = new Set([...state.parked, ...left.parked.filter((id) => !active.has(id))])
  const seen = new Set<Id>([...active, ...parked])
  const queue: Array<Waiting<Id>> = []
  for (const one of [...state.queue, ...left.queued]) {
    if (seen.has(one.id)) continue
    seen.add(one.id)
    queue.push(one)
  }
  const settled = settle({ active, queue: queue.sort(compare), parked }, limits)
  const resumed = [...new Set(left.started)].filter((id) => !state.active.has(id))
  return {
    state: settled.state,
    actions: [...resumed.map((id) => ({ _tag: "Resume", id }) as const), ...settled.actions]
  }
}

const rejection = (limits: Limits): Rejection =>
  limits.hold === "given-up" || limits.hold === "paused"
    ? limits.hold
    : limits.overflow === "queue"
      ? "no-place"
      : "no-slot"

/** Gives free slots to the queue in order; then drops the oldest beyond what may wait. */
const settle = <Id extends string>(state: State<Id>, limits: Limits): Decision<Id> => {
  const count = limits.hold === "none" ? freeSlots(state, limits) : 0
  const next = count === 0 ? [] : state.queue.slice(0, count)
  const started: State<Id> = {
    ...state,
    active: next.length === 0 ? state.active : new Set([...state.active, ...next.map(({ id }) => id)]),
    queue: next.length === 0 ? state.queue : state.queue.slice(count)
  }
  // Who was queued before `overflow` became `drop` has been promised its turn, and keeps it.
  const trimmed = limits.overflow === "queue" ? trim(started, places(started, limits)) : unchanged(started)
  return {
    state: trimmed.state,
    actions: [...next.map(({ id }) => ({ _tag: "Start", id }) as const), ...trimmed.actions]
  }
}

/** Drops newcomers beyond `room`: of the lowest priority there is, the oldest first. */
const trim = <Id extends string>(state: State<Id>, room: number): Decision<Id> => {
  if (state.queue.length <= room) return unchanged(state)
  const waiting = state.queue.filter(({ returning }) => !returning)
  const excess = waiting.length - room
  if (excess <= 0) return unchanged(state)
  const dropped = [...waiting].sort((a, b) => a.priority - b.priority || a.order - b.order).slice(0, excess)
  const ids = new Set(dropped.map(({ id }) => id))
  return {
    state: { ...state, queue: state.queue.filter(({ id }) => !ids.has(id)) },
    actions: dropped.map(({ id }) => ({ _tag: "Drop", id }) as const)
  }
}

const without = <Id extends string>(set: ReadonlySet<Id>, id: Id): ReadonlySet<Id> => {
  const copy = new Set(set)
  copy.delete(id)
  return copy
}
