import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {}

const Place = Schema.Struct({ key: Schema.String, cwd: Schema.String, argv: Schema.Array(Schema.String) })

export const BundleRpcs = RpcGroup.make(
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Refuse", { payload: { why: Schema.String }, error: Refused }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Never", {}),
  /** What the module found while it was evaluated, and what it was sent. */
  Rpc.make("Began", { success: Schema.Struct({ ...Place.fields, init: Schema.Json }) }),
  /** Dies of an error that is made on a line that says so. */
  Rpc.make("Boom", {}),
  /** Files of packages and of the worker that this process has loaded, and Node's modules. */
  Rpc.make("Loaded", { success: Schema.Struct({ url: Schema.String, builtins: Schema.Array(Schema.String) }) }),
  Rpc.make("Print", { payload: { text: Schema.String } }),
  Rpc.make("Exit", { payload: { code: Schema.Int } }),
  Rpc.make("Read", { payload: { path: Schema.String }, success: Schema.String })
)
