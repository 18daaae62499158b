/**
 * nerve: one supervised worker per key, typed by Schema on both sides. `nerve` runs the worker's module as it was written,
 * `nerve-bundled` the same made one file (docs/supervision.md, "Bundled workers").
 */
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { bundle, source } from "../programs/bundle.ts"
import { Array as Arr, Context, Effect, Exit, Layer, Scope, Stream } from "effect"
import { Spawner } from "@nerve/runtime/supervision/Spawner"
import type { Contender, Kind, Message } from "../Contender.ts"
import { EchoRpcs, type Entry } from "../programs/EchoRpcs.ts"

const open = Effect.fnUntraced(function* (module: URL, workers: number) {
  const spawner = yield* Layer.build(NodeSpawner.layer())
  const runtime = yield* WorkerRuntime.make({
    rpcs: EchoRpcs,
    worker: (_key: string) => WorkerSpec.module(module)
  }).pipe(Effect.provideService(Spawner, Context.get(spawner, Spawner)))
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

const contender = (name: string, module: URL): Contender => ({
  name,
  mode: "process",
  open: async (workers) => {
    const scope = Scope.makeUnsafe()
    const pool = await Effect.runPromise(Scope.provide(open(module, workers), scope))
    return { ...pool, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
  }
})

export const nerve: Contender = contender("nerve", source)

export const bundled: Contender = contender("nerve-bundled", bundle)
