/** The worker that supervision tests run: it echoes, counts, waits, streams, fails in every way. */
import { Deferred, Effect, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import * as Worker from "@nerve/runtime/ipc/Worker"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {}

export const ways = ["bigint", "huge error", "huge defect", "circular defect", "odd defect", "rich defect"] as const

export const EchoRpcs = RpcGroup.make(
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Refuse", { payload: { why: Schema.String }, error: Refused }),
  Rpc.make("Die", { payload: { why: Schema.String } }),
  Rpc.make("Hang", { success: Schema.String }),
  Rpc.make("Count", { payload: { to: Schema.Int }, success: Schema.Int, error: Refused, stream: true }),
  Rpc.make("WhenIs", { payload: { at: Schema.DateFromString }, success: Schema.DateFromString }),
  /** Takes and gives what JSON may have no form for. */
  Rpc.make("Any", { payload: { value: Schema.Any } }),
  Rpc.make("Answer", {
    payload: { how: Schema.Literals(ways) },
    success: Schema.Struct({ value: Schema.Any }),
    error: Refused
  }),
  /** One chunk of `items` texts of `length` characters. */
  Rpc.make("Wide", { payload: { items: Schema.Int, length: Schema.Int }, success: Schema.String, stream: true })
)

/** An error as libraries make them: a class, properties, a cause, and some that JSON has no form for. */
class ConnectionLost extends Error {
  readonly host = "db.example"
  readonly attempt = { count: 3, waits: [1, 2, 4] }
  readonly big = 10n
  readonly retry = () => {}
}

/** More than a frame may hold. */
const huge = "x".repeat(5 * 1024 * 1024)

const answer = (how: (typeof ways)[number]): Effect.Effect<{ readonly value: unknown }, Refused> => {
  switch (how) {
    case "bigint":
      return Effect.succeed({ value: 10n })
    case "huge error":
      return Effect.fail(new Refused({ why: huge }))
    case "huge defect":
      return Effect.die(new RangeError(huge))
    case "circular defect": {
      const circular: { self?: unknown } = {}
      circular.self = circular
      return Effect.die(circular)
    }
    case "rich defect": {
      const cause = Object.assign(new TypeError("no route"), { code: "EHOSTUNREACH" })
      return Effect.die(new ConnectionLost("lost", { cause }))
    }
    case "odd defect":
      // What libraries in plain JavaScript do.
      return Effect.die(Object.assign(new Error("text"), { message: { code: 7 } }))
  }
}

export interface Probe {
  /** Texts echoed, by all incarnations, in the order of arrival. */
  readonly echoed: Array<string>
  /** Calls of Hang that were interrupted. */
  interrupted: number
  /** Completed by a test to let Hang answer. */
  readonly release: Deferred.Deferred<string>
  pulled: number
}

export const makeProbe = (): Probe => ({ echoed: [], interrupted: 0, release: Deferred.makeUnsafe(), pulled: 0 })

export const program = (probe: Probe) =>
  Worker.serve(
    EchoRpcs,
    {
      Echo: ({ text }) =>
        Effect.sync(() => {
          probe.echoed.push(text)
          return text
        }),
      Refuse: ({ why }) => Effect.fail(new Refused({ why })),
      Die: ({ why }) => Effect.die(new RangeError(why)),
      Hang: () =>
        Effect.onInterrupt(Deferred.await(probe.release), () =>
          Effect.sync(() => {
            probe.interrupted += 1
          })
        ),
      Count: ({ to }) =>
        to < 0
          ? Stream.fail(new Refused({ why: "negative" }))
          : Stream.range(1, to).pipe(
              Stream.rechunk(1),
              Stream.tap(() =>
                Effect.sync(() => {
                  probe.pulled += 1
                })
              )
            ),
      WhenIs: ({ at }) => Effect.succeed(at),
      Any: () => Effect.void,
      Answer: ({ how }) => answer(how),
      Wide: ({ items, length }) => Stream.fromArray(Array.from({ length: items }, () => "x".repeat(length)))
    },
    { info: { greeting: "hello" } }
  )
