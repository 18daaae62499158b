/**
 * What happens in a pool of interchangeable workers, decided purely: `decide(state, input, now)` gives the next state
 * and what to do, in order. It knows no process, no fiber and no clock; `WorkerPool` carries the actions out and feeds
 * what comes of them back as inputs. `PoolState` is what it decides about; an input that names a member or a call which
 * is gone changes nothing.
 *
 * ```
 * booting ─Ready─► ready ─replaced, removed─► leaving ─last call ended─► going ─Exited─► (gone)
 *    │               │                           │ hangs                  ▲
 *    │ Lost, Exited  │ timed out, hangs          └──────────Kill──────────┤
 *    ▼               ├──────────────Kill─────────────────────────────────┘
 *  lost ─Exited─► the slot asks its policy, waits, boots again, or is given up
 * ```
 *
 * Rules that hold after every decision:
 * - A call is in one place: it waits, it runs in one member, or it is over. It runs at most once.
 * - While a call waits, no member that could take it is free, and one is booting, serving or scheduled.
 * - Calls are dispatched in the order in which they came, to the member with the fewest.
 * - At most one healthy worker is replaced at a time, and it serves until its successor is ready.
 *
 * Each concern has a file in `internal/`: calls, dispatch, members, slots, scaling, recycling, deadlines, closing.
 */
import type { WorkerExit } from "../domain/WorkerExit.ts"
import * as poolCalls from "./internal/poolCalls.ts"
import * as poolClosing from "./internal/poolClosing.ts"
import * as poolDeadlines from "./internal/poolDeadlines.ts"
import * as poolDispatch from "./internal/poolDispatch.ts"
import { begin, type Draft, finish, wake } from "./internal/poolDraft.ts"
import * as poolMembers from "./internal/poolMembers.ts"
import * as poolRecycling from "./internal/poolRecycling.ts"
import * as poolScaling from "./internal/poolScaling.ts"
import * as poolSlots from "./internal/poolSlots.ts"
import * as poolUsual from "./internal/poolUsual.ts"
import { isElastic, isGivenUp, type PoolState, type RecycleReason } from "./PoolState.ts"

export type Input =
  | { readonly _tag: "Submitted"; readonly call: number; readonly timeoutMs: number; readonly waitMs: number }
  /** The caller is gone. */
  | { readonly _tag: "Cancelled"; readonly call: number }
  /** It was answered by this member, or failed within it. */
  | { readonly _tag: "Ended"; readonly call: number; readonly member: number }
  /** It was dispatched but never left for the worker: it waits again, at its old place. */
  | { readonly _tag: "Returned"; readonly call: number }
  /** It is given until `deadline`: the reader of a stream is the slow one. */
  | { readonly _tag: "Extended"; readonly call: number; readonly deadline: number }
  | { readonly _tag: "Ready"; readonly member: number }
  /** Its channel has ended: nothing reaches it any more. Its exit will follow. */
  | { readonly _tag: "Lost"; readonly member: number }
  /** It is gone and reaped, or could not be started. */
  | {
      readonly _tag: "Exited"
      readonly member: number
      readonly exit: WorkerExit | null
      readonly uptimeMs: number
      readonly reason: string
    }
  | { readonly _tag: "RespawnDecided"; readonly member: number; readonly delayMs: number }
  | { readonly _tag: "GiveUpDecided"; readonly member: number; readonly reason: string }
  | { readonly _tag: "MemoryHigh"; readonly member: number }
  /** Time has passed: what is due is done. */
  | { readonly _tag: "Tick" }
  /** This process itself stood still for that long: nobody else is to blame for it. */
  | { readonly _tag: "Stalled"; readonly forMs: number }
  | { readonly _tag: "ReloadAsked" }
  | { readonly _tag: "ResizeAsked"; readonly minimum: number; readonly maximum: number }
  /** Given-up slots are tried again. */
  | { readonly _tag: "ResetAsked" }
  | { readonly _tag: "ShutdownAsked"; readonly withinMs: number }

/** Why a call fails without an answer. */
export type Failure =
  | { readonly _tag: "QueueFull" }
  | { readonly _tag: "WaitedTooLong"; readonly waitedMs: number }
  | { readonly _tag: "TimedOut"; readonly timeoutMs: number; readonly member: number }
  | { readonly _tag: "Died"; readonly member: number }
  | { readonly _tag: "GivenUp"; readonly crashes: number; readonly reason: string }
  | { readonly _tag: "Stopped" }

