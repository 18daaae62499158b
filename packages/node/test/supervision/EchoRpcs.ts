import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {}

export const EchoRpcs = RpcGroup.make(
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Environment", { success: Schema.Record(Schema.String, Schema.String) }),
  Rpc.make("Refuse", { payload: { why: Schema.String }, error: Refused }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Never", { success: Schema.String }),
  /** Prints to stdout and stderr, by console and by Effect's log. */
  Rpc.make("Talk", { payload: { text: Schema.String } }),
  /** Blocks the event loop for ever. */
  Rpc.make("Spin", {}),
  /** Blocks the event loop for so long. */
  Rpc.make("Block", { payload: { ms: Schema.Int } }),
  /** Takes that much memory and keeps it, outside of the heap or on it. */
  Rpc.make("Hold", { payload: { mb: Schema.Int, where: Schema.Literals(["buffer", "heap"]) } }),
  /** Tries what the permission model may forbid: `allowed`, or the error's code. */
  Rpc.make("Try", {
    payload: { what: Schema.Literals(["read", "write", "spawn"]), path: Schema.String },
    success: Schema.String
  }),
  /** Where it runs, and what it was started with. */
  Rpc.make("Place", { success: Schema.Struct({ cwd: Schema.String, argv: Schema.Array(Schema.String) }) }),
  Rpc.make("Shell", { payload: { command: Schema.String }, success: Schema.String }),
  Rpc.make("Exit", { payload: { code: Schema.Int } }),
  /** Writes these bytes to fd 3, past the protocol. */
  Rpc.make("WriteRaw", { payload: { text: Schema.String, times: Schema.Int } }),
  /** Is answered past the protocol: call `id`, by this text as its value. */
  Rpc.make("Answer", { payload: { id: Schema.Int, raw: Schema.String }, success: Schema.Json }),
  Rpc.make("Huge", { payload: { length: Schema.Int }, success: Schema.String }),
  /** Starts a grandchild that ignores SIGTERM; its pid. `setsid`: in a session of its own. */
  Rpc.make("Breed", { payload: { setsid: Schema.Boolean }, success: Schema.Int })
)
