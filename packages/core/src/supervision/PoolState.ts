/**
 * What a pool of interchangeable workers knows at a moment: slots, the members that serve them, the calls that wait
 * and those that run. A value; `PoolMachine.decide` makes the next one of it. Here is its shape, and what can be read
 * off it.
 *
 * A pool has slots, a slot has members: the worker that serves, and while that is replaced its successor. A member is
 * one incarnation, numbered over the whole pool, and never comes back.
 *
 * Times are milliseconds on one clock that never goes back; `Infinity` is never.
 */
import type * as CallMap from "./internal/callMap.ts"
import * as Fifo from "./internal/fifo.ts"

export interface Settings {
  /** Slots at least and at most. They are equal in a pool of fixed size. */
  readonly minimum: number
  readonly maximum: number
  /** Calls that may wait; one at least while there may be more slots. */
  readonly queue: number
  /** Calls that one member runs at a time. */
  readonly concurrency: number
  /** Calls after which a member is replaced; 0 is never. */
  readonly maxJobs: number
  /** Age at which a member is replaced. */
  readonly ttlMs: number
  /** How long the oldest call must have waited before a slot is added. */
  readonly growAfterMs: number
  /** How long a member must have been idle before its slot is removed. */
  readonly idleMs: number
  /** How long a member may take to confirm that it stopped working on a call. */
  readonly cancelMs: number
  /** How long the other calls of a member that did not confirm may go on. */
  readonly drainMs: number
}

/** Why a healthy member is replaced. */
export type RecycleReason = "jobs" | "age" | "memory" | "reload"

export interface Waiting {
  readonly call: number
  readonly since: number
  /** Until it must have been dispatched. */
  readonly waitUntil: number
  /** How long it may run once dispatched. */
  readonly timeoutMs: number
}

/** A call that was dispatched, and where it would wait if it were given back. */
export interface Running extends Waiting {
  /** `cancelled`: its caller is gone, the worker has been told. `lost`: it did not confirm in time. */
  readonly state: "live" | "cancelled" | "lost"
  /** Of a live one until its answer, of a cancelled one until its confirmation. */
  readonly deadline: number
}

export interface Member {
  /** Number of the incarnation, over the whole pool. */
  readonly id: number
  readonly slot: number
  /** Counts reloads: of which it is. */
  readonly generation: number
  readonly stage: "booting" | "ready" | "lost" | "leaving" | "going"
  /** The member that it takes over from when it is ready. */
  readonly replaces: number | null
  readonly due: RecycleReason | null
  /** Its replacement was given up: it goes on as it is. */
  readonly kept: boolean
  /** It has been replaced in good health, as opposed to removed or hanging. */
  readonly recycled: boolean
  /** It does not confirm cancellations: it is killed when its other calls are over, at `killBy` at the latest. */
  readonly hurt: boolean
  readonly killBy: number
  readonly readyAt: number
  readonly idleSince: number
  /** Calls that it has ended. */
  readonly jobs: number
  /** Rises with each dispatch of the pool; the least was used longest ago. */
  readonly usedAt: number
  readonly running: CallMap.CallMap<Running>
}

/** Why a slot is not served at present. */
export type Pause =
  /** The policy is being asked about the end of this member. */
  | { readonly _tag: "Asked"; readonly member: number }
  | { readonly _tag: "Backoff"; readonly until: number }
  | { readonly _tag: "GivenUp"; readonly reason: string }

export interface Slot {
  readonly slot: number
  readonly pause: Pause | null
  /** Since the pool began or the last reset. */
  readonly crashes: number
}

/** When what runs is cut off, and whether it has been. */
export interface Closing {
  readonly by: number
  readonly cutOff: boolean
}

export interface PoolState {
  readonly settings: Settings
  readonly slots: ReadonlyArray<Slot>
  readonly members: ReadonlyArray<Member>
  readonly queue: Fifo.Fifo<Waiting>
  readonly generation: number
  readonly nextMember: number
  readonly dispatches: number
  /** Null while the pool is open. */
  readonly closing: Closing | null
}

/** A pool without workers: feed it a `Tick`, and it boots them. */
export const make = (settings: Settings): PoolState => ({
  settings,
  slots: [],
  members: [],
  queue: Fifo.empty,
  generation: 0,
  nextMember: 1,
  dispatches: 0,
  closing: null
})

/** Whether the size follows the load. */
export const isElastic = ({ maximum, minimum }: Settings): boolean => maximum > minimum

/** Whether its slot is this member's: one that leaves or goes has none. */
export const isOccupant = ({ stage }: Member): boolean => stage === "booting" || stage === "ready" || stage === "lost"

/** Whether a ready member serves this slot. */
export const isServed = (members: ReadonlyArray<Member>, slot: number): boolean =>
  members.some((member) => member.slot === slot && member.stage === "ready")

/** All slots were given up: nothing will be served before a reset or a reload. */
export const isGivenUp = ({ slots }: Pick<PoolState, "slots">): boolean =>
  slots.length > 0 && slots.every((slot) => slot.pause?._tag === "GivenUp")

/** Every slot is served by a ready member of the present generation, and no older one is left. */
export const isReloaded = ({ generation, members, slots }: PoolState): boolean =>
  members.every((member) => member.generation === generation) && slots.every((slot) => isServed(members, slot.slot))

/** As many members as `minimum` asks for are ready. */
export const isBooted = ({ members, settings, slots }: PoolState): boolean =>
  slots.length >= settings.minimum && slots.filter((slot) => isServed(members, slot.slot)).length >= settings.minimum

/** The pool is closed and no process is left. */
export const isClosed = ({ closing, members }: PoolState): boolean => closing !== null && members.length === 0

/** Calls that run, whether or not somebody still waits for them. */
export const running = ({ members }: PoolState): number => members.reduce((sum, member) => sum + member.running.size, 0)
