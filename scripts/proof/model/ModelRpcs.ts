import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

const numbered = { n: Schema.Int }

export const ModelRpcs = RpcGroup.make(
  /** Answers with the number, at once. Writes down that it was carried out, as `Slow` and `Count` do. */
  Rpc.make("Echo", { payload: numbered, success: Schema.Int }),
  /** The same after so many milliseconds. */
  Rpc.make("Slow", { payload: { ...numbered, ms: Schema.Int }, success: Schema.Int }),
  /** The number ten times. */
  Rpc.make("Count", { payload: numbered, success: Schema.Int, stream: true }),
  /** Never answers. */
  Rpc.make("Hang", {}),
  /** Blocks the event loop for ever. */
  Rpc.make("Spin", {}),
  Rpc.make("Exit", { payload: { code: Schema.Int } })
)
