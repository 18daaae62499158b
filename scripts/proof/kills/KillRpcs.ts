import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export const KillRpcs = RpcGroup.make(
  /** Takes its time and answers with the same id. */
  Rpc.make("Job", { payload: { id: Schema.Int, ms: Schema.Int }, success: Schema.Int }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Exit", { payload: { code: Schema.Int } }),
  Rpc.make("CloseChannel", {})
)
