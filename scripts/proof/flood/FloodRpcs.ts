import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export const FloodRpcs = RpcGroup.make(
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }),
  /** Items of so many characters, without end. */
  Rpc.make("Items", { payload: { size: Schema.Int }, success: Schema.String, stream: true }),
  /** Log lines of so many characters, as fast as the channel takes them and beyond, without end. */
  Rpc.make("Logs", { payload: { size: Schema.Int } }),
  /** The same on stdout. */
  Rpc.make("Print", { payload: { size: Schema.Int } })
)
