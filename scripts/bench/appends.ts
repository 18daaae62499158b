/**
 * Bench: durable appends per second from 64 concurrent writers through the log store, against bare
 * `node:sqlite` doing one INSERT transaction each. Same disk, same durability (write-ahead log,
 * `synchronous = FULL`), the two taking turns in one run. Values are medians over the rounds; the ratio is
 * the median of the rounds' own ratios, so that a machine that is busy for a while does not decide it.
 *
 * The bare table has no indexes, no hash chain and no runs: it is the floor, not a fair equal.
 *
 * `node scripts/bench/appends.ts [--json] [--rounds N]`. Exits 2 when the temporary folder lies in
 * memory, where nothing is durable; set TMPDIR to a folder on a disk.
 */
import type { LogInput } from "@nerve/core/domain/LogEntry"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore } from "@nerve/runtime/log/LogStore"
import { Effect } from "effect"
import { mkdtempSync, rmSync, statfsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { parseArgs } from "node:util"

/** Numbers by which Linux names file systems that live in memory: tmpfs and ramfs. */
const IN_MEMORY = [0x01021994, 0x858458f6]

const WRITERS = 64
/** Entries of each writer in a round. */
const PER_WRITER = 40
/** Transactions of the bare contender in a round. */
const PLAIN_INSERTS = 300

const { values: options } = parseArgs({
  options: { json: { type: "boolean", default: false }, rounds: { type: "string", default: "25" } }
})
const rounds = Math.max(1, Number.parseInt(options.rounds, 10))

if (IN_MEMORY.includes(statfsSync(tmpdir()).type)) {
  console.error(`${tmpdir()} lies in memory: set TMPDIR to a folder on a disk`)
  process.exit(2)
}

const signal = (n: number): LogInput => ({
  source: "sense",
  type: "signal",
  refId: "cpu-usage",
  payload: { usage: 0.5312, cores: 8, n }
})

/** Appends per second of one round: every writer appends, waits until it is durable, appends again. */
const nerveRound = Effect.gen(function* () {
  const store = yield* LogStore
  const started = performance.now()
  yield* Effect.forEach(
    Array.from({ length: WRITERS }),
    Effect.fnUntraced(function* () {
      for (let n = 0; n < PER_WRITER; n++) yield* store.append(signal(n))
    }),
    { concurrency: "unbounded", discard: true }
  )
  return (WRITERS * PER_WRITER * 1000) / (performance.now() - started)
})

/** The same for bare inserts, each a transaction of its own. */
const makePlainRound = (file: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const db = new DatabaseSync(file)
      db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
        CREATE TABLE logs (
          id INTEGER PRIMARY KEY, source TEXT, type TEXT, ref_id TEXT, payload TEXT, timestamp INTEGER
        )`)
      const insert = db.prepare("INSERT INTO logs (source, type, ref_id, payload, timestamp) VALUES (?, ?, ?, ?, ?)")
      const round = () => {
        const started = performance.now()
        for (let n = 0; n < PLAIN_INSERTS; n++) {
          const { payload, refId, source, type } = signal(n)
          insert.run(source, type, refId, JSON.stringify(payload), Date.now())
        }
        return (PLAIN_INSERTS * 1000) / (performance.now() - started)
      }
      return { db, round }
    }),
    ({ db }) => Effect.sync(() => db.close())
  )

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-bench-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const bench = Effect.gen(function* () {
  const path = yield* directory
  const plain = yield* makePlainRound(join(path, "plain.db"))
  const measured = yield* Effect.gen(function* () {
    // One round to warm up; then they take turns.
    yield* nerveRound
    plain.round()
    const nerve: Array<number> = []
    const bare: Array<number> = []
    for (let n = 0; n < rounds; n++) {
      nerve.push(yield* nerveRound)
      bare.push(plain.round())
    }
    return {
      nerve: median(nerve),
      bare: median(bare),
      ratio: median(nerve.map((value, n) => value / (bare[n] ?? value)))
    }
  }).pipe(Effect.provide(LogStoreSqlite.layer(join(path, "nerve.db"))))
  return [
    { contender: "nerve LogStore, 64 writers", value: measured.nerve, ratio: measured.ratio },
    { contender: "node:sqlite, one transaction each", value: measured.bare, ratio: 1 }
  ].map((row) => ({
    work: "appends-64",
    ...row,
    value: Math.round(row.value),
    unit: "appends/s",
    ratio: Math.round(row.ratio * 100) / 100
  }))
})

const rows = await Effect.runPromise(Effect.scoped(bench))
if (options.json) {
  for (const row of rows) console.log(JSON.stringify(row))
} else {
  console.table(rows)
}
