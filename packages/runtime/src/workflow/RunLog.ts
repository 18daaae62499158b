/**
 * The log entries that a run leaves, from its beginning to its end, and how the end of a thread's loop
 * reads in the log. Pure; `RunProjection` in core reads what is written here.
 */
import type { RunStatus } from "@nerve/core/domain/Thread"
import { ExitCode } from "@nerve/core/domain/Thread"
import type { ThreadId } from "@nerve/core/domain/Ids"
import type { LogInput } from "@nerve/core/domain/LogEntry"
import type {
  PauseRecorded,
  ResumeRecorded,
  RetryRecorded,
  RoundRecorded,
  RunCrashed,
  RunEnded,
  RunOpened,
  WaitRecorded
} from "@nerve/core/domain/RunProjection"
import type { ThreadOutcome } from "./ThreadLoop.ts"

/** What a round that failed had taken. */
export type Cost = Pick<RoundRecorded, "durationMs" | "usage">

/** Ends that are written with an exit code and a reason. */
export type EndStatus = Exclude<RunStatus, "queued" | "started" | "crashed">

const entry = (
  type: RunStatus | "message" | "waiting" | "paused" | "resumed" | "retried",
  threadId: ThreadId,
  payload:
    | RunOpened
    | RunEnded
    | RunCrashed
    | RoundRecorded
    | WaitRecorded
    | PauseRecorded
    | ResumeRecorded
    | RetryRecorded
): LogInput => ({ source: "workflow", type, refId: threadId, payload })

/** The run waits for a slot. */
export const queued = (threadId: ThreadId, opened: RunOpened): LogInput => entry("queued", threadId, opened)

/** The run has a slot. Written before the thread is sent out (M13). */
export const started = (threadId: ThreadId, opened: RunOpened): LogInput => entry("started", threadId, opened)

/** The run is dropped on arrival. */
export const rejected = (threadId: ThreadId, opened: RunOpened, reason: string): LogInput =>
  entry("dropped", threadId, { ...opened, reason })

/** A finished round; recorded once per (thread, round). */
export const message = (threadId: ThreadId, round: number, recorded: RoundRecorded): LogInput => ({
  ...entry("message", threadId, recorded),
  round
})

/** The thread gives its slot up until this round is answered. */
export const waiting = (threadId: ThreadId, wait: WaitRecorded): LogInput => entry("waiting", threadId, wait)

/** The thread holds still, after the round in flight if there is one. */
export const paused = (threadId: ThreadId, pause: PauseRecorded): LogInput => entry("paused", threadId, pause)

/** A pause is over. */
export const resumed = (threadId: ThreadId, resume: ResumeRecorded): LogInput => entry("resumed", threadId, resume)

/** A thread that had ended is taken up again. */
export const retried = (threadId: ThreadId, retry: RetryRecorded): LogInput => entry("retried", threadId, retry)

/** The worker died under the thread. The run goes on unless `final`. */
export const crashed = (threadId: ThreadId, reason: string, final: boolean): LogInput =>
  entry("crashed", threadId, { reason, final })

/** The run is over. */
export const ended = (
  threadId: ThreadId,
  status: EndStatus,
  exitCode: number,
  reason: string,
  cost: Cost = {}
): LogInput => entry(status, threadId, { exitCode, reason, ...cost })

/** The end that an outcome is; none for a thread that goes on later. */
export const ofOutcome = (threadId: ThreadId, outcome: ThreadOutcome): LogInput | undefined => {
  switch (outcome._tag) {
    case "Completed":
      return ended(threadId, "completed", ExitCode.success, "")
    case "RoundsExhausted":
      return ended(
        threadId,
        "failed",
        ExitCode.maxRounds,
        `the moderator had not ended it after ${outcome.maxRounds} rounds, its maximum`
      )
    case "Failed":
      return ended(threadId, "failed", ExitCode.roleError, outcome.reason, outcome.cost)
    case "GivenUp":
      return crashed(threadId, outcome.reason, true)
    case "Interrupted":
      return ended(threadId, "interrupted", ExitCode.interrupted, outcome.reason)
    case "Waits":
    case "Pauses":
    case "Halted":
    case "Stopped":
      return undefined
  }
}
