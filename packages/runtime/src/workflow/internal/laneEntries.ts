/**
 * What a change of a lane is in the log: the entry of each action that was decided, and the words for how
 * threads end. Pure.
 */
import type { ThreadId } from "@nerve/core/domain/Ids"
import type { LogInput } from "@nerve/core/domain/LogEntry"
import type { RunOpened } from "@nerve/core/domain/RunProjection"
import { ExitCode, type Wait } from "@nerve/core/domain/Thread"
import type { WaitRequest } from "@nerve/core/wire/WorkflowRpcs"
import type * as Admission from "@nerve/core/workflow/Admission"
import * as RunLog from "../RunLog.ts"
import type { End } from "./laneContract.ts"
import type { Thread } from "./laneThreads.ts"

export type Input = Admission.Input<ThreadId>
export type Action = Admission.Action<ThreadId>

/** What a change writes and does besides what follows from the decision. */
export interface More {
  /** Entries before those of the decision. */
  readonly first?: ReadonlyArray<LogInput>
  /** What a thread that is new here is about. */
  readonly fresh?: RunOpened
  /** The thread that is new here had a slot in an earlier life. */
  readonly again?: boolean
  /** Entries after those of the decision, unless the thread is turned away. */
  readonly copied?: ReadonlyArray<LogInput>
  /** How a kill ends the thread. */
  readonly end?: End
  /** Run once it is in the log. */
  readonly once?: () => void
}

/** What is said of a lane where a thread is turned away. */
export interface Circumstances {
  readonly concurrency: number
  readonly maxQueue: number
  readonly givenUp: string | undefined
  readonly held: string | undefined
}

/** The entry of an action; none where it changes nothing that the log says. */
export const entryOf = (
  action: Action,
  input: Input,
  more: More,
  thread: Thread | undefined,
  lane: Circumstances
): LogInput | undefined => {
  const { id } = action
  const opened = more.fresh ?? thread?.opened
  switch (action._tag) {
    case "Start":
      return opened && RunLog.started(id, asSeen(opened, thread, more))
    case "Enqueue":
      return opened && RunLog.queued(id, asSeen(opened, thread, more))
    case "Reject":
      return opened && RunLog.rejected(id, opened, rejectionText(action.why, lane))
    case "Drop":
      return RunLog.ended(
        id,
        "dropped",
        ExitCode.dropped,
        `the queue is full (max_queue ${lane.maxQueue}) and this was the oldest in it`
      )
    case "Withdraw":
      return endedBy(id, endOf(input, more))
    case "Stop":
      return thread?.end === undefined ? endedBy(id, endOf(input, more)) : undefined
    case "Resume":
      return undefined
  }
}

const rejectionText = (why: Admission.Rejection, { concurrency, givenUp, held, maxQueue }: Circumstances): string => {
  switch (why) {
    case "no-slot":
      return `all slots are taken (concurrency ${concurrency}, overflow drop)`
    case "no-place":
      return `all slots are taken (concurrency ${concurrency}) and the queue has no places (max_queue ${maxQueue})`
    case "given-up":
      return `the workflow's worker was given up: ${givenUp ?? ""}`
    case "paused":
      return `the workflow is paused: ${held ?? ""}`
  }
}

/** Whether it goes on is part of what is told of a thread that is queued or started. */
const asSeen = (opened: RunOpened, thread: Thread | undefined, { again = false, fresh }: More): RunOpened =>
  again || (fresh === undefined && thread?.begun === true) ? { ...opened, again: true } : opened

/** How an input ends threads. */
export const endOf = (input: Input, more: More): End =>
  more.end ?? (input._tag === "Removed" ? interruption(removal) : killedOnRequest)

/** The entry of an end. */
export const endedBy = (threadId: ThreadId, { exitCode, reason, status }: End): LogInput =>
  RunLog.ended(threadId, status, exitCode, reason)

/** What its worker asks to wait for, with the times that follow from now. */
export const dated = (request: WaitRequest, now: number): Wait => {
  switch (request._tag) {
    case "Approval": {
      const { question, schema, timeoutMs } = request
      return { _tag: "Approval", question, schema, until: timeoutMs === null ? null : Math.round(now + timeoutMs) }
    }
    case "Sleep":
      return { _tag: "Sleep", until: Math.round(request.until ?? now + (request.durationMs ?? 0)) }
    case "Child":
      return request
  }
}

const removal = "the workflow left the config"

/** Why threads are interrupted by a drain. */
export const replacement = "the workflow's worker was replaced"

/** The worker was replaced, or the workflow left the config. */
export const interruption = (reason: string): End => ({
  status: "interrupted",
  exitCode: ExitCode.interrupted,
  reason
})

/** On request. */
export const killing = (reason: string): End => ({ status: "killed", exitCode: ExitCode.killed, reason })

const killedOnRequest = killing("killed on request")
