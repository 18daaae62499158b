/**
 * Applies one migration and its journal entry, in one transaction. It imports nothing but what a thread can
 * do with at once, for that is where it runs: a statement that takes minutes would keep the worker from
 * answering anything.
 */
import type { DatabaseSync } from "node:sqlite"
import { crashAt } from "../crashPoint.ts"

/** A migration as it is applied. */
export interface ToApply {
  /** Such as `001_samples.sql`. */
  readonly name: string
  readonly sql: string
  /** SHA-256 of `sql`, in hex. */
  readonly checksum: string
}

/** Frozen format: databases in the field have this table. */
const createJournal = `CREATE TABLE IF NOT EXISTS _nerve_migrations (
  name TEXT NOT NULL PRIMARY KEY,
  checksum TEXT NOT NULL,
  applied_at INTEGER NOT NULL
)`

/** Throws what SQLite does not take; the database is then as it was. `now` in milliseconds since the epoch. */
export const applyMigration = (database: DatabaseSync, file: ToApply, now: number): void => {
  try {
    database.exec("BEGIN IMMEDIATE")
    database.exec(createJournal)
    database.exec(file.sql)
    if (!database.isTransaction) throw new Error("it ended the transaction that it runs in")
    database
      .prepare("INSERT INTO _nerve_migrations (name, checksum, applied_at) VALUES (?, ?, ?)")
      .run(file.name, file.checksum, now)
    crashAt("migration-applied")
    database.exec("COMMIT")
    crashAt("migration-committed")
  } finally {
    // Some errors (RAISE(ROLLBACK), a full disk) have ended the transaction already.
    if (database.isTransaction) database.exec("ROLLBACK")
  }
}