export type Action =
  | {
      readonly _tag: "Boot"
      readonly member: number
      readonly slot: number
      readonly replaces: number | null
      /** Why `replaces` is replaced. */
      readonly why: RecycleReason | null
    }
  | { readonly _tag: "Dispatch"; readonly call: number; readonly member: number; readonly waitedMs: number }
  | { readonly _tag: "SendCancel"; readonly call: number; readonly member: number }
  | { readonly _tag: "Fail"; readonly call: number; readonly failure: Failure }
  | { readonly _tag: "Kill"; readonly member: number; readonly reason: string }
  /** Go down the stop ladder. */
  | { readonly _tag: "Stop"; readonly member: number }
  | {
      readonly _tag: "AskPolicy"
      readonly slot: number
      readonly member: number
      readonly exit: WorkerExit | null
      readonly uptimeMs: number
      readonly reason: string
    }
  /** The slot's policy forgets all crashes. */
  | { readonly _tag: "ForgetCrashes"; readonly slot: number }
  | { readonly _tag: "GaveUp"; readonly slot: number; readonly crashes: number; readonly reason: string }
  /** The replacement of a member would not boot; the member goes on. */
  | { readonly _tag: "RecycleAbandoned"; readonly slot: number; readonly crashes: number; readonly reason: string }
  | { readonly _tag: "Resized"; readonly size: number }

export interface Decision {
  readonly state: PoolState
  readonly actions: ReadonlyArray<Action>
  /** A `Tick` is wanted at this time at the latest, besides those wanted before. */
  readonly wakeAt: number
  /** Whether more than calls has changed. */
  readonly structural: boolean
}

/**
 * Whether an input has to be told with the time that it is. The end of a call where nobody waits, in a pool of fixed
 * size, has not: the time of the input before it does as well, and looking at a clock is no small part of a call.
 */
export const isTimed = ({ closing, queue, settings }: PoolState, input: Input): boolean =>
  input._tag !== "Ended" || queue.size > 0 || closing !== null || isElastic(settings)

/** Total: every input has its clause, and one that names what is no more changes nothing. */
export const decide = (state: PoolState, input: Input, now: number): Decision =>
  poolUsual.decide(state, input, now) ?? decideAtLength(state, input, now)

/** The same for any state and input, the usual ones among them. */
export const decideAtLength = (state: PoolState, input: Input, now: number): Decision => {
  const draft = begin(state)
  take(draft, input, now)
  if (!draft.structural && poolScaling.mayGrow(draft)) {
    const at = poolScaling.growsAt(draft)
    if (at <= now) draft.structural = true
    else wake(draft, at)
  }
  if (draft.structural) balance(draft, now)
  else poolDispatch.dispatch(draft, now)
  const { actions, structural, wakeAt } = draft
  const next = finish(draft)
  return { state: next, actions, wakeAt: structural ? poolDeadlines.alarm(next) : wakeAt, structural }
}

/** What an input changes by itself. */
const take = (draft: Draft, input: Input, now: number): void => {
  switch (input._tag) {
    case "Submitted":
      return poolCalls.submitted(draft, input, now)
    case "Cancelled":
      return poolCalls.cancelled(draft, input.call, now)
    case "Ended":
      return poolCalls.ended(draft, input, now)
    case "Returned":
      return poolCalls.returned(draft, input.call)
    case "Extended":
      return poolCalls.extended(draft, input.call, input.deadline)
    case "Ready":
      return poolMembers.ready(draft, input.member, now)
    case "Lost":
      return poolMembers.lost(draft, input.member)
    case "Exited":
      return poolMembers.exited(draft, input)
    case "RespawnDecided":
      return poolSlots.respawn(draft, input.member, input.delayMs, now)
    case "GiveUpDecided":
      return poolSlots.giveUp(draft, input.member, input.reason)
    case "MemoryHigh":
      return poolRecycling.memoryHigh(draft, input.member)
    case "Tick":
      return tick(draft, now)
    case "Stalled":
      return poolDeadlines.stalled(draft, input.forMs)
    case "ReloadAsked":
      return poolRecycling.reload(draft)
    case "ResizeAsked":
      return poolScaling.resize(draft, input.minimum, input.maximum, now)
    case "ResetAsked":
      return poolSlots.reset(draft)
    case "ShutdownAsked":
      return poolClosing.shutdown(draft, now + input.withinMs)
  }
}

const tick = (draft: Draft, now: number): void => {
  draft.structural = true
  poolSlots.endBackoffs(draft, now)
  poolDeadlines.waitedTooLong(draft, now)
  poolDeadlines.check(draft, now)
  poolRecycling.age(draft, now)
  poolScaling.shrink(draft, now)
}

/**
 * What must follow from any change. The order matters: there are slots before they are filled, what serves is known
 * before calls are dispatched, and only what is still waiting then asks for more slots or fails.
 */
const balance = (draft: Draft, now: number): void => {
  if (draft.closing === null) {
    poolScaling.fit(draft)
    poolSlots.fill(draft)
    poolRecycling.recycle(draft)
    poolDispatch.dispatch(draft, now)
    poolScaling.grow(draft, now)
    if (isGivenUp(draft)) poolCalls.failQueue(draft, poolCalls.givenUp(draft))
  } else {
    poolDispatch.dispatch(draft, now)
    poolClosing.close(draft, draft.closing, now)
  }
  poolMembers.leave(draft)
}
