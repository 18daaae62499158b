/** Computes `workflow_runs` anew from the log alone, what is archived of it included. */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import type { LogStoreError } from "../LogStore.ts"
import { makeRuns, type Past, type Statements } from "./append.ts"
import { decodeEntries, decodeNumber } from "./columns.ts"

/** Rows read, and runs kept, at once. */
const PAGE = 1000

/** Hands each archived entry of a workflow to `use`, in order. */
export type EachArchived = <E>(
  use: (entry: LogEntry) => Effect.Effect<void, E>
) => Effect.Effect<void, E | LogStoreError>

/** The number of runs. To be run in a transaction: readers see the old table or the new one. */
export const rebuildRuns = Effect.fnUntraced(function* (
  sql: SqlClient,
  conn: Connection,
  texts: Statements,
  past: Past,
  eachArchived: EachArchived
): Effect.fn.Return<number, SqlError | LogStoreError> {
  const [page] = sql`SELECT * FROM logs WHERE source = 'workflow' AND id > ${0} ORDER BY id LIMIT ${PAGE}`.compile()
  yield* conn.executeRaw("DELETE FROM workflow_runs", [])
  const runs = makeRuns(conn, texts, past)

  let unwritten = 0
  yield* eachArchived(
    Effect.fnUntraced(function* (entry: LogEntry) {
      yield* runs.project(entry)
      unwritten += 1
      if (unwritten % PAGE === 0) yield* runs.flush
    })
  )
  yield* runs.flush

  let after = past.archivedUpTo
  while (true) {
    const entries = yield* Effect.flatMap(
      conn.execute(page, [after, PAGE], undefined),
      decodeEntries("rebuildRuns", past.resolve)
    )
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
