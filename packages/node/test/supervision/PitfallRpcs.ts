import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export const PitfallRpcs = RpcGroup.make(
  /** Where its inspector listens, once signals that came before have been seen to; null where none does. */
  Rpc.make("InspectorUrl", { success: Schema.NullOr(Schema.String) }),
  /** Answers, and exits: in the same turn of its event loop, or in the next one. */
  Rpc.make("AnswerAndExit", { payload: { length: Schema.Int, later: Schema.Boolean }, success: Schema.String })
)
