/**
 * A worker is replaced, for new code say, while it works: what is in flight finishes on the old
 * incarnation, what arrives meanwhile waits for the new one, and no call fails. `node main.ts`
 */
import { NodeSpawner } from "@nerve/node"
import { WorkerRuntime, WorkerSpec } from "@nerve/runtime"
import { Effect, Fiber, Stream } from "effect"
import { SlowRpcs } from "./SlowRpcs.ts"

const program = Effect.gen(function* () {
  const runtime = yield* WorkerRuntime.make({
    rpcs: SlowRpcs,
    worker: () => WorkerSpec.module(new URL("./slow.worker.ts", import.meta.url))
  })
  yield* runtime.start("a")
  const a = yield* runtime.client("a")
  const inFlight = yield* Effect.forkChild(a.Work({ ms: 500 }), { startImmediately: true })
  const drain = yield* Effect.forkChild(runtime.drain("a"), { startImmediately: true })
  // By now calls wait for the next incarnation.
  yield* runtime.changes.pipe(
    Stream.filter((workers) => workers.get("a")?.state === "draining"),
    Stream.runHead
  )
  const meanwhile = yield* Effect.forkChild(a.Work({ ms: 0 }), { startImmediately: true })
  console.log("in flight:", yield* Fiber.join(inFlight))
  yield* Fiber.join(drain)
  console.log("meanwhile:", yield* Fiber.join(meanwhile))
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeSpawner.layer())))
