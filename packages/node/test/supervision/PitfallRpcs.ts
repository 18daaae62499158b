import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export const PitfallRpcs = RpcGroup.make(
  /** Where its inspector listens, once signals that came before have been seen to; null where none does. */
  Rpc.make("InspectorUrl", { success: Schema.NullOr(Schema.String) })
)
