/**
 * An Effect `SqlClient` on a sense's own handle, the one that its compute's transaction is open on: so what
 * an Effect writes is saved together with the sense's state and signal, or not at all. A transaction of the
 * author's is a savepoint within it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, SqlError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite"

/** Prepared statements that are kept. */
const maxStatements = 100

const begin = "SAVEPOINT nerve_transaction"
const commit = "RELEASE nerve_transaction"
/** Going back to a savepoint leaves it open. */
const rollback = "ROLLBACK TO nerve_transaction; RELEASE nerve_transaction"

/** A client on this handle, which stays its owner's to close. */
export const make = Effect.fnUntraced(function* (handle: DatabaseSync): Effect.fn.Return<SqlClient.SqlClient> {
  const connection = connect(handle)
  const semaphore = yield* Semaphore.make(1)
  const { acquirer, borrower, transactionAcquirer } = SqlClient.makeSqliteAcquirers({
    connection: Effect.succeed(connection),
    semaphore
  })
  const reactivity = yield* Reactivity.make
  return yield* SqlClient.make({
    acquirer,
    borrower,
    transactionAcquirer,
    compiler: Statement.makeCompilerSqlite(),
    driver: "sqlite-node",
    spanAttributes: [["db.system.name", "sqlite"]],
    beginTransaction: begin,
    commit,
    rollback,
    releaseSavepoint: (name) => `RELEASE ${name}`,
    // Some errors (RAISE(ROLLBACK), a full disk) have ended all transactions already.
    isTransaction: () => handle.isTransaction
  }).pipe(Effect.provideService(Reactivity.Reactivity, reactivity))
})

const connect = (handle: DatabaseSync): Connection => {
  const statements = new Map<string, StatementSync>()
  const prepare = (sql: string): StatementSync => {
    const known = statements.get(sql)
    if (known !== undefined) return known
    const statement = handle.prepare(sql)
    if (statements.size >= maxStatements) statements.clear()
    statements.set(sql, statement)
    return statement
  }

  const execute = (sql: string, params: ReadonlyArray<unknown>, options: { raw?: boolean; arrays?: boolean } = {}) =>
    Effect.withFiber<ReadonlyArray<never>, SqlError>(
      (fiber) =>
        Effect.try({
          try: () => {
            if (sql === rollback) {
              handle.exec(sql)
              return []
            }
            const statement = prepare(sql)
            statement.setReadBigInts(Context.get(fiber.context, SqlClient.SafeIntegers))
            statement.setReturnArrays(options.arrays === true)
            // What may be a parameter is SQLite's to say: it throws for what it does not take.
            const values = params as ReadonlyArray<SQLInputValue>
            if (statement.columns().length > 0) return statement.all(...values) as ReadonlyArray<unknown>
            const result = statement.run(...values)
            return options.raw === true ? (result as unknown as ReadonlyArray<unknown>) : []
          },
          catch: (cause) =>
            new SqlError({ reason: classifySqliteError(cause, { message: "SQLite refused", operation: "execute" }) })
        }) as Effect.Effect<ReadonlyArray<never>, SqlError>
    )

  const rows: Connection["execute"] = (sql, params, transform) =>
    transform === undefined ? execute(sql, params) : Effect.map(execute(sql, params), transform)

  return {
    execute: rows,
    executeUnprepared: rows,
    executeRaw: (sql, params) => execute(sql, params, { raw: true }),
    executeValues: (sql, params) => execute(sql, params, { arrays: true }),
    executeValuesUnprepared: (sql, params) => execute(sql, params, { arrays: true }),
    executeStream: (sql, params, transform) => Stream.fromIterableEffect(rows(sql, params, transform))
  }
}
