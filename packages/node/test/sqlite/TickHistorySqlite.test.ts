/**
 * The history of ticks in the daemon's SQLite file: the shared suite, and what only a file can do
 * (be reopened, read by others, refuse to be written).
 */
import { assert, describe, it } from "@effect/vitest"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore } from "@nerve/runtime/log/LogStore"
import { KEPT_PER_OUTCOME, TickHistory } from "@nerve/runtime/sense/TickHistory"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { mkdtempSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { suite, tick } from "../../../runtime/test/sense/TickHistorySuite.ts"

const newFile = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-ticks-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  ),
  (path) => join(path, "nerve.db")
)

suite("TickHistory in SQLite", Layer.unwrap(Effect.map(newFile, LogStoreSqlite.layerWithTicks)))

const withTicks = <A, E>(file: string, use: (history: TickHistory["Service"]) => Effect.Effect<A, E>) =>
  Effect.flatMap(TickHistory, use).pipe(Effect.provide(LogStoreSqlite.layerWithTicks(file)))

/** What lies in the file, whoever has it open. */
const rowsIn = (file: string, where = "1"): number => {
  const db = new DatabaseSync(file, { readOnly: true })
  const row = db.prepare(`SELECT COUNT(*) AS rows FROM sense_ticks WHERE ${where}`).get()
  db.close()
  return Number(row?.["rows"])
}

describe("a file", () => {
  it.effect("is written when ticks have gathered for five seconds, and when it is closed", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withTicks(file, (history) =>
        Effect.gen(function* () {
          history.recordUnsafe(tick("cpu", "signal"))
          yield* Effect.yieldNow
          yield* TestClock.adjust("4 seconds")
          assert.strictEqual(rowsIn(file), 0)
          yield* TestClock.adjust("1 second")
          assert.strictEqual(rowsIn(file), 1)
          history.recordUnsafe(tick("cpu", "signal"))
        })
      )
      assert.strictEqual(rowsIn(file), 2)
    })
  )

  it.effect("goes on after it was reopened: ids grow, and the oldest give way", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const ids: Array<number> = []
      for (let opening = 0; opening < 4; opening++) {
        yield* withTicks(file, (history) =>
          Effect.gen(function* () {
            for (let nth = 0; nth < KEPT_PER_OUTCOME - 7; nth++) {
              history.recordUnsafe(tick("cpu", "no-signal", { dueAt: opening * 1_000 + nth }))
            }
            const [latest] = yield* history.query({ sense: "cpu", limit: 1 })
            assert.strictEqual(latest?.dueAt, opening * 1_000 + KEPT_PER_OUTCOME - 8)
            ids.push(latest?.id ?? 0)
          })
        )
      }
      assert.deepStrictEqual(
        ids,
        [1, 2, 3, 4].map((openings) => openings * (KEPT_PER_OUTCOME - 7))
      )
      assert.strictEqual(rowsIn(file), KEPT_PER_OUTCOME)
      assert.strictEqual(rowsIn(file, "due_at >= 3000"), KEPT_PER_OUTCOME - 7)
      const read = yield* Effect.flatMap(TickHistory, (history) => history.query({ sense: "cpu", limit: 1 })).pipe(
        Effect.provide(LogStoreSqlite.layerReadOnlyWithTicks(file))
      )
      assert.strictEqual(read[0]?.id, ids.at(-1))
    })
  )

  it.effect("without a history of ticks has none to read", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* Effect.provide(LogStore, LogStoreSqlite.layer(file))
      const read = yield* Effect.flatMap(TickHistory, (history) => history.query({ sense: "cpu" })).pipe(
        Effect.provide(LogStoreSqlite.layerReadOnlyWithTicks(file))
      )
      assert.deepStrictEqual(read, [])
    })
  )

  it.effect("of another version is begun anew", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withTicks(file, (history) => Effect.sync(() => history.recordUnsafe(tick("cpu", "error"))))
      const db = new DatabaseSync(file)
      db.exec("UPDATE sense_ticks_head SET version = 99; ALTER TABLE sense_ticks RENAME COLUMN cause TO origin")
      db.close()
      yield* withTicks(file, (history) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* history.query({ sense: "cpu" }), [])
          history.recordUnsafe(tick("cpu", "error"))
          assert.lengthOf(yield* history.query({ sense: "cpu" }), 1)
        })
      )
    })
  )

  it.effect("that cannot be written for a while loses no tick that is kept, and writes none twice", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withTicks(file, (history) =>
        Effect.gen(function* () {
          for (let nth = 0; nth < 10; nth++) history.recordUnsafe(tick(`s${nth}`, "no-signal"))
          assert.lengthOf(yield* history.query({ sense: "s3" }), 1)
          // The file that is open is not the file of that name any more: the log's own guard.
          renameSync(file, `${file}.away`)
          for (let nth = 0; nth < 1_500; nth++) history.recordUnsafe(tick(`s${nth}`, "signal", { dueAt: nth }))
          const error = yield* Effect.flip(history.query({ sense: "s3" }))
          assert.include(error.message, "was deleted or replaced")
          renameSync(`${file}.away`, file)
          history.recordUnsafe(tick("s3", "error"))
          assert.deepStrictEqual(
            (yield* history.query({ sense: "s3" })).map((one) => one.outcome),
            ["error", "signal", "no-signal"]
          )
        })
      )
      assert.strictEqual(rowsIn(file), 1_511)
    })
  )
})
