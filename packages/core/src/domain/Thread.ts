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
  endedAt: Schema.NullOr(Schema.Int)
})
export type WorkflowRun = typeof WorkflowRun.Type

/** Whether a run with this status is still to be worked on. */
export const isActive = (status: RunStatus): boolean => status === "queued" || status === "started"
