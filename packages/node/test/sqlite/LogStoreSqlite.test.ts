/**
 * The log in an SQLite file (D1, D2): the shared suite, and what only a file can do (be reopened,
 * damaged, locked, deleted, full, killed).
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore, LogStoreError } from "@nerve/runtime/log/LogStore"
import * as LogStoreSql from "@nerve/runtime/log/LogStoreSql"
import { Effect, Exit, Layer, Stream } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { SqlClient } from "effect/sql/SqlClient"
import { message, opened, signal, suite } from "../../../runtime/test/log/LogStoreSuite.ts"

/** A folder that is gone with the test. */
const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-log-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const newFile = Effect.map(folder, (path) => join(path, "log.db"))

suite("LogStoreSqlite", Layer.unwrap(Effect.map(newFile, LogStoreSqlite.layer)), 30)

/** Opens the store in `file`, uses it, closes it. */
const withStore = <A, E>(file: string, use: (store: LogStore["Service"]) => Effect.Effect<A, E>) =>
  Effect.flatMap(LogStore, use).pipe(Effect.provide(LogStoreSqlite.layer(file)))

/** Changes a closed store's file behind its back. */
const tamper = (file: string, statement: string) =>
  Effect.sync(() => {
    const db = new DatabaseSync(file)
    db.exec(statement)
    db.close()
  })

/** Why the store in `file` does not open. */
const openFailure = (layer: Layer.Layer<LogStore, LogStoreSqlite.StoreOpenFailed>) =>
  Effect.flip(Effect.scoped(Layer.build(layer)))

const fill = (store: LogStore["Service"]) =>
  Effect.andThen(
    store.appendAll(Array.from({ length: 2500 }, (_, n) => signal("cpu", n))),
    store.appendAll([opened("started", "t"), message("t", 1), message("t", 2)])
  )

describe("a reopened file", () => {
  it.effect("goes on with its ids, runs and chain", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStore(file, (store) => store.appendAll([opened("started", "t"), message("t", 1)]))
      yield* withStore(file, (store) =>
        Effect.gen(function* () {
          expect((yield* store.append(message("t", 1))).id).toBe(2)
          expect((yield* store.append(message("t", 2))).id).toBe(3)
          expect(yield* store.run("t")).toMatchObject({ status: "started", rounds: 2, createdId: 1 })
          expect(yield* store.verify).toBeNull()
          const past = yield* Stream.runCollect(Stream.take(store.follow({ cursor: 0 }), 3))
          expect(past.map((entry) => entry.type)).toEqual(["started", "message", "message"])
        })
      )
    })
  )

  it.effect("never uses an id again, even when the last rows were deleted", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStore(file, (store) => store.appendAll([signal("a"), signal("b"), signal("c")]))
      yield* tamper(file, "DELETE FROM logs")
      expect((yield* withStore(file, (store) => store.append(signal("d")))).id).toBe(4)
    })
  )

  it.effect("is one file again after it was closed", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStore(file, (store) => store.append(signal("a")))
      expect([existsSync(file), existsSync(`${file}-wal`)]).toEqual([true, false])
    })
  )

  it.effect("has its folder created", () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "deep", "er", "log.db")
      yield* withStore(file, (store) => store.append(signal("a")))
      expect(existsSync(file)).toBe(true)
    })
  )

  it.effect("rebuilds runs that were lost", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const before = yield* withStore(file, (store) => Effect.andThen(fill(store), store.runs({})))
      yield* tamper(file, "DELETE FROM workflow_runs")
      yield* withStore(file, (store) =>
        Effect.gen(function* () {
          expect(yield* store.runs({})).toEqual([])
          expect(yield* store.rebuildRuns).toBe(1)
          expect(yield* store.runs({})).toEqual(before)
        })
      )
    })
  )

  it.effect("computes a damaged run anew when its thread goes on, and fails nobody for it", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStore(file, (store) => store.appendAll([opened("started", "t"), message("t", 1)]))
      yield* tamper(file, "UPDATE workflow_runs SET max_rounds = 'many'")
      yield* withStore(file, (store) =>
        Effect.gen(function* () {
          expect(yield* Effect.flip(store.run("t"))).toMatchObject({ _tag: "LogStoreError", permanent: true })
          yield* Effect.all([store.append(signal("cpu")), store.append(message("t", 2))], { concurrency: 2 })
          expect(yield* store.run("t")).toMatchObject({ status: "started", rounds: 2, maxRounds: 5 })
        })
      )
    })
  )

  it.effect("holds a round once, whoever writes", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStore(file, (store) => store.append(message("t", 1)))
      const copy = "INSERT INTO logs SELECT 2, source, type, ref_id, round, payload, timestamp, hash FROM logs"
      expect(Exit.isFailure(yield* Effect.exit(tamper(file, copy)))).toBe(true)
    })
  )
})

