/** A daemon to be killed: starts a worker in Python, prints its pid and the daemon's children, and waits. */
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect } from "effect"
import { FixtureRpcs } from "./FixtureRpcs.ts"
import { file, python } from "./python.ts"

const program = Effect.gen(function* () {
  const runtime = yield* WorkerRuntime.make({
    rpcs: FixtureRpcs,
    worker: () => WorkerSpec.command(python ?? "python3", [file("test/fixture.py")], { transport: "stdio" }),
    onEvent: (event) => (event._tag === "WorkerOutput" ? Effect.sync(() => console.log(event.line)) : Effect.void)
  })
  yield* runtime.start("a")
  const { pid } = yield* runtime.info("a")
  console.log(`pid ${pid}`)
  const worker = yield* runtime.client("a")
  yield* process.argv[2] === "block" ? worker.Block() : worker.Wait()
})

await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(NodeSpawner.layer())))
