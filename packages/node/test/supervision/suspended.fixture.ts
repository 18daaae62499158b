/**
 * A daemon in small, to be suspended: starts a worker with a short heartbeat and prints its pid as JSON. For each line
 * on its standard input it waits until the worker has answered three more pings, calls it, and prints its pid, its
 * incarnation and how many workers were taken for hung.
 */
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Metric, Schedule } from "effect"
import { createInterface } from "node:readline"
import { EchoRpcs } from "./EchoRpcs.ts"

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

const answered = Effect.map(Metric.snapshot, (all) => {
  const delays = all.find((one) => one.id === "nerve_worker_loop_delay_ms")
  return delays?.type === "Histogram" ? delays.state.count : 0
})

const untilAnswered = (count: number) =>
  answered.pipe(Effect.repeat({ until: (now: number) => now >= count, schedule: Schedule.spaced("20 millis") }))

let hung = 0

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      const runtime = yield* WorkerRuntime.make({
        rpcs: EchoRpcs,
        worker: (_key: string) => WorkerSpec.module(new URL("./echo.worker.ts", import.meta.url)),
        heartbeat: { interval: "100 millis", timeout: "2 seconds" },
        onEvent: (event) =>
          Effect.sync(() => {
            if (event._tag === "WorkerHung") hung += 1
          })
      })
      const a = yield* runtime.client("a")
      const tell = Effect.gen(function* () {
        yield* a.Echo({ text: "hi" })
        yield* untilAnswered((yield* answered) + 3)
        const { incarnation, pid } = yield* runtime.info("a")
        console.log(JSON.stringify({ pid, incarnation, hung }))
      })
      yield* tell
      for (;;) {
        const { done } = yield* Effect.promise(() => lines.next())
        if (done === true) return
        yield* tell
      }
    })
  ).pipe(Effect.provide(NodeSpawner.layer()))
)
