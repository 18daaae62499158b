/**
 * The log in memory, for tests and for runs whose log nobody keeps. Same semantics as `LogStoreSql`,
 * except that nothing is durable and there is no file to be damaged.
 */
import { type LogEntry, type LogInput, type LogQuery, matches } from "@nerve/core/domain/LogEntry"
import * as RunProjection from "@nerve/core/domain/RunProjection"
import { isActive, type WorkflowRun } from "@nerve/core/domain/Thread"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { decodeMessages, DEFAULT_LIMIT, single } from "./internal/entries.ts"
import { prepare, roundKey } from "./internal/row.ts"
import * as Tail from "./internal/tail.ts"
import { LogStore, type RunQuery } from "./LogStore.ts"
import { storeClosed } from "./LogWriter.ts"

/** An empty log that lives as long as its scope. */
export const make: Effect.Effect<LogStore["Service"], never, Scope.Scope> = Effect.gen(function* () {
  const log: Array<LogEntry> = []
  const rounds = new Map<string, LogEntry>()
  let runs = new Map<string, WorkflowRun>()
  let closed = false
  const tail = Tail.make(0)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
      tail.close()
    })
  )

  /** Runs `f` in one step, unless the store is closed. */
  const open = <A>(operation: string, f: () => A) =>
    Effect.suspend(() => (closed ? Effect.fail(storeClosed(operation)) : Effect.sync(f)))

  const appendAll = Effect.fnUntraced(function* (inputs: ReadonlyArray<LogInput>) {
    const now = yield* Clock.currentTimeMillis
    const rows = yield* Effect.fromResult(Result.all(inputs.map((input) => prepare(input, now))))
    return yield* open("append", () => {
      const fresh: Array<Tail.Published> = []
      const entries = rows.map((row) => {
        const key = roundKey(row)
        const known = key === undefined ? undefined : rounds.get(key)
        if (known !== undefined) return known
        const { refId, round, source, text, timestamp, type } = row
        // Through the text, so that an entry is here what it would be in a database.
        const entry = { id: log.length + 1, source, type, refId, payload: JSON.parse(text), round, timestamp }
        log.push(entry)
        fresh.push({ entry, chars: text.length })
        if (key !== undefined) rounds.set(key, entry)
        project(runs, entry)
        return entry
      })
      tail.publish(fresh)
      return entries
    })
  })

  const select = (query: LogQuery): ReadonlyArray<LogEntry> => {
    const { cursor, limit = DEFAULT_LIMIT, order = "asc" } = query
    const ordered = order === "asc" ? log : log.toReversed()
    return ordered
      .filter(
        (entry) =>
          matches(query, entry) && (cursor === undefined || (order === "asc" ? entry.id > cursor : entry.id < cursor))
      )
      .slice(0, Math.max(0, limit))
  }

  const listRuns = (query: RunQuery) =>
    [...runs.values()]
      .filter(
        (run) =>
          (query.workflow === undefined || run.workflow === query.workflow) &&
          (query.status === undefined || run.status === query.status) &&
          (query.phase === undefined || run.phase === query.phase) &&
          (query.key === undefined || run.key === query.key)
      )
      .sort((a, b) => b.createdId - a.createdId)
      .slice(0, query.limit === undefined ? undefined : Math.max(0, query.limit))

  return {
    append: (input) => Effect.flatMap(appendAll([input]), single),
    appendAll,
    query: (query) => open("query", () => select(query)),
    follow: (query) =>
      Stream.unwrap(
        open("follow", () =>
          tail.follow(query, (after, upTo, limit) =>
            open("follow", () =>
              log.filter((entry) => entry.id > after && entry.id <= upTo && matches(query, entry)).slice(0, limit)
            )
          )
        )
      ),
    run: (threadId) => open("run", () => runs.get(threadId)),
    activeRuns: open("activeRuns", () =>
      listRuns({})
        .filter((run) => isActive(run.status))
        .reverse()
    ),
    runs: (query) => open("runs", () => listRuns(query)),
    messages: (threadId, page = {}) =>
      Effect.flatMap(
        open("messages", () =>
          [...rounds.values()]
            .filter((entry) => entry.refId === threadId && (entry.round ?? 0) > (page.afterRound ?? 0))
            .sort((a, b) => (a.round ?? 0) - (b.round ?? 0))
            .slice(0, page.limit === undefined ? undefined : Math.max(0, page.limit))
        ),
        decodeMessages
      ),
    rebuildRuns: open("rebuildRuns", () => {
      runs = new Map()
      for (const entry of log) project(runs, entry)
      return runs.size
    }),
    verify: open("verify", () => null)
  }
})

/** A log in memory, gone with its layer. */
export const layer: Layer.Layer<LogStore> = Layer.effect(LogStore, make)

const project = (runs: Map<string, WorkflowRun>, entry: LogEntry): void => {
  if (entry.refId === null) return
  const run = RunProjection.apply(runs.get(entry.refId), entry)
  if (run !== undefined) runs.set(entry.refId, run)
}
