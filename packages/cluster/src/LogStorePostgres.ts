/**
 * The log in Postgres: `LogStoreSql` behind effect/sql's `PgClient`. One daemon writes a log; a second one
 * is refused for as long as the first one's connection lives, by an advisory lock.
 *
 * The database keeps everything in its tables: large payloads are not set apart, nothing is archived into
 * files, and durability is the server's (`synchronous_commit`, which must not be off).
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as PgTypes from "@effect/sql-pg/PgTypes"
import type { LogStore, LogStoreError } from "@nerve/runtime/log/LogStore"
import * as LogStoreSql from "@nerve/runtime/log/LogStoreSql"
import type { StoreMaintenance } from "@nerve/runtime/log/StoreMaintenance"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"

/** The log did not open. `message` says what to do. */
export class PostgresOpenFailed extends Schema.TaggedError<PostgresOpenFailed>()("PostgresOpenFailed", {
  /** `unreachable`: no server, no such database, no permission. `locked`: another daemon has this log. */
  reason: Schema.Literals(["unreachable", "locked", "not-durable", "too-new", "other"]),
  message: Schema.String,
  cause: Schema.Defect()
}) {}

/** How to reach the server, as `PgClient` takes it, and where the tables are. */
export interface Options extends Omit<PgClient.PgPoolConfig, "types" | "startupParameters"> {
  /** The schema of the tables; it is created. `nerve` unless told. Each log has one of its own. */
  readonly schema?: string
}

/** Any number that is the same for everybody: which lock it is, the schema says. */
const LOCK = 0x6e657276

/**
 * Opens the log, creates its schema and tables, and holds its lock until the scope closes.
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<LogStoreSql.Stores, PostgresOpenFailed, Scope.Scope | Reactivity.Reactivity> {
  const { schema = "nerve", ...config } = options
  const sql = yield* Effect.mapError(
    PgClient.make({
      applicationName: "nerve",
      ...config,
      types: numbers(),
      startupParameters: { search_path: quote(schema) }
    }),
    failed("unreachable")
  )
  yield* checkDurable(sql)
  yield* takeLock(sql, schema)
  yield* Effect.mapError(sql.unsafe(`CREATE SCHEMA IF NOT EXISTS ${quote(schema)}`), failed("other"))
  return yield* LogStoreSql.make().pipe(
    Effect.provideService(SqlClient.SqlClient, sql),
    Effect.catchTags({
      LogSchemaTooNew: (error) => Effect.fail(failed("too-new")(error)),
      LogStoreError: (error: LogStoreError) => Effect.fail(failed("other")(error))
    })
  )
})

/** The log in the database that these options name. */
export const layer = (options: Options): Layer.Layer<LogStore | StoreMaintenance, PostgresOpenFailed> =>
  Layer.effectContext(Effect.map(make(options), LogStoreSql.toContext)).pipe(Layer.provide(Reactivity.layer))

/** What is acknowledged must survive the server's machine: a session that does not wait for the disk is refused. */
const checkDurable = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const rows = yield* Effect.mapError(
    sql<{ readonly setting: string }>`SELECT current_setting('synchronous_commit') AS setting`,
    failed("unreachable")
  )
  if (rows[0]?.setting !== "off") return
  return yield* new PostgresOpenFailed({
    reason: "not-durable",
    message: "synchronous_commit is off: a crash of the server would take entries that were acknowledged. Turn it on",
    cause: undefined
  })
})

/** A session's lock on a connection of its own: the server releases it when the connection ends, however it does. */
const takeLock = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, schema: string) {
  const conn = yield* Effect.mapError(sql.reserve, failed("unreachable"))
  const [row] = yield* Effect.mapError(
    conn.execute("SELECT pg_try_advisory_lock($1, hashtext($2)) AS taken", [LOCK, schema], undefined),
    failed("other")
  )
  // A connection goes back to its pool when the scope closes: the lock must not go with it.
  yield* Effect.addFinalizer(() =>
    Effect.ignore(conn.execute("SELECT pg_advisory_unlock($1, hashtext($2))", [LOCK, schema], undefined))
  )
  if (row?.["taken"] === true) return
  return yield* new PostgresOpenFailed({
    reason: "locked",
    message: `another daemon writes the log in schema ${schema}`,
    cause: undefined
  })
})

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

const failed =
  (reason: PostgresOpenFailed["reason"]) =>
  (cause: { readonly message: string; readonly reason?: { readonly message?: string } | undefined }) =>
    new PostgresOpenFailed({
      reason,
      message: `cannot open the log in Postgres: ${cause.reason?.message ?? cause.message}`,
      cause
    })

/** Whole numbers of 64 bits as numbers: ids and times are far below 2^53. */
const numbers = (): PgTypes.Registry => {
  const registry = PgTypes.makeRegistry()
  registry.register<number>(PgTypes.OID.int8, {
    encode: (value) => {
      const bytes = new Uint8Array(8)
      new DataView(bytes.buffer).setBigInt64(0, BigInt(value))
      return Result.succeed(bytes)
    },
    decode: (bytes) =>
      Result.succeed(Number(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigInt64(0)))
  })
  return registry
}
