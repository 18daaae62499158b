import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export const HostileRpcs = RpcGroup.make(
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true })
)
