/**
 * Transactions on a connection of its own, and SQL errors in words. `SqlClient.withTransaction` is not
 * used for two reasons: SQLite rolls back by itself when the disk is full, which it turns into a defect,
 * and a COMMIT that fails must not leave the transaction open for the next batch.
 */
import * as Effect from "effect/Effect"
import { PreventSchedulerYield } from "effect/Scheduler"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import { LogStoreError } from "../LogStore.ts"

/** Runs `body` in one transaction that writes: all of it is durable afterwards, or nothing has changed. */
export type Transact = <A>(
  operation: string,
  body: (conn: Connection) => Effect.Effect<A, SqlError | LogStoreError>
) => Effect.Effect<A, LogStoreError>

export const makeTransact = (sql: SqlClient): Transact => {
  // SQLite: take the write lock at once. A transaction that first reads cannot wait for it later.
  const begin = sql.onDialectOrElse({ sqlite: () => "BEGIN IMMEDIATE", orElse: () => "BEGIN" })
  return (operation, body) =>
    withConnection(sql, operation, (conn) =>
      conn.executeRaw(begin, []).pipe(
        Effect.andThen(body(conn)),
        Effect.tap(() => conn.executeRaw("COMMIT", [])),
        Effect.onError(() => Effect.ignore(conn.executeRaw("ROLLBACK", [])))
      )
    ).pipe(
      Effect.uninterruptible,
      // The driver is synchronous and has one connection: a fiber that yielded in the middle would let
      // readers see what is not committed.
      Effect.provideService(PreventSchedulerYield, true)
    )
}

/** Runs `body` on a connection that nobody else uses meanwhile. */
export const withConnection = <A>(
  sql: SqlClient,
  operation: string,
  body: (conn: Connection) => Effect.Effect<A, SqlError | LogStoreError>
): Effect.Effect<A, LogStoreError> => nameSqlErrors(operation, Effect.scoped(Effect.flatMap(sql.reserve, body)))

/** Turns SQL errors into `LogStoreError`s that say what the database said. */
export const nameSqlErrors = <A>(
  operation: string,
  effect: Effect.Effect<A, SqlError | LogStoreError>
): Effect.Effect<A, LogStoreError> =>
  Effect.catchTag(effect, "SqlError", (cause) =>
    Effect.fail(new LogStoreError({ operation, message: describe(cause), cause }))
  )

const describe = (error: SqlError): string => {
  const { _tag, cause } = error.reason
  const said = cause instanceof Error ? cause.message : error.message
  return _tag === "LockTimeoutError" ? `${said}: another process keeps it locked` : said
}
