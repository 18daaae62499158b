/**
 * A process without rights that opens the store in the file named by its argument, each time a line comes in, and tells
 * in a line of JSON what became of it. Root may write any file: it becomes the user with no rights first.
 */
import { createInterface } from "node:readline"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore } from "@nerve/runtime/log/LogStore"
import { Effect } from "effect"

const NOBODY = 65_534
const file = process.argv[2] ?? ""

const append = Effect.gen(function* () {
  const store = yield* LogStore
  const { id } = yield* store.append({ source: "sense", type: "signal", refId: "cpu", payload: 1 })
  return { id, problem: yield* store.verify }
}).pipe(Effect.provide(LogStoreSqlite.layer(file)))

const told = Effect.matchEffect(append, {
  onSuccess: (said) => Effect.succeed<unknown>(said),
  onFailure: ({ _tag, message, ...rest }) =>
    Effect.succeed({ _tag, message, reason: "reason" in rest ? rest.reason : null })
})

// Only now: what is imported may lie where nobody else may look.
if (process.getuid?.() === 0) {
  process.setgroups?.([])
  process.setgid?.(NOBODY)
  process.setuid?.(NOBODY)
}
for await (const _ of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await Effect.runPromise(told)))
}
