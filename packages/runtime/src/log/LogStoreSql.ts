/**
 * The log in an SQL database (D1, D2): written for SQLite, in SQL that other databases speak too.
 *
 * It owns the tables `logs`, `workflow_runs` and `meta`. Entries are appended through `LogWriter`, a
 * batch per transaction, and each run is materialised in the transaction of its entry. The database
 * itself (file, durability, locks) belongs to whoever provides the `SqlClient`.
 */
import type { LogQuery } from "@nerve/core/domain/LogEntry"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import { makeRuns, makeStatements, passStrangers, readHead, type Statements, writeRows } from "./internal/append.ts"
import * as Chain from "./internal/chain.ts"
import { decodeNumber, decodeEntries, decodeRuns, decodeStoredRow } from "./internal/columns.ts"
import { decodeMessages, DEFAULT_LIMIT, single } from "./internal/entries.ts"
import { checkVersion, LogSchemaTooNew, migrate } from "./internal/schema.ts"
import * as Tail from "./internal/tail.ts"
import { makeTransact, nameSqlErrors, withConnection } from "./internal/transaction.ts"
import { LogStore, LogStoreError, type RunQuery } from "./LogStore.ts"
import * as LogWriter from "./LogWriter.ts"

export { LogSchemaTooNew } from "./internal/schema.ts"

/** Rows read at once by what walks the whole log. */
const PAGE = 1000

export interface Options {
  /** The database is only read: nothing is migrated, every append fails. */
  readonly readOnly?: boolean
  /** Run in each transaction that appends, before it writes; when it fails, so do its writers. */
  readonly guard?: Effect.Effect<void, LogStoreError>
}

/** A log in the database of `SqlClient`, its tables created or brought up to date. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<LogStore["Service"], LogStoreError | LogSchemaTooNew, SqlClient.SqlClient | Scope.Scope> {
  const sql = yield* SqlClient.SqlClient
  const transact = makeTransact(sql)
  const texts = makeStatements(sql)
  const guard = options.guard ?? Effect.void

  // ── Opening: tables, then where the log ends, then readers, then writers. Closing goes backwards:
  // reads are refused, writers flushed, followers ended. ──
  const head = yield* options.readOnly === true
    ? withConnection(sql, "open", (conn) =>
        Effect.andThen(checkVersion(conn), readHead(conn, texts)).pipe(
          Effect.catchTag("LogSchemaTooNew", Effect.succeed)
        )
      )
    : transact("open", (conn) =>
        Effect.andThen(migrate(sql, conn), passStrangers(conn, texts)).pipe(
          Effect.catchTag("LogSchemaTooNew", Effect.succeed)
        )
      )
  if (head instanceof LogSchemaTooNew) return yield* head
  const tail = Tail.make(head.id)
  yield* Effect.addFinalizer(() => Effect.sync(tail.close))
  const writer =
    options.readOnly === true
      ? readOnlyWriter
      : yield* LogWriter.make((rows) =>
          Effect.map(
            transact("append", (conn) => Effect.andThen(guard, writeRows(conn, texts, rows))),
            (written) => {
              tail.publish(written.fresh)
              return written.entries
            }
          )
        )
  let closed = false
  yield* Effect.addFinalizer(() => Effect.sync(() => (closed = true)))

  /** Runs a read, unless the store is closed. */
  const read = <A>(operation: string, effect: Effect.Effect<A, LogStoreError | SqlError>) =>
    nameSqlErrors(
      operation,
      Effect.suspend(() => (closed ? LogWriter.storeClosed(operation) : effect))
    )

  const ascending = sql.literal("ASC")
  const descending = sql.literal("DESC")
  const atMost = (limit: number | undefined) =>
    limit === undefined ? sql.literal("") : sql`LIMIT ${Math.max(0, limit)}`

  const entries = (operation: string, where: ReadonlyArray<Fragment>, limit: number, order = ascending) =>
    read(
      operation,
      sql`SELECT * FROM logs WHERE ${sql.and(where)} ORDER BY id ${order} ${atMost(limit)}`.pipe(
        Effect.flatMap(decodeEntries(operation))
      )
    )

  /** Conditions for what a query asks for, its cursor aside. */
  const conditions = (query: LogQuery): ReadonlyArray<Fragment> => [
    ...(query.source === undefined ? [] : [sql`source = ${query.source}`]),
    ...(query.type === undefined ? [] : [sql`type = ${query.type}`]),
    ...(query.refId === undefined ? [] : [sql`ref_id = ${query.refId}`]),
    ...(query.since === undefined ? [] : [sql`timestamp >= ${query.since}`]),
    ...(query.until === undefined ? [] : [sql`timestamp < ${query.until}`])
  ]

  const runs = (operation: string, where: ReadonlyArray<Fragment>, order: Fragment, limit?: number) =>
    read(
      operation,
      sql`SELECT * FROM workflow_runs WHERE ${sql.and(where)}
          ORDER BY created_id ${order} ${atMost(limit)}`.pipe(Effect.flatMap(decodeRuns(operation)))
    )

  return {
    append: (input) => Effect.flatMap(writer.append([input]), single),
    appendAll: writer.append,
    query: (query) => {
      const { cursor, limit = DEFAULT_LIMIT, order = "asc" } = query
      const after = cursor === undefined ? [] : [order === "asc" ? sql`id > ${cursor}` : sql`id < ${cursor}`]
      return entries("query", [...conditions(query), ...after], limit, order === "asc" ? ascending : descending)
    },
    follow: (query) =>
      Stream.unwrap(
        read(
          "follow",
          Effect.sync(() =>
            tail.follow(query, (after, upTo, limit) =>
              entries("follow", [...conditions(query), sql`id > ${after}`, sql`id <= ${upTo}`], limit)
            )
          )
        )
      ),
    run: (threadId) => Effect.map(runs("run", [sql`thread_id = ${threadId}`], ascending), ([run]) => run),
    activeRuns: runs("activeRuns", [sql`status IN ('queued', 'started')`], ascending),
    runs: (query: RunQuery) =>
      runs(
        "runs",
        [
          ...(query.workflow === undefined ? [] : [sql`workflow = ${query.workflow}`]),
          ...(query.status === undefined ? [] : [sql`status = ${query.status}`]),
          ...(query.phase === undefined ? [] : [sql`phase = ${query.phase}`]),
          ...(query.key === undefined ? [] : [sql`run_key = ${query.key}`])
        ],
        descending,
        query.limit
      ),
    messages: (threadId, page = {}) =>
      read(
        "messages",
        sql`SELECT * FROM logs WHERE source = 'workflow' AND type = 'message' AND ref_id = ${threadId}
            AND round > ${page.afterRound ?? 0} ORDER BY round ${atMost(page.limit)}`.pipe(
          Effect.flatMap(decodeEntries("messages")),
          Effect.flatMap(decodeMessages)
        )
      ),
    rebuildRuns: Effect.suspend(() =>
      closed ? LogWriter.storeClosed("rebuildRuns") : transact("rebuildRuns", (conn) => rebuildRuns(sql, conn, texts))
    ),
    verify: read("verify", verify(sql, texts))
  }
})

