/** Calls a worker that is written in Python: `node examples/python-worker/main.ts`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Console, Effect, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { fileURLToPath } from "node:url"

class NegativeNumber extends Schema.TaggedError<NegativeNumber>()("NegativeNumber", { of: Schema.Finite }) {}

const Mathematics = RpcGroup.make(
  Rpc.make("Sqrt", { payload: { of: Schema.Finite }, success: Schema.Finite, error: NegativeNumber }),
  Rpc.make("Primes", { payload: { below: Schema.Int }, success: Schema.Int, stream: true }),
  Rpc.make("Sleep", { payload: { seconds: Schema.Finite } })
)

const python = process.env["PYTHON"] ?? "python3"
const script = fileURLToPath(new URL("./worker.py", import.meta.url))

const program = Effect.gen(function* () {
  const runtime = yield* WorkerRuntime.make({
    rpcs: Mathematics,
    worker: () => WorkerSpec.command(python, [script], { transport: "stdio" }),
    onEvent: (event) => (event._tag === "WorkerOutput" ? Console.log(`  ${event.stream}: ${event.line}`) : Effect.void)
  })
  const worker = yield* runtime.client("mathematics")

  yield* Console.log("the square root of 2 is", yield* worker.Sqrt({ of: 2 }))

  const refused = yield* Effect.flip(worker.Sqrt({ of: -4 }))
  if (refused._tag === "NegativeNumber") yield* Console.log("there is none of", refused.of)

  const slept = yield* Effect.timeoutOption(worker.Sleep({ seconds: 60 }), "100 millis")
  yield* Console.log("a minute's sleep within 100 ms:", slept._tag)

  const primes = yield* Stream.runCollect(worker.Primes({ below: 30 }))
  yield* Console.log("primes below 30:", primes.join(" "))

  const first = yield* Stream.runCollect(Stream.take(worker.Primes({ below: 1_000_000 }), 3))
  yield* Console.log("a stream that is left early stops the worker's loop:", first.join(" "))

  yield* runtime.kill("mathematics")
  // The call may be in flight when the worker dies; a square root may be computed twice.
  const sqrt = Effect.retry(worker.Sqrt({ of: 81 }), { while: (error) => error._tag === "WorkerDied", times: 1 })
  yield* Console.log("killed, and back:", yield* sqrt)
})

NodeRuntime.runMain(Effect.scoped(program).pipe(Effect.provide(NodeSpawner.layer())))
