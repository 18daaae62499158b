/**
 * Reads entries wherever they are: what is archived from the files, the rest from the table. A reader
 * notices when days are archived under it, and reads again.
 */
import type { LogEntry, LogQuery } from "@nerve/core/domain/LogEntry"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import type { DurableFolder } from "../DurableFolder.ts"
import type { LogStoreError } from "../LogStore.ts"
import type { Archived } from "./archived.ts"
import * as ArchiveReader from "./archiveReader.ts"
import { decodeEntries, decodeEntry, integer, type Resolve } from "./columns.ts"
import { DEFAULT_LIMIT } from "./entries.ts"
import type { EachArchived } from "./rebuild.ts"

type Entries<E = LogStoreError | SqlError> = Effect.Effect<ReadonlyArray<LogEntry>, E>

/** A span of time with so many entries is not looked up one by one. */
const DENSE = 2000

const everything: ArchiveReader.Range = { after: 0, upTo: Infinity, order: "asc", limit: Infinity }

/** The range of ids that a query asks for. */
export const rangeOf = ({ cursor, limit = DEFAULT_LIMIT, order = "asc" }: LogQuery): ArchiveReader.Range => ({
  after: order === "asc" ? Math.max(0, cursor ?? 0) : 0,
  upTo: order === "desc" && cursor !== undefined ? cursor - 1 : Infinity,
  order,
  limit: Math.max(0, limit)
})