/** A log in the database of `SqlClient`. */
export const layer: Layer.Layer<LogStore, LogStoreError | LogSchemaTooNew, SqlClient.SqlClient> = Layer.effect(
  LogStore,
  make()
)

const readOnlyWriter: LogWriter.LogWriter = {
  append: () =>
    Effect.fail(
      new LogStoreError({ operation: "append", message: "the log was opened for reading only", cause: undefined })
    )
}

/** Projects every entry anew; the number of runs. One transaction: readers see the old table or the new one. */
const rebuildRuns = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, conn: Connection, texts: Statements) {
  const [page] = sql`SELECT * FROM logs WHERE source = 'workflow' AND id > ${0} ORDER BY id LIMIT ${PAGE}`.compile()
  yield* conn.executeRaw("DELETE FROM workflow_runs", [])
  const runs = makeRuns(conn, texts)
  let after = 0
  while (true) {
    const entries = yield* Effect.flatMap(conn.execute(page, [after, PAGE], undefined), decodeEntries("rebuildRuns"))
    for (const entry of entries) yield* runs.project(entry)
    yield* runs.flush
    const last = entries.at(-1)
    if (last === undefined) break
    after = last.id
  }
  return yield* Effect.flatMap(
    conn.execute("SELECT COUNT(*) AS number FROM workflow_runs", [], undefined),
    decodeNumber("rebuildRuns")
  )
})

/** Walks the chain up to where the log ended when it began; the first that is damaged or gone, or null. */
const verify = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, texts: Statements) {
  const head = yield* withConnection(sql, "verify", (conn) => readHead(conn, texts))
  let id = 0
  let hash = Chain.GENESIS
  while (true) {
    const rows = yield* sql`SELECT * FROM logs WHERE id > ${id} AND id <= ${head.id} ORDER BY id LIMIT ${PAGE}`
    for (const raw of rows) {
      const row = decodeStoredRow(raw)
      // A row whose columns no longer hold what they should.
      if (row === undefined) return id + 1
      hash = Chain.next(hash, row)
      // Ids leave no gaps: one that is skipped was deleted.
      if (row.id !== id + 1 || hash !== row.hash) return id + 1
      id = row.id
    }
    if (rows.length < PAGE) break
  }
  // Rows cut off at the end leave a chain that holds: only the head knows of them.
  return id === head.id && hash === head.hash ? null : id + 1
})
