/**
 * Bench: 10 000 Effects in this process, each a supervised worker, under one supervisor: the time until
 * all of them run, and the memory that each costs (its own fiber included). Medians over rounds; each
 * round takes a fresh supervisor and stops it. The contender is a bare fiber per Effect, unsupervised.
 *
 * `node --expose-gc scripts/bench/inprocess.ts [--json] [--rounds N] [--workers N]`
 */
import * as EffectWorker from "@nerve/runtime/supervision/EffectWorker"
import * as Supervisor from "@nerve/runtime/supervision/Supervisor"
import { Effect, Fiber } from "effect"
import { parseArgs } from "node:util"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "7" },
    workers: { type: "string", default: "10000" }
  }
})
const rounds = Math.max(1, Number.parseInt(options.rounds, 10))
const count = Math.max(1, Number.parseInt(options.workers, 10))

// Also where nobody passed --expose-gc: memory is only comparable after a collection.
setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/** What the round before has left is let go first, by tasks that still wait for their turn. */
const heap = Effect.andThen(
  Effect.sleep("50 millis"),
  Effect.sync(() => {
    collect()
    collect()
    return process.memoryUsage().heapUsed
  })
)

interface Measured {
  readonly ms: number
  readonly bytes: number
}

const measure = Effect.fnUntraced(function* <A, E, R>(start: Effect.Effect<A, E, R>) {
  const before = yield* heap
  const started = performance.now()
  const value = yield* start
  const ms = performance.now() - started
  const measured: Measured = { ms, bytes: ((yield* heap) - before) / count }
  return [measured, value] as const
})

/** What each of them does: wait for something that may come. */
const idle = Effect.never

const supervised = Effect.scoped(
  Effect.gen(function* () {
    const worker = EffectWorker.make(idle)
    const [measured, supervisor] = yield* measure(
      Effect.gen(function* () {
        const supervisor = yield* Supervisor.make({
          children: Array.from({ length: count }, (_, i) => ({ id: `worker-${i}`, worker }))
        })
        yield* supervisor.start
        while ((yield* supervisor.state) !== "Running") yield* Effect.yieldNow
        return supervisor
      })
    )
    const tree = yield* supervisor.snapshot
    if (tree.children.some((child) => child.state !== "Running")) throw new Error("not all of them run")
    yield* supervisor.stop()
    return measured
  })
)

const fibers = Effect.gen(function* () {
  const [measured, all] = yield* measure(Effect.forEach(Array.from({ length: count }), () => Effect.forkDetach(idle)))
  yield* Fiber.interruptAll(all)
  return measured
})

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const run = Effect.gen(function* () {
  const nerve: Array<Measured> = []
  const bare: Array<Measured> = []
  // One round to warm up.
  for (let round = -1; round < rounds; round++) {
    const [a, b] = [yield* supervised, yield* fibers]
    if (round < 0) continue
    nerve.push(a)
    bare.push(b)
  }
  return { nerve, bare }
})

const { bare, nerve } = await Effect.runPromise(run)
const row = (contender: string, value: number, unit: string, plain: number) => ({
  work: "inprocess-10k",
  contender,
  placement: "free",
  value,
  unit,
  ratio: value / plain
})
const ms = (of: ReadonlyArray<Measured>) => median(of.map((one) => one.ms))
const bytes = (of: ReadonlyArray<Measured>) => median(of.map((one) => one.bytes))
const rows = [
  row("fiber", ms(bare), "ms", ms(bare)),
  row("nerve", ms(nerve), "ms", ms(bare)),
  row("fiber", bytes(bare), "bytes each", bytes(bare)),
  row("nerve", bytes(nerve), "bytes each", bytes(bare))
]
for (const one of rows) {
  console.log(
    options.json
      ? JSON.stringify(one)
      : `${one.work.padEnd(14)} ${one.contender.padEnd(6)} ${one.value.toFixed(0).padStart(9)} ${one.unit.padEnd(10)} ${one.ratio.toFixed(2).padStart(6)} x`
  )
}
