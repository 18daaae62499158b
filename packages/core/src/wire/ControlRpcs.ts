/**
 * What the command line (and later the HTTP API) asks of the daemon, over its local socket. Wire
 * contract: no runtime import here.
 */
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import { GroupName, SenseName, ThreadId, WorkflowName } from "../domain/Ids.ts"
import { LogEntry, LogQuery } from "../domain/LogEntry.ts"
import { Problem } from "../domain/Problem.ts"
import { MaxRounds, RunStatus, ThreadMessage, WorkflowRun } from "../domain/Thread.ts"

/** No sense of that name; `known` for a suggestion (M2). */
export class UnknownSense extends Schema.TaggedError<UnknownSense>()("UnknownSense", {
  sense: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `no sense ${JSON.stringify(this.sense)} in nerve.yaml; there are: ${this.known.join(", ") || "none"}`
  }
}

export class UnknownWorkflow extends Schema.TaggedError<UnknownWorkflow>()("UnknownWorkflow", {
  workflow: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `no workflow ${JSON.stringify(this.workflow)} in nerve.yaml; there are: ${this.known.join(", ") || "none"}`
  }
}

export class UnknownThread extends Schema.TaggedError<UnknownThread>()("UnknownThread", {
  threadId: Schema.String
}) {
  override get message(): string {
    return `no thread ${JSON.stringify(this.threadId)} in the log`
  }
}

/** The log could not be read or written; `message` says why. */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>()("StoreUnavailable", {
  message: Schema.String
}) {}

/** State of a worker as the outside sees it (R2). */
export const WorkerStateName = Schema.Literals(["stopped", "starting", "ready", "draining", "backoff", "given-up"])
export type WorkerStateName = typeof WorkerStateName.Type

export const WorkerView = Schema.Struct({
  /** `sense:GROUP` or `workflow:NAME`. */
  key: Schema.String,
  state: WorkerStateName,
  pid: Schema.NullOr(Schema.Int),
  /** How often this key was started; 0 if never. */
  incarnation: Schema.Int,
  crashes: Schema.Int
})
export type WorkerView = typeof WorkerView.Type

export const SenseView = Schema.Struct({
  name: SenseName,
  group: GroupName,
  /** `ok`, `failed` (does not load; see `problem`), `running`, `waiting` (its worker is not ready). */
  status: Schema.Literals(["ok", "failed", "running", "waiting"]),
  problem: Schema.NullOr(Problem),
  intervalMs: Schema.NullOr(Schema.Finite),
  on: Schema.Array(SenseName),
  /** Milliseconds since the Unix epoch; null when not scheduled. */
  nextAt: Schema.NullOr(Schema.Finite),
  lastAt: Schema.NullOr(Schema.Finite),
  computes: Schema.Int,
  signals: Schema.Int,
  errors: Schema.Int
})
export type SenseView = typeof SenseView.Type

export const WorkflowView = Schema.Struct({
  name: WorkflowName,
  concurrency: Schema.Int,
  overflow: Schema.Literals(["drop", "queue"]),
  maxQueue: Schema.Int,
  active: Schema.Int,
  queued: Schema.Int,
  roles: Schema.Array(Schema.String),
  problem: Schema.NullOr(Problem)
})
export type WorkflowView = typeof WorkflowView.Type

/** Health of the daemon (M11). */
export const DaemonStatus = Schema.Struct({
  version: Schema.String,
  pid: Schema.Int,
  hostname: Schema.String,
  workspace: Schema.String,
  startedAt: Schema.Finite,
  uptimeMs: Schema.Finite,
  senses: Schema.Array(SenseView),
  workflows: Schema.Array(WorkflowView),
  workers: Schema.Array(WorkerView)
})
export type DaemonStatus = typeof DaemonStatus.Type

export const ThreadDetail = Schema.Struct({
  run: WorkflowRun,
  messages: Schema.Array(ThreadMessage)
})
export type ThreadDetail = typeof ThreadDetail.Type

/** What came of a trigger: the thread, and whether it runs, waits, or was dropped. */
export const Triggered = Schema.Struct({ threadId: ThreadId, status: RunStatus })
export type Triggered = typeof Triggered.Type

export const ControlRpcs = RpcGroup.make(
  Rpc.make("GetStatus", { success: DaemonStatus }),
  Rpc.make("QueryLogs", { payload: LogQuery, success: Schema.Array(LogEntry), error: StoreUnavailable }),
  /** Entries that match, the past from `cursor` on first (all when absent: none of the past), then live. */
  Rpc.make("TailLogs", { payload: LogQuery, success: LogEntry, error: StoreUnavailable, stream: true }),
  Rpc.make("TriggerSense", { payload: { sense: Schema.String }, error: UnknownSense }),
  Rpc.make("TriggerWorkflow", {
    payload: {
      workflow: Schema.String,
      prompt: Schema.String,
      maxRounds: Schema.optionalKey(MaxRounds),
      dryRun: Schema.optionalKey(Schema.Boolean)
    },
    success: Triggered,
    error: Schema.Union([UnknownWorkflow, StoreUnavailable])
  }),
  Rpc.make("ListThreads", {
    payload: {
      workflow: Schema.optionalKey(Schema.String),
      status: Schema.optionalKey(RunStatus),
      limit: Schema.optionalKey(Schema.Int)
    },
    success: Schema.Array(WorkflowRun),
    error: StoreUnavailable
  }),
  Rpc.make("ShowThread", {
    payload: { threadId: Schema.String },
    success: ThreadDetail,
    error: Schema.Union([UnknownThread, StoreUnavailable])
  }),
  /** False when the thread is unknown or has ended already (M8). */
  Rpc.make("KillThread", { payload: { threadId: Schema.String }, success: Schema.Boolean, error: StoreUnavailable }),
  /** Stops the daemon gracefully; answers before it goes. */
  Rpc.make("StopDaemon", {})
)
