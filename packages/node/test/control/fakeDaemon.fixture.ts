/**
 * The fake daemon as a process of its own: serves in the workspace named by its argument, prints
 * `ready`, and then each thing it watched.
 */
import * as Workspace from "@nerve/node/daemon/Workspace"
import { Effect, Layer, Queue } from "effect"
import * as FakeDaemon from "./fakeDaemon.ts"

const program = Effect.gen(function* () {
  const watch = yield* Queue.unbounded<FakeDaemon.Watched>()
  yield* Layer.build(FakeDaemon.layer(Workspace.make(process.argv[2] ?? ""), watch))
  console.log("ready")
  return yield* Effect.forever(Effect.tap(Queue.take(watch), (event) => Effect.sync(() => console.log(event))))
})

Effect.runFork(Effect.scoped(program))
