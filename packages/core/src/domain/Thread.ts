/**
 * A thread is one run of a workflow: a durable conversation. Its messages are log entries; its run
 * (status, exit code, times) is a projection of them, see `RunProjection`.
 */
import * as Schema from "effect/Schema"
import { RoleName, ThreadId, WorkflowName } from "./Ids.ts"
import { Usage } from "./Usage.ts"

/**
 * Run statuses (M6). `queued` and `started` are active, all others are ends.
 *
 * - `completed`: the moderator ended it (exit code 0).
 * - `failed`: a role error (1), or the rounds ran out before the moderator ended it (2).
 * - `crashed`: its worker was given up (255).
 * - `dropped`: it never ran, for want of a slot or of a place in the queue (1).
 * - `interrupted`: the worker was replaced, or the workflow left the config (1).
 * - `killed`: on request (137).
 */
export const RunStatus = Schema.Literals([
  "queued",
  "started",
  "completed",
  "failed",
  "crashed",
  "dropped",
  "interrupted",
  "killed"
])
export type RunStatus = typeof RunStatus.Type

/** Exit codes of a run (M6). */
export const ExitCode = {
  success: 0,
  roleError: 1,
  maxRounds: 2,
  dropped: 1,
  interrupted: 1,
  killed: 137,
  crashed: 255
} as const

/** How many rounds somebody may ask for: at least one. */
export const MaxRounds = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

/**
 * What a waiting thread waits for. It holds no slot and no process meanwhile. Times are milliseconds
 * since the Unix epoch; wire format.
 *
 * - `Approval`: somebody answers. `schema` is the JSON Schema of the answer, null for a bare decision;
 *   after `until` it is answered as timed out.
 * - `Sleep`: a point of time.
 * - `Child`: the end of a thread of `workflow`, which is started for it.
 */
export const Wait = Schema.TaggedUnion({
  Approval: { question: Schema.String, schema: Schema.NullOr(Schema.Json), until: Schema.NullOr(Schema.Int) },
  Sleep: { until: Schema.Int },
  Child: { workflow: Schema.String, prompt: Schema.String, maxRounds: Schema.NullOr(MaxRounds) }
})
export type Wait = typeof Wait.Type

/** A wait, and the round that its end will be. */
export const ThreadWait = Schema.Struct({
  round: Schema.Int,
  role: RoleName,
  since: Schema.Int,
  wait: Wait
})
export type ThreadWait = typeof ThreadWait.Type

/**
 * Why a thread holds still until somebody resumes it: on `request`; because its `code` is another than
 * it began with; because of a `failure` that somebody can mend; because it has taken its `budget`.
 */
export const PauseCause = Schema.Literals(["request", "code", "failure", "budget"])
export type PauseCause = typeof PauseCause.Type

export const ThreadPause = Schema.Struct({ by: PauseCause, reason: Schema.String, since: Schema.Int })
export type ThreadPause = typeof ThreadPause.Type

/** Where a forked thread comes from: the thread, and its last round that was copied (0: none). */
export const ForkOrigin = Schema.Struct({ threadId: ThreadId, round: Schema.Int })
export type ForkOrigin = typeof ForkOrigin.Type

/**
 * A thread's place in the queue: the log id of the entry that gave it, and whether the thread had a
 * slot before. Higher `priority` goes first, then who had a slot before, then the lower id.
 */
export const QueuePlace = Schema.Struct({ id: Schema.Int, returning: Schema.Boolean })
export type QueuePlace = typeof QueuePlace.Type

/** Higher goes first; 0 unless told. */
export const Priority = Schema.Int.check(Schema.isBetween({ minimum: -1000, maximum: 1000 }))

/** What a caller names a thread by, so that asking twice starts it once. */
export const ThreadKey = Schema.NonEmptyString.check(Schema.isMaxLength(256))

/** What starts a thread. */
export const ThreadStart = Schema.Struct({
  threadId: ThreadId,
  workflow: WorkflowName,
  prompt: Schema.String,
  /** The thread ends with exit code 2 after this many rounds. */
  maxRounds: Schema.Int,
  /** Adapters are not run; each role answers with a placeholder. */
  dryRun: Schema.Boolean
})
export type ThreadStart = typeof ThreadStart.Type

/** What a round took, as the worker that ran it tells. Fields of a message; workers in other languages may leave them out. */
export const RoundCost = {
  /** Milliseconds from the moderator's word to the role's answer. */
  durationMs: Schema.optionalKey(Schema.Finite),
  /** What asking models took; absent when none was asked. */
  usage: Schema.optionalKey(Usage)
}

/** One finished round: which role spoke, what it said, and its Schema-checked meta. */
export const ThreadMessage = Schema.Struct({
  /** From 1. */
  round: Schema.Int,
  role: RoleName,
  content: Schema.String,
  meta: Schema.Json,
  ...RoundCost,
  /** Milliseconds since the Unix epoch at which it was recorded. */
  timestamp: Schema.Int
})
export type ThreadMessage = typeof ThreadMessage.Type

/** A run as `workflow_runs` holds it. Times are milliseconds since the Unix epoch. */
export const WorkflowRun = Schema.Struct({
  threadId: ThreadId,
  workflow: WorkflowName,
  status: RunStatus,
  /** Null while active. */
  exitCode: Schema.NullOr(Schema.Int),
  /** Why it ended as it did; empty for a success. */
  reason: Schema.String,
  prompt: Schema.String,
  maxRounds: Schema.Int,
  dryRun: Schema.Boolean,
  /** Rounds recorded so far. */
  rounds: Schema.Int,
  /** How often its worker died under it. */
  crashes: Schema.Int,
  /** Log id of the entry that created it: the order in which runs were accepted. */
  createdId: Schema.Int,
  createdAt: Schema.Int,
  startedAt: Schema.NullOr(Schema.Int),
  endedAt: Schema.NullOr(Schema.Int),
  /** Of an active run that is neither at work nor in the queue: `paused` goes before `waiting`. */
  phase: Schema.NullOr(Schema.Literals(["waiting", "paused"])),
  /** What it waits for. A paused thread may wait as well. */
  wait: Schema.NullOr(ThreadWait),
  paused: Schema.NullOr(ThreadPause),
  /** Version of the workflow's code that its rounds ran on; null before the first round. */
  version: Schema.NullOr(Schema.String),
  /** What its caller named it by, unique within the workflow. */
  key: Schema.NullOr(Schema.String),
  priority: Schema.Int,
  /** The thread that waits for it. */
  parent: Schema.NullOr(ThreadId),
  origin: Schema.NullOr(ForkOrigin),
  place: Schema.NullOr(QueuePlace)
})
export type WorkflowRun = typeof WorkflowRun.Type

/** Whether a thread that ended so can be taken up again from its last good round. */
export const isRetryable = (status: RunStatus): boolean => !isActive(status) && status !== "completed"

/** Whether a run with this status is still to be worked on. */
export const isActive = (status: RunStatus): boolean => status === "queued" || status === "started"
