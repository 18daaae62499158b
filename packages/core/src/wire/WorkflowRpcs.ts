/**
 * What the daemon asks of a workflow worker (one per workflow, shared by its threads). The worker
 * keeps nothing: each request carries the thread so far, so any incarnation can answer it (M7).
 * Wire contract: no runtime import here.
 */
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import { ThreadId, WorkflowName } from "../domain/Ids.ts"
import { Problem } from "../domain/Problem.ts"
import { RoundCost, ThreadMessage, ThreadStart } from "../domain/Thread.ts"

/** The moderator chose END, or a role that spoke. */
export const RoundOutcome = Schema.TaggedUnion({
  Spoke: { role: Schema.String, content: Schema.String, meta: Schema.Json, ...RoundCost },
  Ended: {}
})
export type RoundOutcome = typeof RoundOutcome.Type

/** The moderator named a role that the workflow does not have (W4). */
export class UnknownRole extends Schema.TaggedError<UnknownRole>()("UnknownRole", {
  role: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `the moderator chose the role ${JSON.stringify(this.role)}, which is none of: ${this.known.join(", ")}`
  }
}

/** A role threw, failed, or its meta did not decode after the repair retries (W2). */
export class RoleFailed extends Schema.TaggedError<RoleFailed>()("RoleFailed", {
  role: Schema.String,
  message: Schema.String,
  stack: Schema.NullOr(Schema.String),
  /** What it had taken until then. */
  ...RoundCost
}) {}

/** The moderator itself threw. */
export class ModeratorFailed extends Schema.TaggedError<ModeratorFailed>()("ModeratorFailed", {
  message: Schema.String,
  stack: Schema.NullOr(Schema.String)
}) {}

/** What a workflow worker is told before it is ready. */
export const WorkflowWorkerInit = Schema.Struct({
  workflow: WorkflowName,
  /** Absolute path of the workspace. */
  workspace: Schema.String,
  /** `agents` of nerve.yaml, by name: what adapters may refer to. */
  agents: Schema.Record(
    Schema.String,
    Schema.Struct({
      type: Schema.String,
      model: Schema.NullOr(Schema.String),
      timeoutMs: Schema.NullOr(Schema.Finite)
    })
  ),
  extract: Schema.NullOr(Schema.Struct({ provider: Schema.String, model: Schema.String }))
})
export type WorkflowWorkerInit = typeof WorkflowWorkerInit.Type

/** What it reports as ready: the workflow's roles, or why it did not load. */
export const WorkflowWorkerReady = Schema.Struct({
  roles: Schema.Array(Schema.String),
  problem: Schema.NullOr(Problem)
})
export type WorkflowWorkerReady = typeof WorkflowWorkerReady.Type

/** The workflow's module did not load; `problem` says why. */
export class WorkflowUnavailable extends Schema.TaggedError<WorkflowUnavailable>()("WorkflowUnavailable", {
  workflow: WorkflowName,
  problem: Problem
}) {
  override get message(): string {
    return this.problem.message
  }
}

export const WorkflowRpcs = RpcGroup.make(
  Rpc.make("RunRound", {
    payload: { start: ThreadStart, steps: Schema.Array(ThreadMessage) },
    success: RoundOutcome,
    error: Schema.Union([UnknownRole, RoleFailed, ModeratorFailed, WorkflowUnavailable])
  })
)

/**
 * Interrupts the thread's round, if one runs here, and answers when it has stopped: whether there was
 * one. A worker that hangs does not answer, which is how the daemon learns that it must be killed
 * (M8); one that does not know this call refuses it, and shows by that that it does not hang.
 */
export const StopRound = Rpc.make("StopRound", {
  payload: { threadId: ThreadId },
  success: Schema.Boolean
})

/** All that a workflow worker may be asked. Serve this group to confirm that killed rounds have stopped. */
export const WorkflowWorkerRpcs = WorkflowRpcs.add(StopRound)
