/**
 * The threads of a lane that are active, queued or parked, and what is known of each besides that.
 */
import type { ThreadId } from "@nerve/core/domain/Ids"
import type { RunOpened } from "@nerve/core/domain/RunProjection"
import type { ThreadPause, ThreadWait, WorkflowRun } from "@nerve/core/domain/Thread"
import type * as Admission from "@nerve/core/workflow/Admission"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { End } from "./laneContract.ts"

/** A thread that is active, queued or parked. */
export interface Thread {
  readonly opened: RunOpened
  /** Set when its end is in the log; it keeps its slot until it has really stopped. */
  end: End["status"] | undefined
  /** What it waits for, since when. */
  wait: ThreadWait | undefined
  /** Why it holds still, or will once its round in flight is over. */
  paused: Pick<ThreadPause, "by" | "reason"> | undefined
  /** It had a slot before. */
  begun: boolean
  /** The place that it had in the queue when it was paused there. */
  place: Admission.Rank | undefined
  /** Done when it is neither active, queued nor parked any more. */
  readonly gone: Deferred.Deferred<void>
}

export interface LaneThreads {
  readonly get: (threadId: ThreadId) => Thread | undefined
  readonly has: (threadId: ThreadId) => boolean
  readonly all: () => ReadonlyArray<Thread>
  /** It is here from now on; `run`: what the log knows of it. */
  readonly keep: (threadId: ThreadId, opened: RunOpened, run?: WorkflowRun) => void
  /** It has a slot. */
  readonly begin: (threadId: ThreadId) => void
  /** It is here no more; whoever waits for that is told. */
  readonly forget: (threadId: ThreadId) => void
  /** Whether it is here and nobody has ended it. */
  readonly isLive: (threadId: ThreadId) => boolean
}

/** Nobody is here. */
export const make = (): LaneThreads => {
  const known = new Map<ThreadId, Thread>()
  return {
    get: (threadId) => known.get(threadId),
    has: (threadId) => known.has(threadId),
    all: () => [...known.values()],
    keep: (threadId, opened, run) => {
      known.set(threadId, {
        opened,
        end: undefined,
        wait: run?.wait ?? undefined,
        paused: run?.paused ?? undefined,
        begun: run !== undefined && run.startedAt !== null,
        place: run === undefined ? undefined : placeOf(run),
        gone: Deferred.makeUnsafe()
      })
    },
    begin: (threadId) => {
      const thread = known.get(threadId)
      if (thread !== undefined) thread.begun = true
    },
    forget: (threadId) => {
      const thread = known.get(threadId)
      known.delete(threadId)
      if (thread !== undefined) Deferred.doneUnsafe(thread.gone, Effect.void)
    },
    isLive: (threadId) => known.has(threadId) && known.get(threadId)?.end === undefined
  }
}

/** What a run that was queued before there were places goes by. */
const unplaced = { priority: 0, returning: false } as const

/** The place in the queue that the log says; none unless it is queued. */
export const placeOf = ({ place, priority, status }: WorkflowRun): Admission.Rank | undefined =>
  place === null || status !== "queued" ? undefined : { priority, returning: place.returning, order: place.id }

/** As `placeOf`, of one that is queued. */
export const queuedAt = (run: WorkflowRun): Admission.Rank => placeOf(run) ?? { ...unplaced, order: run.createdId }
