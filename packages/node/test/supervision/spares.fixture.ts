/** A daemon in small with two spares: prints a line when they are warm, and waits to be killed. */
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Schedule } from "effect"
import { EchoRpcs } from "./EchoRpcs.ts"

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const runtime = yield* WorkerRuntime.make({
        rpcs: EchoRpcs,
        worker: (_key: string) => WorkerSpec.module(new URL("./echo.worker.ts", import.meta.url)),
        spares: 2
      })
      yield* runtime.spares.pipe(
        Effect.repeat({ until: (info) => info.warm === 2, schedule: Schedule.spaced("10 millis") })
      )
      console.log("warm")
      return yield* Effect.never
    })
  ).pipe(Effect.provide(NodeSpawner.layer()))
)
