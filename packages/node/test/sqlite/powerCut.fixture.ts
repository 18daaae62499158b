/**
 * Appends until it has appended enough, and tells each acknowledged id on stdout with a call of its own, so
 * that a recording of system calls has them in order: `node powerCut.fixture.ts FILE full|normal ENTRIES`.
 */
import { writeSync } from "node:fs"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import * as LogStoreSql from "@nerve/runtime/log/LogStoreSql"
import { Effect } from "effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import { SqlClient } from "effect/sql/SqlClient"

const [, , file = "", mode = "full", entries = "100"] = process.argv

const main = Effect.gen(function* () {
  const sql = yield* LogStoreSqlite.makeClient(file)
  // What the store would not do: acknowledge what is not on the disk.
  if (mode === "normal") yield* sql`PRAGMA synchronous = NORMAL`
  // Often, so that the recording has checkpoints.
  yield* sql`PRAGMA wal_autocheckpoint = 40`
  const { store } = yield* LogStoreSql.make().pipe(Effect.provideService(SqlClient, sql))
  const writer = (name: number) =>
    Effect.gen(function* () {
      for (let n = 0; n < Number(entries) / 4; n++) {
        const payload = "x".repeat((n * 997) % 9000)
        const { id } = yield* store.append({ source: "sense", type: "signal", refId: `writer-${name}`, payload })
        writeSync(1, `ack ${id}\n`)
      }
    })
  yield* Effect.forEach([1, 2, 3, 4], writer, { concurrency: "unbounded" })
  // Ends as a power cut does: nothing is folded in.
  process.kill(process.pid, "SIGKILL")
})

await Effect.runPromise(Effect.scoped(main).pipe(Effect.provide(Reactivity.layer)))