export const make = (
  sql: SqlClient,
  folder: DurableFolder | undefined,
  current: Effect.Effect<Archived, LogStoreError>,
  resolve: Resolve
) => {
  const decode = (operation: string) => decodeEntries(operation, resolve)
  const ascending = sql.literal("ASC")
  const descending = sql.literal("DESC")
  const atMost = (limit: number | undefined) =>
    limit === undefined ? sql.literal("") : sql`LIMIT ${Math.max(0, limit)}`

  // Of the time it is only a filter (the plus): where to look, `spanOf` says by id.
  const conditions = (query: LogQuery): ReadonlyArray<Fragment> => [
    ...(query.source === undefined ? [] : [sql`source = ${query.source}`]),
    ...(query.type === undefined ? [] : [sql`type = ${query.type}`]),
    ...(query.refId === undefined ? [] : [sql`ref_id = ${query.refId}`]),
    ...(query.since === undefined ? [] : [sql`+timestamp >= ${query.since}`]),
    ...(query.until === undefined ? [] : [sql`+timestamp < ${query.until}`]),
    // Signals are most of what a sense has, and not in the index that finds the rest.
    ...(query.refId === undefined || query.type === undefined || query.type === "signal" ? [] : [sql`type <> 'signal'`])
  ]

  /**
   * The ids between which the entries of a span of time lie. Ids and times grow together, but for when the clock
   * steps, so an index by id finds them once it knows where to look. Told from many: `DENSE` and more.
   */
  const spanOf = Effect.fnUntraced(function* (query: LogQuery, order: "asc" | "desc") {
    const time = sql.and([
      ...(query.since === undefined ? [] : [sql`timestamp >= ${query.since}`]),
      ...(query.until === undefined ? [] : [sql`timestamp < ${query.until}`])
    ])
    const bounds = (of: Fragment) =>
      Effect.map(
        sql`SELECT COUNT(*) AS number, MIN(id) AS first, MAX(id) AS last FROM ${of}`,
        ([row]): { readonly number: number; readonly first: number; readonly last: number } => ({
          number: integer(row?.["number"]) ?? 0,
          first: integer(row?.["first"]) ?? 0,
          last: integer(row?.["last"]) ?? 0
        })
      )
    const few = yield* bounds(sql`(SELECT id FROM logs WHERE ${time} LIMIT ${DENSE}) AS few`)
    if (few.number < DENSE) return few
    // Read from its near end, a long span begins where the log does.
    const isNear = order === "asc" ? query.since === undefined : query.until === undefined
    return isNear ? undefined : yield* bounds(sql`logs WHERE ${time}`)
  })

  const fromTable = Effect.fnUntraced(function* (
    query: LogQuery,
    { after, limit, order, upTo }: ArchiveReader.Range
  ): Effect.fn.Return<ReadonlyArray<LogEntry>, LogStoreError | SqlError> {
    const span = query.since === undefined && query.until === undefined ? undefined : yield* spanOf(query, order)
    if (span?.number === 0) return []
    const first = Math.max(after + 1, span?.first ?? 0)
    const last = Math.min(upTo, span?.last ?? Infinity)
    const where = [
      ...conditions(query),
      ...(first > 1 ? [sql`id >= ${first}`] : []),
      ...(last === Infinity ? [] : [sql`id <= ${last}`])
    ]
    const direction = order === "asc" ? ascending : descending
    return yield* Effect.flatMap(
      sql`SELECT * FROM logs WHERE ${sql.and(where)} ORDER BY id ${direction} ${atMost(limit)}`,
      decode("query")
    )
  })

  const fromFiles = (past: Archived, query: LogQuery, range: ArchiveReader.Range): Entries<LogStoreError> =>
    folder === undefined || past.days.length === 0
      ? Effect.succeed([])
      : ArchiveReader.select(folder, past.days, query, range, decodeEntry("query", resolve))

  /** Runs `f` with what is archived, again if that has changed meanwhile. */
  const steady = Effect.fnUntraced(function* <A, E>(f: (past: Archived) => Effect.Effect<A, E>) {
    while (true) {
      const past = yield* current
      const result = yield* Effect.result(f(past))
      const after = yield* current
      if (past.upTo.id === after.upTo.id && past.keptFrom.id === after.keptFrom.id) {
        return yield* Effect.fromResult(result)
      }
    }
  })

  const fromBoth = Effect.fnUntraced(function* (past: Archived, query: LogQuery, range: ArchiveReader.Range) {
    const border = past.upTo.id
    const older = { ...range, upTo: Math.min(range.upTo, border) }
    const newer = { ...range, after: border }
    if (range.order === "asc") {
      const first = yield* fromFiles(past, query, older)
      const left = range.limit - first.length
      return left <= 0 || range.upTo <= border
        ? first
        : [...first, ...(yield* fromTable(query, { ...newer, limit: left }))]
    }
    const first = range.upTo <= border ? [] : yield* fromTable(query, newer)
    const left = range.limit - first.length
    return left <= 0 ? first : [...first, ...(yield* fromFiles(past, query, { ...older, limit: left }))]
  })

  /** Entries of a range of ids. */
  const select = (query: LogQuery, range: ArchiveReader.Range): Entries =>
    steady((past) =>
      range.after >= past.upTo.id || query.archived === false ? fromTable(query, range) : fromBoth(past, query, range)
    )

  /** A thread's entries that are in files. */
  const archivedOf = (past: Archived, threadId: string, type?: string) =>
    fromFiles(past, { source: "workflow", refId: threadId, ...(type === undefined ? {} : { type }) }, everything)

  const roundsOfTable = (threadId: string, afterRound: number, limit: number | undefined): Entries =>
    Effect.flatMap(
      sql`SELECT * FROM logs WHERE source = 'workflow' AND type = 'message' AND ref_id = ${threadId}
          AND round > ${afterRound} ORDER BY round ${atMost(limit)}`,
      decode("messages")
    )

  /** Whether the thread's first entry is not in the table; of a thread that nobody opened that cannot be told. */
  const isArchived = (threadId: string, id: number) =>
    id === 0
      ? Effect.succeed(false)
      : Effect.map(
          sql`SELECT created_id FROM workflow_runs WHERE thread_id = ${threadId}
              AND EXISTS (SELECT 1 FROM logs WHERE id = created_id)`,
          (rows) => rows.length === 0
        )

  /** The rounds of a thread. Until it has ended all are in the table; later some or all are in files. */
  const rounds = (threadId: string, afterRound: number, limit: number | undefined): Entries =>
    steady(
      Effect.fnUntraced(function* (past: Archived) {
        if (!(yield* isArchived(threadId, past.upTo.id))) return yield* roundsOfTable(threadId, afterRound, limit)
        const known = new Map<number | null, LogEntry>()
        for (const entry of yield* archivedOf(past, threadId, "message")) known.set(entry.round, entry)
        for (const entry of yield* roundsOfTable(threadId, afterRound, undefined)) known.set(entry.round, entry)
        return [...known.values()]
          .filter(({ round }) => round !== null && round > afterRound)
          .sort((a, b) => (a.round ?? 0) - (b.round ?? 0))
          .slice(0, limit === undefined ? undefined : Math.max(0, limit))
      })
    )

  const eachArchived =
    (past: Archived): EachArchived =>
    (use) =>
      folder === undefined
        ? Effect.void
        : ArchiveReader.each(folder, past.days, { source: "workflow" }, everything, (row) =>
            Effect.as(Effect.flatMap(decodeEntry("rebuildRuns", resolve)(row), use), true)
          )

  return { select, rounds, archivedOf, eachArchived, atMost, ascending, descending }
}
