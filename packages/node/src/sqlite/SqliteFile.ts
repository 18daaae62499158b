/**
 * What can be asked of the database as a file: whether it is sound, how large it is, and to give back the
 * space of what was deleted.
 */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import type { StoreProblem } from "@nerve/core/wire/StoreReports"
import { LogStoreError } from "@nerve/runtime/log/LogStore"
import * as LogStoreSql from "@nerve/runtime/log/LogStoreSql"
import * as Effect from "effect/Effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import { statfsSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { Worker } from "node:worker_threads"
import * as EndFile from "./EndFile.ts"

/** The file behind `sql`. `end` is what the file beside it said when it was opened. */
export const make = (file: string, sql: SqlClient.SqlClient, end: EndFile.End): LogStoreSql.DatabaseFile => ({
  check: Effect.gen(function* () {
    return [...(yield* checkPages(file)), ...(yield* checkTables(file, sql)), ...(yield* checkEnd(file, sql, end))]
  }),
  vacuum: Effect.gen(function* () {
    const before = sizeOf(file)
    // The second empties the write-ahead log, into which the first has written the whole file.
    for (const statement of ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"]) {
      yield* Effect.mapError(
        sql.unsafe(statement),
        (cause) => new LogStoreError({ operation: "vacuum", message: `${file}: ${cause.reason.message}`, cause })
      )
    }
    return { before, after: sizeOf(file) }
  }),
  sizes: Effect.sync(() => ({ fileBytes: sizeOf(file), freeBytes: freeOf(file) }))
})

const sizeOf = (file: string): number =>
  [file, `${file}-wal`].reduce((sum, path) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0)

const freeOf = (file: string): number => {
  const { bavail, bsize } = statfsSync(dirname(file))
  return bavail * bsize
}

/** Runs SQLite's own check on a thread of its own: on a large file it takes long, and the driver is synchronous. */
const program = `
const { parentPort, workerData } = require("node:worker_threads")
const { DatabaseSync } = require("node:sqlite")
try {
  const db = new DatabaseSync(workerData, { readOnly: true, timeout: 5000 })
  const rows = db.prepare("PRAGMA integrity_check(20)").all()
  db.close()
  parentPort.postMessage(rows.map((row) => String(row.integrity_check)))
} catch (error) {
  parentPort.postMessage([String(error && error.message)])
}
`

const decodeMessages = Schema.decodeUnknownOption(Schema.Array(Schema.String))

const checkPages = (file: string): Effect.Effect<ReadonlyArray<StoreProblem>> =>
  Effect.callback<ReadonlyArray<string>>((resume) => {
    // Its own stderr: Node warns there that SQLite is new.
    const worker = new Worker(program, { eval: true, workerData: file, stderr: true })
    worker.on("message", (message: unknown) => {
      const said = decodeMessages(message)
      resume(Effect.succeed(said._tag === "Some" ? said.value : ["SQLite's check did not answer"]))
    })
    worker.on("error", (error) => resume(Effect.succeed([error.message])))
    worker.on("exit", () => resume(Effect.succeed(["SQLite's check ended without an answer"])))
    return Effect.promise(() => worker.terminate())
  }).pipe(Effect.map((messages) => messages.filter((message) => message !== "ok").map(problem(file))))

/** Tables and indexes must be the ones that nerve makes: a damaged definition may still parse. */
const checkTables = Effect.fnUntraced(function* (file: string, sql: SqlClient.SqlClient) {
  const expected = yield* Effect.scoped(
    Effect.gen(function* () {
      const fresh = yield* SqliteClient.make({ filename: ":memory:", disableWAL: true })
      yield* LogStoreSql.make().pipe(Effect.provideService(SqlClient.SqlClient, fresh))
      return yield* definitions(fresh)
    })
  ).pipe(Effect.provide(Reactivity.layer), Effect.orDie)
  const found = yield* Effect.result(definitions(sql))
  if (found._tag === "Failure") return [problem(file)(found.failure.reason.message)]
  return found.success === expected ? [] : [problem(file)("its tables are not the ones that nerve makes")]
})

/** Of the log's own tables; others may lie beside them. */
const definitions = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql`SELECT type, name, tbl_name, sql FROM sqlite_master
        WHERE tbl_name IN ('logs', 'workflow_runs', 'meta', 'archive_days', 'archive_blobs') ORDER BY name`,
    (rows) => JSON.stringify(rows)
  )

/** The log must not end before an end that was acknowledged. */
const checkEnd = Effect.fnUntraced(function* (file: string, sql: SqlClient.SqlClient, opened: EndFile.End) {
  if (opened === "damaged") return [problem(EndFile.pathOf(file))("it does not hold what was written")]
  if (opened === "none") return []
  const rows = yield* Effect.result(sql`SELECT value FROM meta WHERE key = 'head'`)
  if (rows._tag === "Failure") return [problem(file)(rows.failure.reason.message)]
  const id = Number(String(rows.success[0]?.["value"]).split(" ")[0])
  if (id >= opened.id) return []
  return [
    { part: "log" as const, id: id + 1, message: `entries ${id + 1} to ${opened.id} were acknowledged and are gone` }
  ]
})

const problem =
  (file: string) =>
  (message: string): StoreProblem => ({ part: "file", id: null, message: `${file}: ${message}` })
