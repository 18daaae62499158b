/** nerve: one supervised worker per key, typed by Schema on both sides. */
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Array as Arr, Context, Effect, Exit, Layer, Scope, Stream } from "effect"
import { Spawner } from "@nerve/runtime/supervision/Spawner"
import type { Contender, Kind, Message } from "../Contender.ts"
import { EchoRpcs, type Entry } from "../programs/EchoRpcs.ts"

const makeRuntime = WorkerRuntime.make({
  rpcs: EchoRpcs,
  worker: (_key: string) => WorkerSpec.module(new URL("../programs/echo.worker.ts", import.meta.url))
})

const open = Effect.fnUntraced(function* (workers: number) {
  const spawner = yield* Layer.build(NodeSpawner.layer())
  const runtime = yield* Effect.provideService(makeRuntime, Spawner, Context.get(spawner, Spawner))
  const keys = Array.from({ length: workers }, (_, i) => `worker-${i}`)
  yield* Effect.forEach(keys, (key) => runtime.start(key), { concurrency: "unbounded" })
  const clients = yield* Effect.forEach(keys, (key) => runtime.client(key))
  const client = (worker: number) => Arr.getUnsafe(clients, worker % workers)
  // The bench makes the messages itself: which kind has which shape is known.
  const calls: Record<Kind, (message: never, worker: number) => Effect.Effect<unknown, unknown>> = {
    echo: (message: { readonly text: string }, worker) => client(worker).Echo(message),
    records: (message: { readonly rows: ReadonlyArray<typeof Entry.Type> }, worker) => client(worker).Records(message),
    opaque: (message: { readonly rows: unknown }, worker) => client(worker).Opaque(message)
  }
  return {
    call: (kind: Kind, message: Message, worker: number) => Effect.runPromise(calls[kind](message as never, worker)),
    stream: (count: number) => Effect.runPromise(Stream.runDrain(client(0).Items({ count }))),
    pids: () =>
      Effect.runPromise(
        Effect.map(Effect.forEach(keys, runtime.info), (infos) =>
          infos.flatMap(({ pid }) => (pid === null ? [] : [pid]))
        )
      )
  }
})

export const nerve: Contender = {
  name: "nerve",
  mode: "process",
  open: async (workers) => {
    const scope = Scope.makeUnsafe()
    const pool = await Effect.runPromise(Scope.provide(open(workers), scope))
    return { ...pool, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
  }
}
