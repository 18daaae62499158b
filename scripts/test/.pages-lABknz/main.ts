import { NodeSpawner } from "@nerve/node"
import { WorkerLog, WorkerRuntime, WorkerSpec } from "@nerve/runtime"
import { Console, Effect } from "effect"
import { HelloRpcs } from "./HelloRpcs.ts"

const program = Effect.gen(function* () {
  const runtime = yield* WorkerRuntime.make({
    rpcs: HelloRpcs,
    worker: (_tenant: string) => WorkerSpec.module(new URL("./hello.worker.ts", import.meta.url)),
    onEvent: WorkerLog.log
  })
  const ada = yield* runtime.client("ada")
  yield* Console.log(yield* ada.Greet({ name: "Bob" }))
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeSpawner.layer())))