describe("verify", () => {
  const damages: ReadonlyArray<readonly [what: string, statement: string, found: number]> = [
    ["a changed payload", `UPDATE logs SET payload = '7' WHERE id = 1700`, 1700],
    ["a changed time", "UPDATE logs SET timestamp = timestamp + 1 WHERE id = 3", 3],
    ["a changed reference", "UPDATE logs SET ref_id = NULL WHERE id = 4", 4],
    ["a changed round", "UPDATE logs SET round = 9 WHERE id = 2502", 2502],
    ["a changed hash", "UPDATE logs SET hash = '0123456789abcdef' WHERE id = 5", 5],
    ["a value of another kind", "UPDATE logs SET timestamp = 'soon' WHERE id = 6", 6],
    ["a first row that is gone", "DELETE FROM logs WHERE id = 1", 1],
    ["a row that is gone from the middle", "DELETE FROM logs WHERE id = 1234", 1234],
    ["rows that are gone from the end", "DELETE FROM logs WHERE id > 2500", 2501],
    ["all rows gone", "DELETE FROM logs", 1],
    [
      "two rows that changed places",
      "UPDATE logs SET payload = CASE id WHEN 10 THEN '10' ELSE '9' END WHERE id IN (10, 11)",
      10
    ],
    [
      "a row that somebody else added",
      "INSERT INTO logs VALUES (2504, 'sense', 'signal', 'cpu', NULL, '1', 1, '0123456789abcdef')",
      2504
    ]
  ]
  for (const [what, statement, found] of damages) {
    it.effect(`finds ${what}, and appending still works`, () =>
      Effect.gen(function* () {
        const file = yield* newFile
        yield* withStore(file, fill)
        expect(yield* withStore(file, (store) => store.verify)).toBeNull()
        yield* tamper(file, statement)
        yield* withStore(file, (store) =>
          Effect.gen(function* () {
            expect(yield* store.verify).toBe(found)
            yield* store.append(signal("after"))
            expect(yield* store.verify).toBe(found)
          })
        )
      })
    )
  }

  it.effect("a row that cannot be read is an error that names it", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStore(file, fill)
      yield* tamper(file, "UPDATE logs SET payload = '{' WHERE id = 3")
      yield* withStore(file, (store) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(store.query({ limit: 5 }))
          expect(error).toBeInstanceOf(LogStoreError)
          expect(error.message).toBe("entry 3 of the log is damaged")
          expect((yield* store.query({ cursor: 3, limit: 1 })).length).toBe(1)
        })
      )
    })
  )
})

