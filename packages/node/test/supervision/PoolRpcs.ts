import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String, code: Schema.Int }) {}

export const PoolRpcs = RpcGroup.make(
  /** Notes in the file `JOURNAL` that it runs, takes its time, answers with the same id. */
  Rpc.make("Job", { payload: { id: Schema.Int, ms: Schema.Int }, success: Schema.Int }),
  Rpc.make("Who", { success: Schema.Struct({ pid: Schema.Int, version: Schema.String }) }),
  Rpc.make("Sleep", { payload: { ms: Schema.Int } }),
  /** Says so on stdout, then blocks the event loop for ever. */
  Rpc.make("Spin", {}),
  /** Keeps so many bytes more resident; how many are then. */
  Rpc.make("Grow", { payload: { bytes: Schema.Int }, success: Schema.Int }),
  Rpc.make("Refuse", { payload: { why: Schema.String }, error: Refused }),
  Rpc.make("Throw", { payload: { message: Schema.String } }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  /** Prints lines, then exits at once. */
  Rpc.make("PrintAndExit", { payload: { lines: Schema.Int, code: Schema.Int } }),
  Rpc.make("Exit", { payload: { code: Schema.Int } }),
  Rpc.make("CloseChannel", {})
)
