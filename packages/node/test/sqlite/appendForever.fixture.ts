/**
 * A process that appends to the store in the file named by its argument until it is killed. Each id
 * that it prints was acknowledged as durable.
 */
import { writeSync } from "node:fs"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore } from "@nerve/runtime/log/LogStore"
import { Effect } from "effect"

const writer = (name: number) =>
  Effect.gen(function* () {
    const store = yield* LogStore
    for (let n = 0; ; n++) {
      const entry = yield* store.append({ source: "sense", type: "signal", refId: `writer-${name}`, payload: n })
      // Synchronous: what is printed has left the process when it is killed.
      writeSync(1, `${entry.id}\n`)
    }
  })

await Effect.runPromise(
  Effect.forEach([1, 2, 3], writer, { concurrency: "unbounded" }).pipe(
    Effect.provide(LogStoreSqlite.layer(process.argv[2] ?? ""))
  )
)
