/**
 * Bench: what a start costs when a spare is ready, against the boot of an empty script by plain `fork`. The two take
 * turns in one run; values are medians, ratios the medians of the rounds' own ratios.
 *
 * - `cold-spare`: from nothing of that key to its first answer.
 * - `kill-spare`: from SIGKILL to the next answer, without a delay by policy.
 *
 * `node scripts/bench/spares.ts [--json] [--rounds N] [--one-core]`
 */
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Schedule } from "effect"
import { fork } from "./contenders/fork.ts"
import { readOptions } from "./options.ts"
import { bundle, source } from "./programs/bundle.ts"
import { EchoRpcs } from "./programs/EchoRpcs.ts"

const { json, oneCore, rounds } = readOptions(import.meta.url, 15)
const message = { text: "x".repeat(70) }

/** Milliseconds from nothing to the first answer of an empty forked script. */
const forked = Effect.promise(async () => {
  const started = performance.now()
  const pool = await fork.open(1)
  await pool.call("echo", message, 0)
  const elapsed = performance.now() - started
  await pool.close()
  return elapsed
})

const timed = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.suspend(() => {
    const started = performance.now()
    return Effect.map(effect, () => performance.now() - started)
  })

/** Measures a worker's module, one key after the other. */
const ofModule = Effect.fnUntraced(function* (module: URL) {
  const runtime = yield* WorkerRuntime.make({
    rpcs: EchoRpcs,
    worker: (_key: string) => WorkerSpec.module(module),
    respawn: RespawnPolicy.immediately,
    spares: { count: 1, module }
  })
  const spareIsReady = runtime.spares.pipe(
    Effect.repeat({ until: (info) => info.warm === 1, schedule: Schedule.spaced("5 millis") })
  )
  return Effect.fnUntraced(function* (key: string) {
    const client = yield* runtime.client(key)
    yield* spareIsReady
    const cold = yield* timed(client.Echo(message))
    yield* spareIsReady
    const { pid } = yield* runtime.info(key)
    const kill = yield* timed(
      Effect.suspend(() => {
        if (pid !== null) process.kill(pid, "SIGKILL")
        return Effect.retry(client.Echo(message), { while: (error) => error._tag === "WorkerDied" })
      })
    )
    yield* runtime.evict(key)
    return { cold, kill }
  })
})

const works = [
  ["cold-spare", "cold"],
  ["kill-spare", "kill"]
] as const

const measured = Effect.gen(function* () {
  const contenders = [
    { contender: "nerve", measure: yield* ofModule(source) },
    { contender: "nerve-bundled", measure: yield* ofModule(bundle) }
  ]
  const found: Array<{
    readonly contender: string
    readonly fork: number
    readonly cold: number
    readonly kill: number
  }> = []
  for (let round = -1; round < rounds; round++) {
    for (const { contender, measure } of contenders) {
      const fork = yield* forked
      const { cold, kill } = yield* measure(`worker-${round}`)
      if (round >= 0) found.push({ contender, fork, cold, kill })
    }
  }
  return found
})

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const found = await Effect.runPromise(Effect.scoped(measured).pipe(Effect.provide(NodeSpawner.layer())))
const placement = oneCore ? "one-core" : "free"

const print = (work: string, contender: string, value: number, ratio: number): void =>
  console.log(
    json
      ? JSON.stringify({ work, contender, placement, value, unit: "ms", ratio })
      : `${work.padEnd(16)} ${contender.padEnd(22)} ${value.toFixed(1).padStart(9)} ms  ${ratio.toFixed(2).padStart(6)} x`
  )

for (const [work, of] of works) {
  print(work, "fork", median(found.map((one) => one.fork)), 1)
  for (const contender of ["nerve", "nerve-bundled"]) {
    const own = found.filter((one) => one.contender === contender)
    print(work, contender, median(own.map((one) => one[of])), median(own.map((one) => one[of] / one.fork)))
  }
}
