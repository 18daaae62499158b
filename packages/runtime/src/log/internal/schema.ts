/**
 * The tables of the log, and how an older file becomes a newer one. Frozen format: a migration that has
 * been released is never edited, only followed by another.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import { GENESIS } from "./chain.ts"

/**
 * Migrations, oldest first; a file's schema version is how many of them it has had.
 *
 * Ids come from `meta.head`, which outlives the rows: an id is not used again when the rows are
 * deleted. AUTOINCREMENT makes SQLite promise the same to whoever inserts by hand.
 */
const migrations = (sql: SqlClient.SqlClient): ReadonlyArray<ReadonlyArray<string>> => [
  [
    `CREATE TABLE logs (
      id ${idColumn(sql)},
      source TEXT NOT NULL,
      type TEXT NOT NULL,
      ref_id TEXT,
      round INTEGER,
      payload TEXT NOT NULL,
      timestamp BIGINT NOT NULL,
      hash TEXT NOT NULL
    )`,
    // Each on one column: within one value the rows are in order of id, so a page needs no sorting.
    "CREATE INDEX logs_by_source ON logs (source)",
    "CREATE INDEX logs_by_type ON logs (type)",
    "CREATE INDEX logs_by_ref ON logs (ref_id)",
    "CREATE INDEX logs_by_time ON logs (timestamp)",
    `CREATE UNIQUE INDEX logs_round ON logs (ref_id, round)
      WHERE source = 'workflow' AND type = 'message' AND ref_id IS NOT NULL AND round IS NOT NULL`,
    `CREATE TABLE workflow_runs (
      thread_id TEXT PRIMARY KEY,
      workflow TEXT NOT NULL,
      status TEXT NOT NULL,
      exit_code INTEGER,
      reason TEXT NOT NULL,
      prompt TEXT NOT NULL,
      max_rounds INTEGER NOT NULL,
      dry_run INTEGER NOT NULL,
      rounds INTEGER NOT NULL,
      crashes INTEGER NOT NULL,
      created_id BIGINT NOT NULL,
      created_at BIGINT NOT NULL,
      started_at BIGINT,
      ended_at BIGINT
    )`,
    "CREATE INDEX workflow_runs_active ON workflow_runs (created_id) WHERE status IN ('queued', 'started')",
    "CREATE INDEX workflow_runs_by_workflow ON workflow_runs (workflow, created_id)",
    `INSERT INTO meta (key, value) VALUES ('head', '0 ${GENESIS}')`
  ],
  [
    "ALTER TABLE workflow_runs ADD COLUMN phase TEXT",
    "ALTER TABLE workflow_runs ADD COLUMN run_key TEXT",
    "ALTER TABLE workflow_runs ADD COLUMN details TEXT NOT NULL DEFAULT '{}'",
    "CREATE INDEX workflow_runs_by_key ON workflow_runs (workflow, run_key) WHERE run_key IS NOT NULL"
  ],
  [
    // One row per file of the archive, in order of id without a gap.
    `CREATE TABLE archive_days (
      day TEXT PRIMARY KEY,
      first_id BIGINT NOT NULL,
      last_id BIGINT NOT NULL,
      since BIGINT NOT NULL,
      until BIGINT NOT NULL,
      entries BIGINT NOT NULL,
      bytes BIGINT NOT NULL,
      before TEXT NOT NULL,
      hash TEXT NOT NULL
    )`,
    // Which blobs the archive needs: what is in neither this nor `logs` is garbage.
    "CREATE TABLE archive_blobs (hash TEXT NOT NULL, day TEXT NOT NULL, PRIMARY KEY (hash, day))",
    // Payloads that lie in a blob; see `payload.ts`.
    "CREATE INDEX logs_blobs ON logs (payload) WHERE substr(payload, 1, 1) = '@'",
    // Up to which entry the log is in the archive, and from which on it was kept at all.
    `INSERT INTO meta (key, value) VALUES ('archived_up_to', '0 ${GENESIS}')`,
    `INSERT INTO meta (key, value) VALUES ('kept_from', '0 ${GENESIS}')`
  ],
  // The newest threads, whatever they are of.
  ["CREATE INDEX workflow_runs_by_creation ON workflow_runs (created_id)"],
  [
    // What is rare among the many entries of a sense or a worker. Signals, which are the many, would make it large.
    "CREATE INDEX logs_by_ref_type ON logs (ref_id, type) WHERE type <> 'signal'",
    "CREATE INDEX workflow_runs_by_status ON workflow_runs (status, created_id)",
    "CREATE INDEX workflow_runs_by_phase ON workflow_runs (phase, created_id) WHERE phase IS NOT NULL"
  ]
]

const idColumn = (sql: SqlClient.SqlClient) =>
  sql.onDialectOrElse({ sqlite: () => "INTEGER PRIMARY KEY AUTOINCREMENT", orElse: () => "BIGINT PRIMARY KEY" })

/** The newest schema version that this build can read and write. */
export const SCHEMA_VERSION = 5

/** The file was written by a newer nerve. Nothing in it was touched; a newer nerve can open it. */
export class LogSchemaTooNew extends Schema.TaggedError<LogSchemaTooNew>()("LogSchemaTooNew", {
  found: Schema.Int,
  known: Schema.Int
}) {
  override get message(): string {
    return (
      `the log has schema version ${this.found}, this nerve knows versions up to ${this.known}: ` +
      "use the nerve that wrote it, or a newer one"
    )
  }
}

/** Brings the tables up to date; to be run in a transaction that writes. */
export const migrate = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  conn: Connection
): Effect.fn.Return<void, SqlError | LogSchemaTooNew> {
  yield* conn.executeRaw("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)", [])
  const found = yield* version(conn)
  if (found > SCHEMA_VERSION) return yield* new LogSchemaTooNew({ found, known: SCHEMA_VERSION })
  for (const statement of migrations(sql).slice(found).flat()) yield* conn.executeRaw(statement, [])
  yield* conn.executeRaw("DELETE FROM meta WHERE key = 'schema_version'", [])
  yield* conn.executeRaw(`INSERT INTO meta (key, value) VALUES ('schema_version', '${SCHEMA_VERSION}')`, [])
})

/** Checks that a log that is only read has tables this build can read. */
export const checkVersion = Effect.fnUntraced(function* (
  conn: Connection
): Effect.fn.Return<void, SqlError | LogSchemaTooNew> {
  const found = yield* version(conn)
  if (found > SCHEMA_VERSION) return yield* new LogSchemaTooNew({ found, known: SCHEMA_VERSION })
})

const Versions = Schema.Array(Schema.Struct({ value: Schema.FiniteFromString }))

/** 0 for a log without tables. */
const version = (conn: Connection): Effect.Effect<number, SqlError> =>
  conn.execute("SELECT value FROM meta WHERE key = 'schema_version'", [], undefined).pipe(
    Effect.flatMap(Schema.decodeUnknownEffect(Versions)),
    Effect.map(([row]) => row?.value ?? 0),
    Effect.catchTag("SchemaError", Effect.die)
  )
