import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export class NoName extends Schema.TaggedError<NoName>()("NoName", {}) {}

export const HelloRpcs = RpcGroup.make(
  Rpc.make("Greet", { payload: { name: Schema.String }, success: Schema.String, error: NoName })
)
