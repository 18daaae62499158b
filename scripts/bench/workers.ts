/**
 * Bench: calls to a supervised, typed worker, against plain `fork` with JSON messages and against the
 * pools that people use today, on the same work. All take turns in one run. Values are medians over
 * the rounds; a ratio is the median of the rounds' own ratios to plain fork, so that a machine that is
 * busy for a while does not decide it. Peers take part in every third round only: their ratios are far
 * from any aim, and the time goes to those that are close.
 *
 * `node scripts/bench/workers.ts [--json] [--rounds N] [--no-peers] [--one-core]`
 *
 * `--one-core` pins the parent and all workers to one core (Linux): with two, the kernel's placement
 * alone moves small messages by a factor of three.
 */
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import type { Contender, Kind, Message, Pool } from "./Contender.ts"
import { fork } from "./contenders/fork.ts"
import { bundled, nerve } from "./contenders/nerve.ts"
import { peers } from "./contenders/peers.ts"
import { onOneCore } from "./oneCore.ts"

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "15" },
    "no-peers": { type: "boolean", default: false },
    "one-core": { type: "boolean", default: false },
    pinned: { type: "boolean", default: false }
  }
})

if (options["one-core"] && !options.pinned) onOneCore(import.meta.url)

const rounds = Math.max(1, Number.parseInt(options.rounds, 10))
const compared: ReadonlyArray<Contender> = [fork, nerve, bundled]
const contenders = options["no-peers"] ? compared : [...compared, ...peers]

/** With id and framing about 100 bytes on the wire, either way. */
const small: Message = { text: "x".repeat(70) }

/** About 64 KiB as JSON. */
const large: Message = {
  rows: Array.from({ length: 480 }, (_, id) => ({
    id,
    name: `person number ${id}`,
    email: `person.${id}@example.org`,
    score: id / 7,
    active: id % 2 === 0,
    tags: ["alpha", "beta", `tag-${id}`]
  }))
}

// --- works -------------------------------------------------------------------------------------------

/** A measurement ends at this time, however slow the contender: eleven of them take turns at seven works. */
const boundMs = 300

/** Calls per second: `trips` calls at most, `inFlight` of them at a time. */
const callsPerSecond = async (pool: Pool, kind: Kind, message: Message, trips: number, inFlight: number) => {
  const started = performance.now()
  let done = 0
  await Promise.all(
    Array.from({ length: inFlight }, async (_, lane) => {
      for (let n = lane; n < trips && performance.now() - started < boundMs; n += inFlight) {
        await pool.call(kind, message, lane)
        done += 1
      }
    })
  )
  return (done * 1000) / (performance.now() - started)
}

/** Microseconds that half of the calls take at most, one at a time. */
const medianLatency = async (pool: Pool, kind: Kind, message: Message, trips: number) => {
  const started = performance.now()
  const latencies: Array<number> = []
  let last = started
  while (latencies.length < trips && last - started < boundMs) {
    await pool.call(kind, message, 0)
    const now = performance.now()
    latencies.push((now - last) * 1000)
    last = now
  }
  return median(latencies)
}

interface Work {
  readonly name: string
  readonly unit: string
  readonly workers: number
  /** Undefined: the contender cannot do it. */
  readonly run: (pool: Pool) => Promise<number> | undefined
}

const works: ReadonlyArray<Work> = [
  // First, while the workers are as they booted.
  { name: "memory", unit: "MB", workers: 1, run: (pool) => privateMemory(pool) },
  { name: "echo-c64", unit: "/s", workers: 1, run: (pool) => callsPerSecond(pool, "echo", small, 8000, 64) },
  { name: "echo-c1", unit: "us", workers: 1, run: (pool) => medianLatency(pool, "echo", small, 2000) },
  { name: "records-c64", unit: "/s", workers: 1, run: (pool) => callsPerSecond(pool, "records", large, 192, 64) },
  { name: "opaque-c64", unit: "/s", workers: 1, run: (pool) => callsPerSecond(pool, "opaque", large, 192, 64) },
  {
    name: "stream",
    unit: "/s",
    workers: 1,
    // Items to the parent. Who has no streams is measured by calls: that is what one would do there.
    run: async (pool) => {
      if (pool.stream === undefined) return callsPerSecond(pool, "echo", small, 8000, 64)
      const started = performance.now()
      await pool.stream(50_000)
      return (50_000 * 1000) / (performance.now() - started)
    }
  },
  { name: "two-workers-c64", unit: "/s", workers: 2, run: (pool) => callsPerSecond(pool, "echo", small, 8000, 64) }
]

