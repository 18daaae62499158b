/**
 * What the command line (and later the HTTP API) asks of the daemon, over its local socket. Wire
 * contract: no runtime import here.
 */
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import { ConfigProblem } from "../config/ConfigProblem.ts"
import { GroupName, SenseName, ThreadId, WorkflowName } from "../domain/Ids.ts"
import { LogEntry, LogQuery } from "../domain/LogEntry.ts"
import { Problem } from "../domain/Problem.ts"
import { Tick, TickQuery } from "../domain/Tick.ts"
import { MaxRounds, Priority, RunStatus, ThreadKey, ThreadMessage, WorkflowRun } from "../domain/Thread.ts"
import { OnChange } from "../config/NerveConfig.ts"
import { AnswerRefused } from "./WorkflowRpcs.ts"
import { ArchiveStore, GetStoreStats, RebuildStore, StoreUnavailable, VacuumStore, VerifyStore } from "./StoreRpcs.ts"

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

/** The thread is not in a state in which that can be done; the message says in which it is. */
export class ThreadRefused extends Schema.TaggedError<ThreadRefused>()("ThreadRefused", {
  threadId: Schema.String,
  message: Schema.String,
  /** What to do instead; empty when the message says it all. */
  hint: Schema.String
}) {}

export { StoreUnavailable } from "./StoreRpcs.ts"

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
  /** Its cron expression; null without one. */
  cron: Schema.NullOr(Schema.String),
  on: Schema.Array(SenseName),
  /** When its next compute is due, in milliseconds since the Unix epoch; null when not scheduled. */
  nextAt: Schema.NullOr(Schema.Finite),
  /** When its last compute started; null when it never did since the daemon started. */
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
  /** Threads that wait for an answer, a time or a child, or are paused: they hold no slot. */
  waiting: Schema.Int,
  onChange: OnChange,
  /** Why nothing is started at present, when somebody paused the workflow. */
  paused: Schema.NullOr(Schema.String),
  roles: Schema.Array(Schema.String),
  problem: Schema.NullOr(Problem)
})
export type WorkflowView = typeof WorkflowView.Type

/** nerve.yaml on disk cannot be used: the configuration before it runs on. */
export const ConfigRefused = Schema.Struct({
  /** The first problem in one line, with its place. */
  message: Schema.String,
  problems: Schema.Array(ConfigProblem),
  /** Milliseconds since the Unix epoch. */
  at: Schema.Finite
})
export type ConfigRefused = typeof ConfigRefused.Type

/** Which configuration runs. */
export const ConfigState = Schema.Struct({
  /** Since when it is in force; milliseconds since the Unix epoch. */
  since: Schema.Finite,
  /** Null when what runs is what nerve.yaml said when it was last read. */
  refused: Schema.NullOr(ConfigRefused),
  /** Keys that take effect at the next start of the daemon. */
  restart: Schema.Array(Schema.String)
})
export type ConfigState = typeof ConfigState.Type

/** What a reload that was asked for came to. */
export const ReloadOutcome = Schema.Struct({
  /** What was different in nerve.yaml, in words. */
  changes: Schema.Array(Schema.String),
  /** Senses and workflows whose code was different. They load it at their next idle moment. */
  senses: Schema.Array(Schema.String),
  workflows: Schema.Array(Schema.String),
  config: ConfigState
})
export type ReloadOutcome = typeof ReloadOutcome.Type

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
  workers: Schema.Array(WorkerView),
  /** Absent in answers of daemons that cannot reload. */
  config: Schema.optionalKey(ConfigState)
})
export type DaemonStatus = typeof DaemonStatus.Type

/** A thread and a page of its rounds; `run.rounds` says how many there are. */
export const ThreadDetail = Schema.Struct({
  run: WorkflowRun,
  messages: Schema.Array(ThreadMessage)
})
export type ThreadDetail = typeof ThreadDetail.Type

/** What came of a trigger: the thread, and whether it runs, waits, or was dropped. */
export const Triggered = Schema.Struct({
  threadId: ThreadId,
  status: RunStatus,
  /** It was there already, by its key: nothing was started. */
  existing: Schema.optionalKey(Schema.Boolean)
})
export type Triggered = typeof Triggered.Type

/** What came of a fork. */
export const Forked = Schema.Struct({
  threadId: ThreadId,
  status: RunStatus,
  /** Roles that spoke after the fork's point: their effects happen again as the fork goes on. */
  rerun: Schema.Array(Schema.String)
})
export type Forked = typeof Forked.Type

/** Why a thread is where it is, in words. */
export const Explanation = Schema.Struct({
  run: WorkflowRun,
  /** One sentence, then what more there is to know, a line each. */
  lines: Schema.Array(Schema.String)
})
export type Explanation = typeof Explanation.Type

const threadErrors = Schema.Union([UnknownThread, ThreadRefused, StoreUnavailable])