describe("a file that does not open", () => {
  it.effect("is not a database", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      writeFileSync(file, "these are my holiday notes, all of them, and they are longer than a header is\n".repeat(50))
      const error = yield* openFailure(LogStoreSqlite.layer(file))
      expect(error.reason).toBe("not-a-database")
      expect(error.message).toContain(file)
      expect((yield* openFailure(LogStoreSqlite.layerReadOnly(file))).reason).toBe("not-a-database")
    })
  )

  it.effect("is damaged", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStore(file, fill)
      const descriptor = openSync(file, "r+")
      writeSync(descriptor, "x".repeat(3000), 200)
      closeSync(descriptor)
      expect((yield* openFailure(LogStoreSqlite.layer(file))).reason).toBe("damaged")
    })
  )

  it.effect("is a folder", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      mkdirSync(file)
      expect((yield* openFailure(LogStoreSqlite.layer(file))).reason).toBe("not-permitted")
    })
  )

  it.effect("lies below a file", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      writeFileSync(file, "")
      const error = yield* openFailure(LogStoreSqlite.layer(join(file, "log.db")))
      expect(error.message).toContain(file)
    })
  )

  it.effect.skipIf(process.getuid?.() === 0)("may not be written", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStore(file, fill)
      chmodSync(file, 0o444)
      expect((yield* openFailure(LogStoreSqlite.layer(file))).reason).toBe("not-permitted")
    })
  )

  it.effect("is locked by another connection", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStore(file, fill)
      const other = new DatabaseSync(file)
      yield* Effect.addFinalizer(() => Effect.sync(() => other.close()))
      other.exec("BEGIN IMMEDIATE")
      const error = yield* openFailure(LogStoreSqlite.layer(file))
      expect(error.reason).toBe("locked")
      expect(error.message).toContain("another process is writing it")
    })
  )

  it.effect("has no write-ahead log", () =>
    Effect.gen(function* () {
      const error = yield* openFailure(LogStoreSqlite.layer(":memory:"))
      expect(error.reason).toBe("no-wal")
      expect(error.message).toContain("its journal mode stays memory")
    })
  )

  it.effect("was written by a newer nerve, and is left as it is", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStore(file, fill)
      yield* tamper(file, "UPDATE meta SET value = '99' WHERE key = 'schema_version'")
      const error = yield* openFailure(LogStoreSqlite.layer(file))
      expect(error.reason).toBe("too-new")
      expect(error.message).toContain("schema version 99, this nerve knows versions up to 5")
      expect((yield* openFailure(LogStoreSqlite.layerReadOnly(file))).reason).toBe("too-new")
      yield* tamper(file, "UPDATE meta SET value = '5' WHERE key = 'schema_version'")
      expect(yield* withStore(file, (store) => store.verify)).toBeNull()
    })
  )

  it.effect("is missing, when it is to be read only", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const error = yield* openFailure(LogStoreSqlite.layerReadOnly(file))
      expect(error.reason).toBe("missing")
      expect(existsSync(file)).toBe(false)
    })
  )

  it.effect("is some other program's database, when it is to be read only", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* tamper(file, "CREATE TABLE notes (text)")
      expect((yield* openFailure(LogStoreSqlite.layerReadOnly(file))).reason).toBe("damaged")
    })
  )
})

describe("an open file", () => {
  it.effect("is synchronised fully, in write-ahead mode", () =>
    Effect.gen(function* () {
      const sql = yield* LogStoreSqlite.makeClient(yield* newFile)
      expect(yield* sql`PRAGMA synchronous`).toEqual([{ synchronous: 2 }])
      expect(yield* sql`PRAGMA journal_mode`).toEqual([{ journal_mode: "wal" }])
      expect(yield* sql`PRAGMA busy_timeout`).toEqual([{ timeout: 1000 }])
    }).pipe(Effect.provide(Reactivity.layer))
  )

  it.effect("commits the appends of 64 writers together", () =>
    Effect.gen(function* () {
      const sql = yield* LogStoreSqlite.makeClient(yield* newFile)
      let transactions = 0
      const { store } = yield* LogStoreSql.make({ guard: Effect.sync(() => void transactions++) }).pipe(
        Effect.provideService(SqlClient, sql)
      )
      yield* Effect.forEach(
        Array.from({ length: 64 }, (_, n) => n),
        () => Effect.forEach([1, 2, 3, 4, 5], (n) => store.append(signal("cpu", n))),
        { concurrency: "unbounded" }
      )
      expect(transactions).toBe(5)
    }).pipe(Effect.provide(Reactivity.layer))
  )

  it.effect("refuses appends once it was deleted or replaced, rather than losing them", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStore(file, (store) =>
        Effect.gen(function* () {
          yield* store.append(signal("a"))
          renameSync(file, `${file}.moved`)
          expect((yield* Effect.flip(store.append(signal("b")))).message).toContain("was deleted or replaced")
          writeFileSync(file, "")
          expect((yield* Effect.flip(store.append(signal("c")))).message).toContain("was deleted or replaced")
          rmSync(file)
          renameSync(`${file}.moved`, file)
          expect((yield* store.append(signal("d"))).id).toBe(2)
        })
      )
    })
  )

  it.effect("fails the appends of a batch while another connection writes, and takes them again later", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStore(file, (store) =>
        Effect.gen(function* () {
          const other = new DatabaseSync(file)
          other.exec("BEGIN IMMEDIATE")
          const exits = yield* Effect.forEach(["a", "b", "c"], (name) => Effect.flip(store.append(signal(name))), {
            concurrency: "unbounded"
          })
          for (const error of exits) expect(error.message).toContain("another process keeps it locked")
          other.exec("ROLLBACK")
          other.close()
          expect((yield* store.append(signal("d"))).id).toBe(1)
        })
      )
    })
  )

  it.effect("fails appends on a full disk, changes nothing, and goes on when there is space", () =>
    Effect.gen(function* () {
      const sql = yield* LogStoreSqlite.makeClient(yield* newFile)
      const { store } = yield* LogStoreSql.make().pipe(Effect.provideService(SqlClient, sql))
      yield* fill(store)
      const [pages] = yield* sql<{ readonly page_count: number }>`PRAGMA page_count`
      yield* sql.unsafe(`PRAGMA max_page_count = ${pages?.page_count ?? 0}`)
      const large = { ...message("t", 3), payload: { role: "r", content: "x".repeat(100_000), meta: null } }
      const errors = yield* Effect.forEach([1, 2, 3], () => Effect.flip(store.appendAll([signal("small"), large])), {
        concurrency: "unbounded"
      })
      expect(errors.map((error) => error.message)).toEqual(Array(3).fill("database or disk is full"))
      expect((yield* store.query({ cursor: 2503 })).length).toBe(0)
      expect(yield* store.run("t")).toMatchObject({ rounds: 2 })
      yield* sql.unsafe("PRAGMA max_page_count = 1000000")
      expect((yield* store.append(large)).id).toBe(2504)
      expect(yield* store.run("t")).toMatchObject({ rounds: 3 })
      expect(yield* store.verify).toBeNull()
    }).pipe(Effect.provide(Reactivity.layer))
  )
})

