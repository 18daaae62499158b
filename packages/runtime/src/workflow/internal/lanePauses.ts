/**
 * Threads of a lane that hold still and go on: they wait, are paused and resumed, have their wait settled,
 * are taken up again after their end.
 */
import type { ThreadId } from "@nerve/core/domain/Ids"
import type { RoundRecorded, RunOpened } from "@nerve/core/domain/RunProjection"
import type { ThreadWait } from "@nerve/core/domain/Thread"
import type * as Admission from "@nerve/core/workflow/Admission"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { LogStore, LogStoreError } from "../../log/LogStore.ts"
import * as RunLog from "../RunLog.ts"
import type { ThreadOutcome } from "../ThreadLoop.ts"
import type { Lane, Refusal } from "./laneContract.ts"
import { type Action, dated, type Input, type More } from "./laneEntries.ts"
import type { LaneThreads, Thread } from "./laneThreads.ts"

/** What of the lane this works on. */
export interface Options {
  readonly threads: LaneThreads
  readonly state: () => Admission.State<ThreadId>
  readonly isRemoved: () => boolean
  readonly nextOrder: () => number
  readonly store: LogStore["Service"]
  /** Runs with the lane to itself. */
  readonly locked: <A, E>(change: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Decide, append, take over, act. */
  readonly change: (input: Input, more?: More) => Effect.Effect<ReadonlyArray<Action>, LogStoreError>
  readonly run: (threadId: ThreadId) => Effect.Effect<void>
  readonly waits: (threadId: ThreadId, wait: ThreadWait) => Effect.Effect<void>
}

type Of<Tag extends ThreadOutcome["_tag"]> = Extract<ThreadOutcome, { readonly _tag: Tag }>

/** `wait`, `holdStill` and `halt` only under the lane's lock: a thread's loop has ended so. */
export interface LanePauses extends Pick<Lane, "pause" | "resume" | "settle" | "retry"> {
  readonly wait: (threadId: ThreadId, outcome: Of<"Waits">) => Effect.Effect<void, LogStoreError>
  readonly holdStill: (threadId: ThreadId, outcome: Of<"Pauses">) => Effect.Effect<void, LogStoreError>
  readonly halt: (threadId: ThreadId) => Effect.Effect<void, LogStoreError>
}

export const make = (lane: Options): LanePauses => {
  const wait = Effect.fnUntraced(function* (
    threadId: ThreadId,
    { request, role, round, version }: Extract<ThreadOutcome, { readonly _tag: "Waits" }>
  ) {
    const thread = lane.threads.get(threadId)
    if (thread === undefined || thread.end !== undefined) return
    const since = yield* Clock.currentTimeMillis
    const recorded = { round, role, wait: dated(request, since), ...(version === null ? {} : { version }) }
    const waits = { round, role, wait: recorded.wait, since }
    yield* lane.change(
      { _tag: "Parked", id: threadId },
      {
        first: [RunLog.waiting(threadId, recorded)],
        once: () => {
          thread.wait = waits
        }
      }
    )
    yield* lane.waits(threadId, waits)
  })

  /** The thread's own reason to hold still. */
  const holdStill = Effect.fnUntraced(function* (
    threadId: ThreadId,
    { by, cost, reason, rounds }: Extract<ThreadOutcome, { readonly _tag: "Pauses" }>
  ) {
    const thread = lane.threads.get(threadId)
    if (thread === undefined || thread.end !== undefined) return
    yield* lane.change(
      { _tag: "Parked", id: threadId },
      {
        first: [RunLog.paused(threadId, { by, reason, ...(rounds === undefined ? {} : { rounds }), ...cost })],
        once: () => {
          thread.paused = { by, reason }
        }
      }
    )
  })

  /** It was asked to, and has finished its round. */
  const halt = Effect.fnUntraced(function* (threadId: ThreadId) {
    if (!lane.threads.isLive(threadId)) return
    // Resumed in between: it keeps its slot and goes on.
    if (lane.threads.get(threadId)?.paused === undefined) return yield* lane.run(threadId)
    yield* lane.change({ _tag: "Parked", id: threadId })
  })

  const pause = (threadId: ThreadId, reason: string) =>
    lane.locked(
      Effect.gen(function* (): Effect.fn.Return<Refusal, LogStoreError> {
        const thread = lane.threads.get(threadId)
        if (thread === undefined) return "unknown"
        if (thread.end !== undefined) return "ending"
        if (thread.paused !== undefined) return "paused"
        const first = [RunLog.paused(threadId, { by: "request", reason })]
        const place = lane.state().queue.find(({ id }) => id === threadId)
        if (place === undefined) yield* lane.store.appendAll(first)
        else yield* lane.change({ _tag: "Parked", id: threadId }, { first })
        thread.place = place
        thread.paused = { by: "request", reason }
        return undefined
      })
    )

  const resume = (threadId: ThreadId, newCode: boolean) =>
    lane.locked(
      Effect.gen(function* (): Effect.fn.Return<Refusal, LogStoreError> {
        const thread = lane.threads.get(threadId)
        if (thread === undefined) return "unknown"
        if (thread.end !== undefined) return "ending"
        if (thread.paused === undefined) return "not-paused"
        const adopts = newCode || thread.paused.by === "code"
        const first = [RunLog.resumed(threadId, { newCode: adopts, reason: thread.paused.reason })]
        const once = () => {
          thread.paused = undefined
          thread.place = undefined
        }
        // It still runs, or still waits: then there is no slot to ask for.
        if (lane.state().active.has(threadId) || thread.wait !== undefined) {
          yield* lane.store.appendAll(first)
          once()
        } else {
          yield* lane.change({ _tag: "Returned", id: threadId, ...rankOf(thread) }, { first, once })
        }
        return undefined
      })
    )

  const settle = (threadId: ThreadId, round: number, recorded: RoundRecorded) =>
    lane.locked(
      Effect.gen(function* () {
        const thread = lane.threads.get(threadId)
        if (thread === undefined || thread.end !== undefined || thread.wait?.round !== round) return false
        const first = [RunLog.message(threadId, round, recorded)]
        const once = () => {
          thread.wait = undefined
        }
        if (thread.paused === undefined) {
          yield* lane.change({ _tag: "Returned", id: threadId, ...rankOf(thread) }, { first, once })
        } else {
          yield* lane.store.appendAll(first)
          once()
        }
        return true
      })
    )

  const rankOf = ({ opened, place }: Pick<Thread, "opened" | "place">): Admission.Rank =>
    place ?? { priority: opened.priority ?? 0, returning: true, order: lane.nextOrder() }

  const retry = (threadId: ThreadId, opened: RunOpened) =>
    lane.locked(
      Effect.suspend(() => {
        if (lane.isRemoved() || lane.threads.has(threadId)) return Effect.succeed(false)
        const first = [RunLog.retried(threadId, { maxRounds: opened.maxRounds, reason: "on request" })]
        const rank = rankOf({ opened, place: undefined })
        return Effect.as(
          lane.change({ _tag: "Returned", id: threadId, ...rank }, { first, fresh: opened, again: true }),
          true
        )
      })
    )

  return { wait, holdStill, halt, pause, resume, settle, retry }
}
