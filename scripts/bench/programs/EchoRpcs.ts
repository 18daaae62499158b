/** The work of the bench as nerve's worker and caller see it: typed by Schema on both sides. */
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"

export const Entry = Schema.Struct({
  id: Schema.Int,
  name: Schema.String,
  email: Schema.String,
  score: Schema.Finite,
  active: Schema.Boolean,
  tags: Schema.Array(Schema.String)
})

export const EchoRpcs = RpcGroup.make(
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.Struct({ text: Schema.String }) }),
  Rpc.make("Records", {
    payload: { rows: Schema.Array(Entry) },
    success: Schema.Struct({ rows: Schema.Array(Entry) })
  }),
  Rpc.make("Opaque", { payload: { rows: Schema.Unknown }, success: Schema.Struct({ rows: Schema.Unknown }) }),
  Rpc.make("Items", { payload: { count: Schema.Int }, success: Schema.Struct({ text: Schema.String }), stream: true })
)
