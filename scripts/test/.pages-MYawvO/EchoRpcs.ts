import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export const EchoRpcs = RpcGroup.make(Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }))
