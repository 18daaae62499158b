/**
 * Bench: what a pool costs beside a keyed worker: one worker each, the same calls, as many in flight. The two take
 * turns in one run; values are medians, ratios the medians of the rounds' own ratios to the keyed worker. The parent's
 * computing per call tells more than the rate where the machine is shared.
 *
 * `node scripts/bench/pools.ts [--json] [--rounds N] [--one-core]`
 */
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerPool from "@nerve/runtime/supervision/WorkerPool"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect } from "effect"
import { readOptions } from "./options.ts"
import { EchoRpcs } from "./programs/EchoRpcs.ts"

const { json, oneCore, rounds } = readOptions(import.meta.url, 15)
const message = { text: "x".repeat(70) }
const worker = () => WorkerSpec.module(new URL("./programs/echo.worker.ts", import.meta.url))

type Echo = Effect.Effect<unknown, unknown>

interface Measured {
  readonly perSecond: number
  /** Microseconds that the parent computed for each call. */
  readonly cpu: number
}

/** `trips` calls, `inFlight` of them at a time. */
const measure = (echo: () => Echo, trips: number, inFlight: number) =>
  Effect.gen(function* () {
    const before = process.cpuUsage()
    const started = performance.now()
    const lane = Effect.gen(function* () {
      for (let n = 0; n < trips / inFlight; n++) yield* echo()
    })
    yield* Effect.forEach(Array.from({ length: inFlight }), () => lane, { concurrency: "unbounded", discard: true })
    const { system, user } = process.cpuUsage(before)
    return { perSecond: (trips * 1000) / (performance.now() - started), cpu: (user + system) / trips } as Measured
  })

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const bench = Effect.gen(function* () {
  const runtime = yield* WorkerRuntime.make({ rpcs: EchoRpcs, worker })
  const keyed = yield* runtime.client("keyed")
  const pool = yield* WorkerPool.make({
    rpcs: EchoRpcs,
    worker,
    size: 1,
    concurrencyPerWorker: 1024,
    execTimeout: "30 seconds"
  })
  const contenders = [
    ["keyed", () => keyed.Echo(message)],
    ["pool", () => pool.client.Echo(message)]
  ] as const
  for (const inFlight of [1, 64, 1024]) {
    const found = new Map<string, Array<Measured>>()
    for (let round = -2; round < rounds; round++) {
      const order = round % 2 === 0 ? contenders : contenders.toReversed()
      for (const [name, echo] of order) {
        const one = yield* measure(echo, inFlight === 1 ? 1000 : 8192, inFlight)
        if (round >= 0) found.set(name, [...(found.get(name) ?? []), one])
      }
    }
    const base = found.get("keyed") ?? []
    for (const [name, values] of found) {
      for (const [unit, of] of [
        ["/s", "perSecond"],
        ["us of the parent", "cpu"]
      ] as const) {
        const row = {
          work: `pool-c${inFlight}`,
          contender: name,
          placement: oneCore ? "one-core" : "free",
          value: median(values.map((one) => one[of])),
          unit,
          ratio: median(values.map((one, at) => one[of] / (base[at]?.[of] ?? Number.NaN)))
        }
        console.log(
          json
            ? JSON.stringify(row)
            : `${row.work.padEnd(16)} ${name.padEnd(22)} ${row.value.toFixed(1).padStart(9)} ${unit.padEnd(18)} ${row.ratio.toFixed(2).padStart(6)} x`
        )
      }
    }
  }
})

await Effect.runPromise(Effect.scoped(bench).pipe(Effect.provide(NodeSpawner.layer())))
