/**
 * History from the workspace's log file, read-only. A module of its own, because it loads SQLite.
 */
import { StoreUnavailable, UnknownThread } from "@nerve/core/wire/ControlRpcs"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore, type LogStoreError } from "@nerve/runtime/log/LogStore"
import * as RoundsPage from "@nerve/runtime/log/RoundsPage"
import { TickHistory } from "@nerve/runtime/sense/TickHistory"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { History } from "./History.ts"

const unavailable = (error: LogStoreError): StoreUnavailable => new StoreUnavailable({ message: error.message })

const ofStore = (store: LogStore["Service"], ticks: TickHistory["Service"]): History => ({
  query: (query) => Effect.mapError(store.query(query), unavailable),
  ticks: (query) => Effect.mapError(ticks.query(query), unavailable),
  threads: (query) => Effect.mapError(store.runs(query), unavailable),
  thread: Effect.fnUntraced(function* (threadId, page = {}) {
    const run = yield* Effect.mapError(store.run(threadId), unavailable)
    if (run === undefined) return yield* new UnknownThread({ threadId })
    return { run, messages: yield* Effect.mapError(RoundsPage.read(store, threadId, page), unavailable) }
  })
})

/** Hands the file's history to `f`. */
export const use = <A, E, R>(
  file: string,
  f: (history: History) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | StoreUnavailable, R> =>
  Effect.scoped(
    Effect.gen(function* () {
      const opened = yield* Layer.build(LogStoreSqlite.layerReadOnlyWithTicks(file)).pipe(
        Effect.mapError((error) => new StoreUnavailable({ message: error.message }))
      )
      return yield* f(ofStore(Context.get(opened, LogStore), Context.get(opened, TickHistory)))
    })
  )
