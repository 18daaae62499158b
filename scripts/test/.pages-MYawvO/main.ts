import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Console, Effect } from "effect"
import { EchoRpcs } from "./EchoRpcs.ts"

const program = Effect.gen(function* () {
  const runtime = yield* WorkerRuntime.make({
    rpcs: EchoRpcs,
    worker: (_key: "a" | "b") => WorkerSpec.module(new URL("./echo.worker.ts", import.meta.url)),
    respawn: RespawnPolicy.intensity({ max: 6, within: "60 seconds" })
  })
  for (const key of ["a", "b"] as const) {
    const echo = yield* runtime.client(key)
    yield* Console.log(yield* echo.Echo({ text: `hi ${key}` }))
  }
})

Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(NodeSpawner.layer())))
