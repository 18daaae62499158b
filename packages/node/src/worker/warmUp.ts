/**
 * What a spare does once before it is needed: it serves a call, a stream and an error of a group of its own, over
 * a channel that leads nowhere. By then what a first answer takes (compiling, mostly) has been done.
 */
import type { Channel } from "@nerve/runtime/ipc/Channel"
import * as Worker from "@nerve/runtime/ipc/Worker"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

/** A channel from which `frames` come, and into which whatever is sent is lost. */
const nowhere = (frames: ReadonlyArray<unknown>): Channel => ({
  sendUnsafe: (frame) => (JSON.stringify(frame), "sent"),
  flushUnsafe: () => {},
  drained: Effect.void,
  isFullUnsafe: () => false,
  onFrameUnsafe: (receive) => setImmediate(() => frames.forEach(receive)),
  onEndUnsafe: () => {},
  pauseUnsafe: () => {},
  resumeUnsafe: () => {},
  closeUnsafe: () => {}
})

/** Done when a program has served and stopped. */
export const warmUp: Effect.Effect<void> = Effect.suspend(() => {
  class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {}

  const Item = Schema.Struct({
    text: Schema.String,
    count: Schema.Finite,
    tags: Schema.Array(Schema.String),
    maybe: Schema.optionalKey(Schema.NullOr(Schema.Boolean))
  })

  const rpcs = RpcGroup.make(
    Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }),
    Rpc.make("Item", { payload: { item: Item }, success: Item, error: Refused }),
    Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, stream: true })
  )

  const item = { text: "x", count: 1, tags: ["a"] }

  const serve = Worker.serve(rpcs, {
    Echo: ({ text }) => Effect.as(Effect.yieldNow, text),
    Item: ({ item }) => (item.count > 0 ? Effect.succeed(item) : Effect.fail(new Refused({ why: "no" }))),
    Count: ({ to }) => Stream.range(1, to)
  })

  const channel = nowhere([
    { t: "call", id: 1, method: "Echo", payload: { text: "x" } },
    { t: "call", id: 2, method: "Item", payload: { item } },
    { t: "call", id: 3, method: "Item", payload: { item: { ...item, count: 0 } } },
    { t: "call", id: 4, method: "Count", payload: { to: 3 } },
    { t: "ping", n: 1 },
    { t: "stop" }
  ])
  const port = { channel, key: "", incarnation: 0, init: null }
  return Effect.andThen(Effect.logInfo("warm"), serve).pipe(
    Effect.provideService(Worker.WorkerPort, port),
    Effect.provide(Logger.layer([Worker.logger(channel)]))
  )
})