/** Private memory of one idle worker in MB; Linux tells. */
const privateMemory = (pool: Pool): Promise<number> | undefined => {
  if (process.platform !== "linux" || pool.pids === undefined) return undefined
  return pool.pids().then(([pid]) => {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")
    const kb = [...text.matchAll(/^Private_\w+:\s+(\d+) kB$/gm)].reduce((sum, [, amount]) => sum + Number(amount), 0)
    return kb / 1024
  })
}

/** The value, or undefined after so many milliseconds: some pools forget a promise when their worker ends early. */
const within = async <A>(milliseconds: number, promise: Promise<A>): Promise<A | undefined> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), milliseconds)))
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** A pool that has not closed by then is left to the end of this process. */
const closeBound = 5000
const answerBound = 30_000

/** Milliseconds from nothing to the first answer; the worker's end is not counted. None when no answer comes. */
const cold = async (contender: Contender): Promise<number | undefined> => {
  const started = performance.now()
  const pool = await contender.open(1)
  const elapsed = await within(
    answerBound,
    pool.call("echo", small, 0).then(() => performance.now() - started)
  )
  if (elapsed === undefined) console.error(`cold: ${label(contender)} gave no answer within ${answerBound} ms`)
  await within(closeBound, pool.close())
  return elapsed
}

// --- in turn -----------------------------------------------------------------------------------------

const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

interface Row {
  readonly work: string
  /** `nerve`, `nerve-bundled`, `fork`, or the name of a peer; its threads as `name (threads)`. */
  readonly contender: string
  readonly placement: "one-core" | "free"
  readonly value: number
  readonly unit: string
  /** To plain fork on the same work. */
  readonly ratio: number
}

const label = ({ mode, name }: Contender): string => (mode === "thread" ? `${name} (threads)` : name)

const rowsOf = (work: string, unit: string, measured: ReadonlyMap<Contender, Measured>): ReadonlyArray<Row> => {
  const base = measured.get(fork)
  return [...measured].map(([contender, values]) => ({
    work,
    contender: label(contender),
    placement: options["one-core"] ? "one-core" : "free",
    value: median([...values.values()]),
    unit,
    ratio: median([...values].map(([round, value]) => value / (base?.get(round) ?? Number.NaN)))
  }))
}

/** Rounds that do not count. On a busy core one is too few for what is hot to be compiled. */
const warmUps = 2

/** Rounds from one in which the peers take part to the next. */
const peersEvery = 3

/** Whoever goes first changes from round to round, and who goes before whom. */
const orderOf = (round: number): ReadonlyArray<Contender> => {
  const taking = round < 0 || round % peersEvery === 0 ? contenders : compared
  const first = (round + warmUps) % taking.length
  const order = [...taking.slice(first), ...taking.slice(0, first)]
  return round % 2 === 0 ? order : order.toReversed()
}

/** By round. */
type Measured = ReadonlyMap<number, number>

const inTurn = async (
  measure: (contender: Contender) => Promise<number | undefined> | undefined
): Promise<ReadonlyMap<Contender, Measured>> => {
  const measured = new Map<Contender, Map<number, number>>(contenders.map((one) => [one, new Map()]))
  for (let round = -warmUps; round < rounds; round++) {
    for (const contender of orderOf(round)) {
      const value = await measure(contender)
      if (value !== undefined && round >= 0) measured.get(contender)?.set(round, value)
    }
  }
  return new Map([...measured].filter(([, values]) => values.size > 0))
}

const print = (row: Row): void => {
  const digits = row.value < 1000 ? 1 : 0
  console.log(
    options.json
      ? JSON.stringify(row)
      : `${row.work.padEnd(16)} ${row.contender.padEnd(22)} ${row.value.toFixed(digits).padStart(9)} ${row.unit.padEnd(3)} ${row.ratio.toFixed(2).padStart(6)} x`
  )
}

// Node keeps what was compiled for the next start. None of what follows is the first start of anything.
for (const contender of contenders) await cold(contender)

for (const workers of [1, 2]) {
  const pools = new Map<Contender, Pool>()
  for (const contender of contenders) pools.set(contender, await contender.open(workers))
  for (const work of works.filter((one) => one.workers === workers)) {
    const measured = await inTurn((contender) => {
      const pool = pools.get(contender)
      return pool === undefined ? undefined : work.run(pool)
    })
    rowsOf(work.name, work.unit, measured).forEach(print)
  }
  for (const pool of pools.values()) await within(closeBound, pool.close())
}
rowsOf("cold", "ms", await inTurn(cold)).forEach(print)
process.exit(0)
