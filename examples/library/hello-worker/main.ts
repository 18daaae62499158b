/** One typed worker process per key: started by its first call, stopped at the end. `node main.ts` */
import { NodeSpawner } from "@nerve/node"
import { WorkerRuntime, WorkerSpec } from "@nerve/runtime"
import { Effect } from "effect"
import { HelloRpcs } from "./HelloRpcs.ts"

const program = Effect.gen(function* () {
  const runtime = yield* WorkerRuntime.make({
    rpcs: HelloRpcs,
    worker: () => WorkerSpec.module(new URL("./hello.worker.ts", import.meta.url))
  })
  const ada = yield* runtime.client("ada")
  console.log(yield* ada.Greet({ name: "Ada" }))
  console.log("a typed error:", yield* Effect.flip(ada.Greet({ name: "" })))
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeSpawner.layer())))
