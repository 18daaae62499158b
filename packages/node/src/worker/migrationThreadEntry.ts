/**
 * The thread that applies migrations, so that its worker answers meanwhile. It takes `{ path, file, now }`
 * and says `{ error }`, null when it is applied. Bundled to `dist/migrationThread.mjs`.
 */
import { DatabaseSync } from "node:sqlite"
import { parentPort } from "node:worker_threads"
import { applyMigration } from "../sense/applyMigration.ts"
import type { Answer, Request } from "../sense/MigrationThread.ts"

const port = parentPort
port?.on("message", ({ file, now, path }: Request) => {
  let error: string | null = null
  try {
    const database = new DatabaseSync(path, { timeout: 5_000 })
    try {
      applyMigration(database, file, now)
    } finally {
      database.close()
    }
  } catch (cause) {
    error = cause instanceof Error ? cause.message : String(cause)
  }
  port.postMessage({ error } satisfies Answer)
})
