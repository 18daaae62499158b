/** Stores in temporary folders, and histories to fill them with. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { LogEntry, LogInput } from "@nerve/core/domain/LogEntry"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore } from "@nerve/runtime/log/LogStore"
import { StoreMaintenance } from "@nerve/runtime/log/StoreMaintenance"
import { Effect } from "effect"

export const DAY = 86_400_000

/** A folder that is gone with the test. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-log-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

export const newFile = Effect.map(folder, (path) => join(path, "log.db"))

/** Opens the store in `file`, uses it, closes it. */
export const withStores = <A, E, R>(
  file: string,
  use: (store: LogStore["Service"], maintenance: StoreMaintenance["Service"]) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    return yield* use(yield* LogStore, yield* StoreMaintenance)
  }).pipe(Effect.provide(LogStoreSqlite.layer(file)))

/** Changes a closed store's file behind its back. */
export const tamper = (file: string, ...statements: ReadonlyArray<string>) =>
  Effect.sync(() => {
    const db = new DatabaseSync(file)
    for (const statement of statements) db.exec(statement)
    db.close()
  })

/** The rows that are in the database itself. */
export const idsInTable = (file: string) =>
  Effect.sync(() => {
    const db = new DatabaseSync(file, { readOnly: true })
    const rows = db.prepare("SELECT id FROM logs ORDER BY id").all()
    db.close()
    return rows.map((row) => Number(row["id"]))
  })

/** All entries of a log. */
export const all = (store: LogStore["Service"]) => store.query({ limit: 1_000_000 })

/** An entry as it was handed over: without what the store added. */
export const inputOf = ({ payload, refId, round, source, type }: LogEntry): LogInput => ({
  source,
  type,
  refId,
  payload,
  ...(round === null ? {} : { round })
})
