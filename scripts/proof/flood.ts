/**
 * Flood: workers that send as fast as they can, log lines, printed lines, items of a stream, small and large, to a
 * consumer that is slow; beside them a neighbour that is called. Memory must stay where it is, and the neighbour be
 * answered about as fast as when all is quiet.
 */
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Exit, Stream } from "effect"
import { FloodRpcs } from "./flood/FloodRpcs.ts"
import { watchProcess } from "./internal/watchProcess.ts"
import { type Figures, type Proof, quantile, type Settings } from "./Proof.ts"

const mebibyte = 1024 * 1024

/** How long the consumer takes for each event and each item. */
const slow = "2 millis"

/** So often a flood is measured, and quiet before it: what else goes on on this machine is then in both. */
const windows = 5

/** Each kind with a worker of its own: a size of lines that is usual, and one that is not. */
export const floods = ["Logs 100", "Logs 1000000", "Print 100", "Print 100000", "Items 100", "Items 100000"] as const

export interface FloodFigures {
  /** Of the neighbour, in the middle one of the windows: while the worker floods, and while it is stopped. */
  readonly p99Ms: number
  readonly quietP99Ms: number
  readonly ratio: number
  /** Most so far. */
  readonly memoryMiB: number
  /** Events and items that the consumer was told. */
  readonly told: number
}

export interface Outcome {
  readonly floods: Readonly<Record<string, FloodFigures>>
  readonly memoryMiB: number
  /** More than at first once all garbage is collected. */
  readonly keptMiB: number
  readonly loopDelayMs: number
  /** Of the machine, at the end; busy: above the number of cores at any time. */
  readonly load: number
  readonly machineBusy: boolean
  readonly neighbourCalls: number
  readonly faults: ReadonlyArray<string>
}

export const flood = Effect.fnUntraced(function* (options: {
  /** Of each kind. */
  readonly seconds: number
  readonly say: (line: string) => void
}): Effect.fn.Return<Outcome> {
  const faults: Array<string> = []
  let told = 0
  /** What still waits to be told is told at once. */
  let isOver = false
  let calls = 0
  const body = Effect.gen(function* () {
    const runtime = yield* WorkerRuntime.make({
      rpcs: FloodRpcs,
      worker: (_key: string) => WorkerSpec.module(new URL("./flood/flood.worker.ts", import.meta.url)),
      respawn: RespawnPolicy.never,
      heartbeat: false,
      onEvent: (event: WorkerEvent<string>) =>
        event._tag === "WorkerOutput" && !isOver
          ? Effect.andThen(
              Effect.sleep(slow),
              Effect.sync(() => void told++)
            )
          : Effect.void
    })
    const neighbour = yield* runtime.client("neighbour")

    /** Calls the neighbour for so long, one call after the other; how long each took. */
    const measure = Effect.fnUntraced(function* (seconds: number) {
      const latencies: Array<number> = []
      const until = performance.now() + seconds * 1000
      while (performance.now() < until) {
        const began = performance.now()
        const exit = yield* Effect.exit(neighbour.Echo({ text: "hello" }))
        latencies.push(performance.now() - began)
        calls += 1
        if (!Exit.isSuccess(exit) || exit.value !== "hello") faults.push(`the neighbour: ${String(exit).slice(0, 200)}`)
        yield* Effect.sleep("1 millis")
      }
      return latencies
    })
    const p99Of = (seconds: number) => Effect.map(measure(seconds), (latencies) => quantile(latencies, 0.99))

    yield* measure(Math.min(2, options.seconds))
    const watch = yield* watchProcess
    const results: Record<string, FloodFigures> = {}
    for (const kind of floods) {
      const [method = "", size = ""] = kind.split(" ")
      const client = yield* runtime.client(kind)
      yield* Effect.orDie(runtime.start(kind))
      const payload = { size: Number(size) }
      const before = told
      const running =
        method === "Items"
          ? Stream.runForEach(client.Items(payload), () =>
              Effect.andThen(
                Effect.sleep(slow),
                Effect.sync(() => void told++)
              )
            )
          : method === "Logs"
            ? client.Logs(payload)
            : client.Print(payload)
      const fiber = yield* Effect.forkChild(Effect.exit(running))
      const { pid } = yield* runtime.info(kind)
      const signal = (name: "SIGSTOP" | "SIGCONT") =>
        Effect.sync(() => {
          if (pid !== null) process.kill(pid, name)
        })
      const quiet: Array<number> = []
      const flooded: Array<number> = []
      // While it is stopped its consumer goes on with what it was ahead of it.
      for (let window = 0; window < windows; window++) {
        yield* signal("SIGSTOP")
        quiet.push(yield* p99Of(options.seconds / windows))
        yield* signal("SIGCONT")
        flooded.push(yield* p99Of(options.seconds / windows))
      }
      const p99Ms = quantile(flooded, 0.5)
      const quietP99Ms = quantile(quiet, 0.5)
      const memoryMiB = Math.round(watch.figures().memory / mebibyte)
      results[kind] = { p99Ms, quietP99Ms, ratio: p99Ms / quietP99Ms, memoryMiB, told: told - before }
      if (fiber.pollUnsafe() !== undefined) faults.push(`the flood ${kind} ended by itself`)
      if (told === before) faults.push(`nothing of the flood ${kind} has come`)
      yield* runtime.evict(kind, StopPolicy.kill)
      options.say(`${kind}: ${JSON.stringify(results[kind])}`)
    }
    isOver = true
    const { load, loopDelayMs, machineBusy, memory } = watch.figures()
    return {
      floods: results,
      memoryMiB: Math.round(memory / mebibyte),
      keptMiB: Math.round(watch.kept() / mebibyte),
      loopDelayMs,
      load,
      machineBusy
    }
  })
  const figures = yield* Effect.scoped(body).pipe(Effect.provide(NodeSpawner.layer()))
  return { ...figures, neighbourCalls: calls, faults: faults.slice(0, 20) }
})

/** The sixth part of it for each kind. */
const run = Effect.fnUntraced(function* ({ say, times }: Settings): Effect.fn.Return<Figures> {
  const outcome = yield* flood({ seconds: Math.max(1, times / floods.length), say })
  const worstRatio = Math.max(...Object.values(outcome.floods).map(({ ratio }) => ratio))
  return {
    ok: outcome.faults.length === 0 && outcome.memoryMiB <= 64 && worstRatio <= 4,
    worstRatio,
    ...outcome
  }
})

export const floodProof: Proof = {
  what: "workers that send as fast as they can to a slow consumer: log lines, printed lines and items, small and large",
  unit: "seconds, shared by all kinds",
  times: 60,
  run
}