export const ControlRpcs = RpcGroup.make(
  Rpc.make("GetStatus", { success: DaemonStatus }),
  Rpc.make("QueryLogs", { payload: LogQuery, success: Schema.Array(LogEntry), error: StoreUnavailable }),
  /** Entries that match, the past from `cursor` on first (all when absent: none of the past), then live. */
  Rpc.make("TailLogs", { payload: LogQuery, success: LogEntry, error: StoreUnavailable, stream: true }),
  Rpc.make("TriggerSense", { payload: { sense: Schema.String }, error: UnknownSense }),
  /** What became of a sense's latest ticks, newest first. */
  Rpc.make("ListTicks", {
    payload: TickQuery,
    success: Schema.Array(Tick),
    error: Schema.Union([UnknownSense, StoreUnavailable])
  }),
  Rpc.make("TriggerWorkflow", {
    payload: {
      workflow: Schema.String,
      prompt: Schema.String,
      maxRounds: Schema.optionalKey(MaxRounds),
      dryRun: Schema.optionalKey(Schema.Boolean),
      /** The same key of the same workflow yields the same thread, whenever it is asked. */
      key: Schema.optionalKey(ThreadKey),
      /** Higher goes first in the queue; 0 unless told. */
      priority: Schema.optionalKey(Priority)
    },
    success: Triggered,
    error: Schema.Union([UnknownWorkflow, StoreUnavailable])
  }),
  Rpc.make("ListThreads", {
    payload: {
      workflow: Schema.optionalKey(Schema.String),
      status: Schema.optionalKey(RunStatus),
      phase: Schema.optionalKey(Schema.Literals(["waiting", "paused"])),
      limit: Schema.optionalKey(Schema.Int)
    },
    success: Schema.Array(WorkflowRun),
    error: StoreUnavailable
  }),
  /** A thread with a page of its rounds: those after `afterRound` (0 unless told), in order. */
  Rpc.make("ShowThread", {
    payload: {
      threadId: Schema.String,
      afterRound: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
      /** Rounds at most: 100 unless told, none for the run alone. */
      limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 }))),
      /** Characters of content and meta at most, but one round in any case; 1,000,000 unless told. */
      characters: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 })))
    },
    success: ThreadDetail,
    error: Schema.Union([UnknownThread, StoreUnavailable])
  }),
  /** False when the thread is unknown or has ended already (M8). */
  Rpc.make("KillThread", { payload: { threadId: Schema.String }, success: Schema.Boolean, error: StoreUnavailable }),
  /** Ends a thread as `interrupted`, with a reason; its role is stopped as by `KillThread`. */
  Rpc.make("CancelThread", {
    payload: { threadId: Schema.String, reason: Schema.String },
    success: Schema.Boolean,
    error: StoreUnavailable
  }),
  /** The thread holds still after the round in flight, until it is resumed. Answers once that is in the log. */
  Rpc.make("PauseThread", {
    payload: { threadId: Schema.String, reason: Schema.String },
    success: WorkflowRun,
    error: threadErrors
  }),
  /** A paused thread goes on; with `newCode` on the code of now, whatever it began with. */
  Rpc.make("ResumeThread", {
    payload: { threadId: Schema.String, newCode: Schema.Boolean },
    success: WorkflowRun,
    error: threadErrors
  }),
  /** Takes up a thread that has ended, but not completed, after its last recorded round. */
  Rpc.make("RetryThread", {
    payload: { threadId: Schema.String, maxRounds: Schema.optionalKey(MaxRounds) },
    success: WorkflowRun,
    error: threadErrors
  }),
  /** A new thread that begins with the first rounds of another. The other is left as it is. */
  Rpc.make("ForkThread", {
    payload: {
      threadId: Schema.String,
      /** Last round that is copied; 0 copies none. All that are recorded when absent. */
      round: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))),
      /** Replaces what that round says. */
      content: Schema.optionalKey(Schema.String),
      meta: Schema.optionalKey(Schema.Json),
      /** Replaces the prompt. */
      prompt: Schema.optionalKey(Schema.String),
      maxRounds: Schema.optionalKey(MaxRounds)
    },
    success: Forked,
    error: threadErrors
  }),
  /** Answers what a thread waits for. An answer that does not fit changes nothing. */
  Rpc.make("AnswerThread", {
    payload: {
      threadId: Schema.String,
      decision: Schema.Literals(["approved", "rejected"]),
      /** Who answers: recorded as told. */
      by: Schema.String,
      reason: Schema.String,
      answer: Schema.optionalKey(Schema.Json)
    },
    success: WorkflowRun,
    error: Schema.Union([UnknownThread, ThreadRefused, StoreUnavailable, AnswerRefused])
  }),
  /** Answers when the thread has ended. */
  Rpc.make("AwaitThread", {
    payload: { threadId: Schema.String },
    success: WorkflowRun,
    error: Schema.Union([UnknownThread, StoreUnavailable])
  }),
  Rpc.make("ExplainThread", {
    payload: { threadId: Schema.String },
    success: Explanation,
    error: Schema.Union([UnknownThread, StoreUnavailable])
  }),
  /** Nothing of the workflow is started until it is resumed; who is active goes on. False when it was so already. */
  Rpc.make("PauseWorkflow", {
    payload: { workflow: Schema.String, reason: Schema.String },
    success: Schema.Boolean,
    error: Schema.Union([UnknownWorkflow, StoreUnavailable])
  }),
  Rpc.make("ResumeWorkflow", {
    payload: { workflow: Schema.String },
    success: Schema.Boolean,
    error: Schema.Union([UnknownWorkflow, StoreUnavailable])
  }),
  ArchiveStore,
  VerifyStore,
  RebuildStore,
  VacuumStore,
  GetStoreStats,
  /** Reads nerve.yaml and looks for changed code now, whatever `watch` says. */
  Rpc.make("ReloadWorkspace", { success: ReloadOutcome }),
  /** Stops the daemon gracefully; answers before it goes. */
  Rpc.make("StopDaemon", {})
)