describe("a file opened for reading", () => {
  it.effect("answers queries and refuses appends", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const all = yield* withStore(file, (store) => Effect.andThen(fill(store), store.query({ limit: 5000 })))
      yield* Effect.gen(function* () {
        const store = yield* LogStore
        expect(yield* store.query({ limit: 5000 })).toEqual(all)
        expect(yield* store.run("t")).toMatchObject({ rounds: 2 })
        expect(yield* store.verify).toBeNull()
        expect((yield* Effect.flip(store.append(signal("a")))).message).toBe("the log was opened for reading only")
        expect(yield* Effect.flip(store.rebuildRuns)).toBeInstanceOf(LogStoreError)
      }).pipe(Effect.provide(LogStoreSqlite.layerReadOnly(file)))
    })
  )
})

describe("a killed process", () => {
  it.live("leaves every acknowledged entry in the file, to be read and to be gone on with", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const acknowledged = yield* Effect.promise(() => appendUntilKilled(file, 500))

      const found = yield* Effect.flatMap(LogStore, (store) => store.query({ limit: 1_000_000 })).pipe(
        Effect.provide(LogStoreSqlite.layerReadOnly(file))
      )
      const ids = new Set(found.map((entry) => entry.id))
      expect(acknowledged.filter((id) => !ids.has(id))).toEqual([])

      yield* withStore(file, (store) =>
        Effect.gen(function* () {
          expect((yield* store.append(signal("after"))).id).toBeGreaterThan(Math.max(...acknowledged))
          expect(yield* store.verify).toBeNull()
        })
      )
    })
  )
})

/** Runs a process that appends, and kills it after `count` acknowledged entries; their ids. */
const appendUntilKilled = async (file: string, count: number): Promise<ReadonlyArray<number>> => {
  const fixture = fileURLToPath(new URL("./appendForever.fixture.ts", import.meta.url))
  const child = spawn(process.execPath, [fixture, file], { stdio: ["ignore", "pipe", "inherit"] })
  const exited = once(child, "exit")
  const acknowledged: Array<number> = []
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(Number(line))
    if (acknowledged.length === count) child.kill("SIGKILL")
  }
  await exited
  expect(acknowledged.length).toBeGreaterThanOrEqual(count)
  return acknowledged
}
