/** Numbers about a log. */
import type { StoreStats } from "@nerve/core/wire/StoreReports"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { BlobStore } from "../BlobStore.ts"
import { LogStoreError } from "../LogStore.ts"
import type { Archived } from "./archived.ts"
import { integer } from "./columns.ts"

export const stats = Effect.fnUntraced(function* (
  sql: SqlClient,
  archived: Archived,
  blobs: BlobStore["Service"] | undefined,
  lastId: number,
  sizes: Pick<StoreStats, "fileBytes" | "freeBytes">
): Effect.fn.Return<StoreStats, SqlError | LogStoreError> {
  const [counted] = yield* sql`SELECT
    (SELECT COUNT(*) FROM logs) AS entries, (SELECT MIN(timestamp) FROM logs) AS oldest`
  const runs = yield* sql`SELECT status, COUNT(*) AS count FROM workflow_runs GROUP BY status ORDER BY status`
  const files =
    blobs === undefined
      ? []
      : yield* Effect.mapError(
          blobs.list,
          (cause) => new LogStoreError({ operation: "stats", message: cause.message, cause })
        )
  return {
    entries: integer(counted?.["entries"]) ?? 0,
    lastId,
    oldestAt: integer(counted?.["oldest"]) ?? null,
    ...sizes,
    archive: {
      days: archived.days.length,
      entries: archived.days.reduce((sum, day) => sum + day.entries, 0),
      bytes: archived.days.reduce((sum, day) => sum + day.bytes, 0),
      first: archived.days[0]?.day ?? null,
      last: archived.days.at(-1)?.day ?? null
    },
    blobs: { count: files.length, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) },
    runs: runs.map((row) => ({ status: String(row["status"]), count: integer(row["count"]) ?? 0 }))
  }
})
