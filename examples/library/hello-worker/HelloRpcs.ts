import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

/** What the worker can be asked. */
export const HelloRpcs = RpcGroup.make(
  Rpc.make("Greet", { payload: { name: Schema.String }, success: Schema.String, error: Schema.String })
)
