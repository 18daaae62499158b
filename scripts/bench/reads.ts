/**
 * Bench: reading 10 000 rows of the log as decoded entries, against bare `node:sqlite` reading the same rows and
 * parsing the same JSON. Both take turns in one run; values are medians in milliseconds, the ratio is the median of
 * the rounds' own.
 *
 * `node scripts/bench/reads.ts [--json] [--rounds N]`
 */
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore } from "@nerve/runtime/log/LogStore"
import { Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { parseArgs } from "node:util"

const ROWS = 10_000

const { values: options } = parseArgs({
  options: { json: { type: "boolean", default: false }, rounds: { type: "string", default: "25" } }
})
const rounds = Math.max(1, Number.parseInt(options.rounds, 10))
const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

const bench = Effect.gen(function* () {
  const path = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-bench-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true }))
  )
  const file = join(path, "nerve.db")
  return yield* Effect.gen(function* () {
    const store = yield* LogStore
    for (let n = 0; n < ROWS; n += 100) {
      yield* store.appendAll(
        Array.from({ length: 100 }, (_, at) => ({
          source: "sense" as const,
          type: "signal",
          refId: "cpu-usage",
          payload: { usage: 0.5312, cores: 8, n: n + at }
        }))
      )
    }
    const db = new DatabaseSync(file, { readOnly: true })
    const statement = db.prepare("SELECT * FROM logs WHERE id > ? ORDER BY id LIMIT ?")
    const nerve: Array<number> = []
    const bare: Array<number> = []
    for (let n = 0; n <= rounds; n++) {
      const started = performance.now()
      const entries = yield* store.query({ limit: ROWS })
      const between = performance.now()
      const rows = statement.all(0, ROWS)
      for (const row of rows) JSON.parse(String(row["payload"]))
      if (entries.length !== ROWS || rows.length !== ROWS) return yield* Effect.die("rows are missing")
      // The first round warms up.
      if (n === 0) continue
      nerve.push(between - started)
      bare.push(performance.now() - between)
    }
    db.close()
    const ratio = median(nerve.map((value, n) => value / (bare[n] ?? value)))
    return [
      { contender: "nerve LogStore", value: median(nerve), ratio },
      { contender: "node:sqlite, JSON parsed", value: median(bare), ratio: 1 }
    ].map((row) => ({
      work: "read-10000",
      ...row,
      value: Math.round(row.value * 10) / 10,
      unit: "ms",
      ratio: Math.round(row.ratio * 100) / 100
    }))
  }).pipe(Effect.provide(LogStoreSqlite.layer(file)))
})

const rows = await Effect.runPromise(Effect.scoped(bench))
if (options.json) for (const row of rows) console.log(JSON.stringify(row))
else console.table(rows)
