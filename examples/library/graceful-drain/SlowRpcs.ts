import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export const SlowRpcs = RpcGroup.make(Rpc.make("Work", { payload: { ms: Schema.Int }, success: Schema.String }))
