/**
 * What the daemon asks of a sense worker (one per group). Wire contract: no runtime import here.
 */
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import { GroupName, SenseName, WorkflowName } from "../domain/Ids.ts"
import { Problem } from "../domain/Problem.ts"
import { MaxRounds } from "../domain/Thread.ts"

/** A workflow launch that a sense returned with its signal (M12). */
export const Launch = Schema.Struct({
  workflow: WorkflowName,
  prompt: Schema.String,
  maxRounds: Schema.optionalKey(MaxRounds),
  dryRun: Schema.optionalKey(Schema.Boolean)
})
export type Launch = typeof Launch.Type

/** What one compute came to. `NoSignal` tells the parent so explicitly (S6). */
export const ComputeOutcome = Schema.TaggedUnion({
  Signal: {
    value: Schema.Json,
    launches: Schema.Array(Launch),
    /** Names the signal in the sense's database for good; see `RunCompute`. */
    key: Schema.optionalKey(Schema.String)
  },
  NoSignal: { reason: Schema.NullOr(Schema.String) }
})
export type ComputeOutcome = typeof ComputeOutcome.Type

/** The compute threw, failed, or returned what its Schema refuses. The worker goes on. */
export class ComputeFailed extends Schema.TaggedError<ComputeFailed>()("ComputeFailed", {
  sense: SenseName,
  message: Schema.String,
  stack: Schema.NullOr(Schema.String)
}) {}

/** The soft timeout passed: the abort signal has fired and the compute gave way (S4). */
export class ComputeTimeout extends Schema.TaggedError<ComputeTimeout>()("ComputeTimeout", {
  sense: SenseName,
  timeoutMs: Schema.Finite
}) {
  override get message(): string {
    return `compute of ${this.sense} ran longer than its timeout of ${this.timeoutMs} ms and was aborted`
  }
}

/** This worker has no such sense, or the sense failed to load. */
export class SenseUnavailable extends Schema.TaggedError<SenseUnavailable>()("SenseUnavailable", {
  sense: SenseName,
  problem: Schema.NullOr(Problem)
}) {
  override get message(): string {
    return this.problem?.message ?? `no sense ${this.sense} in this worker`
  }
}

/** What a worker is told of a sense that it is to boot. */
export const SenseInit = Schema.Struct({
  name: SenseName,
  /** Soft timeout of a compute in milliseconds. */
  timeoutMs: Schema.Finite,
  /** `params` of nerve.yaml, as written. */
  params: Schema.optionalKey(Schema.Json),
  /** Another version of its module is imported anew; see `BootSense`. */
  version: Schema.optionalKey(Schema.String),
  /** Absolute path of a database to use instead of the sense's own: a copy, for a trial. */
  database: Schema.optionalKey(Schema.String)
})
export type SenseInit = typeof SenseInit.Type

/** What a sense worker is told before it is ready. */
export const SenseWorkerInit = Schema.Struct({
  group: GroupName,
  /** Absolute path of the workspace. */
  workspace: Schema.String,
  /** The senses of this group. */
  senses: Schema.Array(SenseInit),
  /** All senses of the workspace: each other one's database is a read-only peer (S3). */
  peers: Schema.Array(SenseName)
})
export type SenseWorkerInit = typeof SenseWorkerInit.Type

/** What has come of a sense's boot. */
export const SenseBoot = Schema.Struct({
  name: SenseName,
  problem: Schema.NullOr(Problem),
  /** It is not done yet, for its migrations take long: `AwaitBoot` answers when it is. */
  booting: Schema.optionalKey(Schema.Boolean),
  /** Its database holds a signal's key; see `RunCompute`. */
  lastSignal: Schema.optionalKey(Schema.String)
})
export type SenseBoot = typeof SenseBoot.Type

/** What it reports as ready: a broken sense is listed, the others go on (S8). */
export const SenseWorkerReady = Schema.Struct({ senses: Schema.Array(SenseBoot) })
export type SenseWorkerReady = typeof SenseWorkerReady.Type

/**
 * A signal is saved in the sense's database together with the compute's rows and state, under a key,
 * before the daemon hears of it. `recorded` is the key of the last signal of this sense that is in the
 * log: when the database holds another one, that one is the answer, and nothing is computed. So no death
 * of worker or daemon loses a signal, or has it recorded twice.
 */
export const SenseRpcs = RpcGroup.make(
  Rpc.make("RunCompute", {
    payload: { sense: SenseName, recorded: Schema.optionalKey(Schema.NullOr(Schema.String)) },
    success: ComputeOutcome,
    error: Schema.Union([ComputeFailed, ComputeTimeout, SenseUnavailable])
  }),
  /** Answers when the sense has booted, and with what. */
  Rpc.make("AwaitBoot", { payload: { sense: SenseName }, success: SenseBoot, error: SenseUnavailable }),
  /**
   * Boots one sense anew, or one that this worker did not have: at the end of the compute that runs, and
   * without disturbing the others. Node keeps every version of a module, so a new `version` is what makes
   * it read the file again. Answers when it has booted.
   */
  Rpc.make("BootSense", { payload: SenseInit, success: SenseBoot }),
  /** Closes one sense at the end of the compute that runs. A no-op when there is none of that name. */
  Rpc.make("DropSense", { payload: { sense: SenseName } }),
  /** All senses of the workspace from now on; see `peers` of `SenseWorkerInit`. */
  Rpc.make("SetPeers", { payload: { peers: Schema.Array(SenseName) } })
)
