/**
 * What nerve keeps in a sense's database beside the author's tables: the state, and the last signal with
 * its key. Both are written in the compute's own transaction. The functions throw what SQLite throws.
 *
 * Names that begin with `_nerve_` are reserved.
 */
import type { ComputeOutcome, Launch } from "@nerve/core/wire/SenseRpcs"
import { Launch as LaunchSchema } from "@nerve/core/wire/SenseRpcs"
import * as Schema from "effect/Schema"
import { randomUUID } from "node:crypto"
import type { DatabaseSync } from "node:sqlite"

/** Frozen format: databases in the field have these tables. */
const createTables = `
CREATE TABLE IF NOT EXISTS _nerve_state (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  value TEXT NOT NULL,
  saved_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS _nerve_signal (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  -- A database that was deleted and made anew must not reuse the keys of the old one.
  origin TEXT NOT NULL,
  number INTEGER NOT NULL,
  value TEXT NOT NULL,
  launches TEXT NOT NULL,
  signalled_at INTEGER NOT NULL
)`

/** A signal as it is kept. */
export interface Saved {
  /** Of this signal and no other, ever. */
  readonly key: string
  readonly value: Schema.Json
  readonly launches: ReadonlyArray<Launch>
}

/** Makes the tables; a no-op, and no write, where they are there. */
export const prepare = (database: DatabaseSync): void => {
  if (!hasTable(database, "_nerve_state") || !hasTable(database, "_nerve_signal")) database.exec(createTables)
}

/** The state as JSON; undefined when none was saved. */
export const readState = (database: DatabaseSync): Schema.Json | undefined => {
  if (!hasTable(database, "_nerve_state")) return undefined
  const row = database.prepare("SELECT value FROM _nerve_state").get()
  return row === undefined ? undefined : decodeJson(row.value)
}

export const writeState = (database: DatabaseSync, value: Schema.Json, now: number): void => {
  database
    .prepare(
      `INSERT INTO _nerve_state (id, value, saved_at) VALUES (1, ?, ?)
       ON CONFLICT (id) DO UPDATE SET value = excluded.value, saved_at = excluded.saved_at`
    )
    .run(JSON.stringify(value), now)
}

/** The last signal; null before the first. */
export const readSignal = (database: DatabaseSync): Saved | null => {
  if (!hasTable(database, "_nerve_signal")) return null
  const row = database.prepare("SELECT origin, number, value, launches FROM _nerve_signal").get()
  if (row === undefined) return null
  return {
    key: `${String(row.origin)}:${String(row.number)}`,
    value: decodeJson(row.value),
    launches: decodeLaunches(row.launches)
  }
}

/** The key of the last signal; null before the first. */
export const readKey = (database: DatabaseSync): string | null => {
  const row = database.prepare("SELECT origin || ':' || number AS key FROM _nerve_signal").get()
  return row === undefined ? null : String(row.key)
}

/** Keeps a signal in place of the last one; its key. */
export const writeSignal = (
  database: DatabaseSync,
  { launches, value }: Extract<ComputeOutcome, { readonly _tag: "Signal" }>,
  now: number
): string => {
  const row = database
    .prepare(
      `INSERT INTO _nerve_signal (id, origin, number, value, launches, signalled_at) VALUES (1, ?, 1, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET number = number + 1, value = excluded.value, launches = excluded.launches,
         signalled_at = excluded.signalled_at
       RETURNING origin || ':' || number AS key`
    )
    .get(randomUUID(), JSON.stringify(value), JSON.stringify(launches), now)
  return String(row?.key)
}

const hasTable = (database: DatabaseSync, name: string): boolean =>
  database.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get(name) !== undefined

const decodeJson = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Json))
const decodeLaunches = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Array(LaunchSchema)))
