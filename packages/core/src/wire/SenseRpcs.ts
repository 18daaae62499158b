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
  Signal: { value: Schema.Json, launches: Schema.Array(Launch) },
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

/** What a sense worker is told before it is ready. */
export const SenseWorkerInit = Schema.Struct({
  group: GroupName,
  /** Absolute path of the workspace. */
  workspace: Schema.String,
  /** The senses of this group. */
  senses: Schema.Array(
    Schema.Struct({
      name: SenseName,
      /** Soft timeout of a compute in milliseconds. */
      timeoutMs: Schema.Finite
    })
  ),
  /** All senses of the workspace: each other one's database is a read-only peer (S3). */
  peers: Schema.Array(SenseName)
})
export type SenseWorkerInit = typeof SenseWorkerInit.Type

/** What it reports as ready: a broken sense is listed, the others go on (S8). */
export const SenseWorkerReady = Schema.Struct({
  senses: Schema.Array(Schema.Struct({ name: SenseName, problem: Schema.NullOr(Problem) }))
})
export type SenseWorkerReady = typeof SenseWorkerReady.Type

export const SenseRpcs = RpcGroup.make(
  Rpc.make("RunCompute", {
    payload: { sense: SenseName },
    success: ComputeOutcome,
    error: Schema.Union([ComputeFailed, ComputeTimeout, SenseUnavailable])
  })
)
