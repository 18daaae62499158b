import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String, code: Schema.Int }) {
  get loud(): string {
    return this.why.toUpperCase()
  }
}

/** What `fixture.py` serves. */
export const FixtureRpcs = RpcGroup.make(
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Init", {
    success: Schema.Struct({ key: Schema.String, incarnation: Schema.Int, init: Schema.Unknown })
  }),
  Rpc.make("Huge", { payload: { length: Schema.Int }, success: Schema.String }),
  Rpc.make("NotANumber", { success: Schema.Finite }),
  Rpc.make("Refuse", { payload: { why: Schema.String, code: Schema.Int }, error: Refused }),
  Rpc.make("RefuseOddly", { error: Refused }),
  Rpc.make("Raise", {}),
  Rpc.make("Reject", {}),
  /** Not served. */
  Rpc.make("Missing", {}),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("CountThenRefuse", { success: Schema.Int, error: Refused, stream: true }),
  /** Says `waiting` as a log line, then waits to be cancelled. */
  Rpc.make("Wait", {}),
  /** Says `stubborn`, then ignores being cancelled. */
  Rpc.make("Stubborn", {}),
  Rpc.make("Counters", {
    /** Items that `Count` made, runs of it that were closed, runs of `Wait` that were cancelled. */
    success: Schema.Struct({ produced: Schema.Int, closed: Schema.Int, cancelled: Schema.Int })
  }),
  /** Prints; the last line that a child process wrote to stderr. */
  Rpc.make("Print", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("WriteRaw", { payload: { text: Schema.String, times: Schema.Int } }),
  Rpc.make("Crash", { payload: { code: Schema.Int } }),
  /** Says `blocking`, then blocks the event loop. */
  Rpc.make("Block", {})
)
