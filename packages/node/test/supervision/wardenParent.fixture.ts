/**
 * A daemon in small: starts a worker with a grandchild in its group and one in a session of its own,
 * prints all their pids as one line of JSON, and waits to be killed; it ends as it should when its standard input
 * ends. The worker is stuck in a loop, or `idle`. The wardens' pids are among them under `wardens`.
 */
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect } from "effect"
import { EchoRpcs } from "./EchoRpcs.ts"
import { wardensOf } from "./wardensOf.ts"

const stdinEnded = Effect.callback<void>((resume) => {
  process.stdin.once("end", () => resume(Effect.void)).resume()
})

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const runtime = yield* WorkerRuntime.make({
        rpcs: EchoRpcs,
        worker: (_key: string) => WorkerSpec.module(new URL("./echo.worker.ts", import.meta.url))
      })
      const a = yield* runtime.client("a")
      const group = yield* a.Breed({ setsid: false })
      const session = yield* a.Breed({ setsid: true })
      const { pid } = yield* runtime.info("a")
      // Unless it is to be idle, the worker cannot notice anything by itself from now on.
      if (process.argv[2] !== "idle") yield* Effect.forkChild(Effect.exit(a.Spin()))
      console.log(JSON.stringify({ worker: pid, group, session, wardens: wardensOf(process.pid) }))
      yield* stdinEnded
      yield* runtime.kill("a")
    })
  ).pipe(Effect.provide(NodeSpawner.layer()))
)
