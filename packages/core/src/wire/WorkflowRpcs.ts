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
import { MaxRounds, RoundCost, ThreadMessage, ThreadStart } from "../domain/Thread.ts"

/** What a role asks to wait for. The daemon makes a `Wait` of it: it knows the time. */
export const WaitRequest = Schema.TaggedUnion({
  /** Until somebody answers; `schema` is the JSON Schema of the answer, null for a bare decision. */
  Approval: {
    question: Schema.String,
    schema: Schema.NullOr(Schema.Json),
    timeoutMs: Schema.NullOr(Schema.Finite)
  },
  /** For so long, or until a point of time in milliseconds since the Unix epoch. */
  Sleep: { durationMs: Schema.NullOr(Schema.Finite), until: Schema.NullOr(Schema.Finite) },
  /** For the end of a thread of that workflow, which is started for it. */
  Child: { workflow: Schema.String, prompt: Schema.String, maxRounds: Schema.NullOr(MaxRounds) }
})
export type WaitRequest = typeof WaitRequest.Type

/**
 * The moderator chose END, a role that spoke, or one that waits; or the role asked to pause the thread
 * because somebody has to mend something first. `version` is that of the code that ran.
 */
export const RoundOutcome = Schema.TaggedUnion({
  Spoke: {
    role: Schema.String,
    content: Schema.String,
    meta: Schema.Json,
    version: Schema.optionalKey(Schema.NullOr(Schema.String)),
    ...RoundCost
  },
  Ended: {},
  /** The moderator named a role, but `maxRounds` rounds were spoken: none was run. */
  Exhausted: {},
  Waits: { role: Schema.String, request: WaitRequest, version: Schema.optionalKey(Schema.NullOr(Schema.String)) },
  /** With what the round had taken until then. */
  Pauses: { role: Schema.String, reason: Schema.String, ...RoundCost }
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

/** The thread began on other code than this worker has; nothing was run. */
export class CodeChanged extends Schema.TaggedError<CodeChanged>()("CodeChanged", {
  expected: Schema.String,
  found: Schema.String
}) {
  override get message(): string {
    return `the thread began with version ${this.expected} of the workflow's code, which is at ${this.found} now`
  }
}

/** An answer that does not fit what the role asked for; nothing was recorded. */
export class AnswerRefused extends Schema.TaggedError<AnswerRefused>()("AnswerRefused", {
  role: Schema.String,
  /** Where in the answer, as `answer.amount`. */
  path: Schema.String,
  issue: Schema.String
}) {
  override get message(): string {
    return `the answer does not fit what ${this.role} asks for: ${this.path}: ${this.issue}`
  }
}

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
  problem: Schema.NullOr(Problem),
  /** Version of the code that it has loaded: a hash over the module and what it imports of the workspace. */
  version: Schema.optionalKey(Schema.NullOr(Schema.String))
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
    payload: {
      start: ThreadStart,
      steps: Schema.Array(ThreadMessage),
      /** The code that the thread is to run on; any when absent. */
      version: Schema.optionalKey(Schema.String)
    },
    success: RoundOutcome,
    error: Schema.Union([UnknownRole, RoleFailed, ModeratorFailed, WorkflowUnavailable, CodeChanged])
  })
)

/** Decodes an answer by the Schema of the role that asked for it: what is recorded of it, as JSON. */
export const CheckAnswer = Rpc.make("CheckAnswer", {
  payload: { role: Schema.String, answer: Schema.Json },
  success: Schema.Json,
  error: Schema.Union([UnknownRole, AnswerRefused, WorkflowUnavailable])
})

/**
 * Interrupts the thread's round, if one runs here, and answers when it has stopped: whether there was
 * one. A worker that hangs does not answer, which is how the daemon learns that it must be killed
 * (M8); one that does not know this call refuses it, and shows by that that it does not hang.
 */
export const StopRound = Rpc.make("StopRound", {
  payload: { threadId: ThreadId },
  success: Schema.Boolean
})

/**
 * All that a workflow worker may be asked. Serve this group to confirm that killed rounds have stopped,
 * and to check the answers that roles wait for.
 */
export const WorkflowWorkerRpcs = WorkflowRpcs.add(StopRound, CheckAnswer)
