/**
 * Writes rows into `logs` and what follows from them into `workflow_runs`, on the connection of an open
 * transaction. Statements are compiled once and run without the query builder: this is the hot path.
 */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import * as RunProjection from "@nerve/core/domain/RunProjection"
import type { WorkflowRun } from "@nerve/core/domain/Thread"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Connection, Row } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import type { Statement } from "effect/sql/Statement"
import type { LogStoreError } from "../LogStore.ts"
import * as Chain from "./chain.ts"
import {
  decodeEntries,
  decodeHead,
  decodeRuns,
  decodeNumber,
  type Head,
  LOG_COLUMNS,
  pushLogValues,
  type Resolve,
  RUN_COLUMNS,
  runValues
} from "./columns.ts"
import { type PreparedRow, roundKey } from "./row.ts"
import type { Published } from "./tail.ts"

/** What a batch came to: an entry for each row, those among them that are new, and where the log ends now. */
export interface Written {
  readonly entries: ReadonlyArray<LogEntry>
  readonly fresh: ReadonlyArray<Published>
  readonly head: Head
}

/** What writing needs to know beside the tables. */
export interface Past {
  /** The text behind a reference to a blob. */
  readonly resolve: Resolve
  /** The last archived entry; 0 when none is. */
  readonly archivedUpTo: number
  /** Entries of a thread that are in the archive only. */
  readonly ofThread: (threadId: string) => Effect.Effect<ReadonlyArray<LogEntry>, LogStoreError>
}

/** Compiled statements of one database. */
export interface Statements {
  readonly readHead: string
  readonly lockHead: string
  readonly writeHead: string
  readonly findRound: string
  readonly findRun: string
  readonly findThread: string
  readonly upsertRun: string
  /** Inserts this many rows at once. */
  readonly insertLogs: (rows: number) => string
}

/** Rows per INSERT. Batches are put together from these few sizes, so that few statements are prepared. */
const INSERT_SIZES = [64, 16, 4, 1] as const

export const makeStatements = (sql: SqlClient): Statements => {
  // Only the text is kept; the values here merely have the right number.
  const compile = (statement: Statement<Row>) => statement.compile()[0]
  const blank = (columns: ReadonlyArray<string>) => Object.fromEntries(columns.map((column) => [column, ""]))
  const updates = RUN_COLUMNS.slice(1).map((column) => sql`${sql(column)} = excluded.${sql(column)}`)
  const inserts = new Map<number, string>(
    INSERT_SIZES.map((size) => [
      size,
      compile(sql`INSERT INTO logs ${sql.insert(Arr.makeBy(size, () => blank(LOG_COLUMNS)))}`)
    ])
  )
  return {
    readHead: compile(sql`SELECT value FROM meta WHERE key = 'head'`),
    // Where several may write, whoever appends waits here for the one before. SQLite has one writer anyway.
    lockHead: compile(
      sql`SELECT value FROM meta WHERE key = 'head' ${sql.onDialectOrElse({ sqlite: () => sql``, orElse: () => sql`FOR UPDATE` })}`
    ),
    writeHead: compile(sql`UPDATE meta SET value = ${""} WHERE key = 'head'`),
    findRound: compile(
      sql`SELECT * FROM logs WHERE source = 'workflow' AND type = 'message' AND ref_id = ${""} AND round = ${0}`
    ),
    findThread: compile(sql`SELECT * FROM logs WHERE source = 'workflow' AND ref_id = ${""} ORDER BY id`),
    findRun: compile(sql`SELECT * FROM workflow_runs WHERE thread_id = ${""}`),
    upsertRun: compile(
      sql`INSERT INTO workflow_runs ${sql.insert(blank(RUN_COLUMNS))}
        ON CONFLICT (thread_id) DO UPDATE SET ${sql.csv(updates)}`
    ),
    insertLogs: (rows) => inserts.get(rows) ?? ""
  }
}

/** Where the log ends. */
export const readHead = (conn: Connection, texts: Statements): Effect.Effect<Head, SqlError | LogStoreError> =>
  Effect.flatMap(conn.execute(texts.readHead, [], undefined), decodeHead)

/**
 * Moves the head past rows that someone else put behind it, so that appending still works. Such rows are
 * not in the chain: `verify` reports them.
 */
export const passStrangers = Effect.fnUntraced(function* (conn: Connection, texts: Statements) {
  const head = yield* readHead(conn, texts)
  const last = yield* Effect.flatMap(
    conn.execute("SELECT COALESCE(MAX(id), 0) AS number FROM logs", [], undefined),
    decodeNumber("open")
  )
  if (last <= head.id) return head
  const passed = { ...head, id: last }
  yield* writeHead(conn, texts, passed)
  return passed
})

/**
 * Moves the head past entries that were acknowledged and are gone, as when the write-ahead log was cut off:
 * their ids are not used again, and the gap shows in `verify`.
 */
export const passLost = Effect.fnUntraced(function* (
  conn: Connection,
  texts: Statements,
  acknowledged: Head | undefined
) {
  const head = yield* readHead(conn, texts)
  if (acknowledged !== undefined && acknowledged.id > head.id) {
    yield* writeHead(conn, texts, { ...head, id: acknowledged.id })
  }
})

/** Appends rows, rounds that are there already excepted, and materialises their runs. */
export const writeRows = Effect.fnUntraced(function* (
  conn: Connection,
  texts: Statements,
  past: Past,
  rows: ReadonlyArray<PreparedRow>
): Effect.fn.Return<Written, SqlError | LogStoreError> {
  let { hash, id } = yield* Effect.flatMap(conn.execute(texts.lockHead, [], undefined), decodeHead)
  const rounds = new Map<string, LogEntry>()
  const runs = makeRuns(conn, texts, past)
  const entries: Array<LogEntry> = []
  const fresh: Array<Published> = []
  /** The columns of one new row after the other's. */
  const inserted: Array<unknown> = []

  for (const row of rows) {
    const key = roundKey(row)
    if (key !== undefined) {
      const recorded = rounds.get(key) ?? (yield* findRound(conn, texts, past, runs, row))
      if (recorded !== undefined) {
        rounds.set(key, recorded)
        entries.push(recorded)
        continue
      }
    }
    id++
    const { payload, refId, round, source, stored, text, timestamp, type } = row
    const entry: LogEntry = { id, source, type, refId, payload, round, timestamp }
    const chained = { id, source, type, refId, payload: stored, round, timestamp }
    hash = Chain.next(hash, chained)
    pushLogValues(inserted, chained, hash)
    entries.push(entry)
    fresh.push({ entry, chars: text.length })
    if (key !== undefined) rounds.set(key, entry)
    if (source === "workflow") yield* runs.project(entry)
  }

  if (inserted.length > 0) {
    yield* insertLogs(conn, texts, inserted)
    yield* runs.flush
    yield* writeHead(conn, texts, { id, hash })
  }
  return { entries, fresh, head: { id, hash } }
})

/** Folds entries into runs and keeps those that changed until `flush` writes them. */
export interface Runs {
  /** The run as it is with what was projected so far. */
  readonly find: (threadId: string) => Effect.Effect<WorkflowRun | undefined, SqlError | LogStoreError>
  readonly project: (entry: LogEntry) => Effect.Effect<void, SqlError | LogStoreError>
  readonly flush: Effect.Effect<void, SqlError | LogStoreError>
}

export const makeRuns = (conn: Connection, texts: Statements, past: Past): Runs => {
  const known = new Map<string, WorkflowRun | undefined>()
  const changed = new Map<string, WorkflowRun>()

  const find = Effect.fnUntraced(function* (threadId: string) {
    if (known.has(threadId)) return known.get(threadId)
    const [run] = yield* conn.execute(texts.findRun, [threadId], undefined).pipe(
      Effect.flatMap(decodeRuns("append")),
      // A damaged run must not fail the batch that it is in: the log itself says what it was.
      Effect.catchTag("LogStoreError", () => Effect.map(recompute(threadId), (run) => [run]))
    )
    known.set(threadId, run)
    return run
  })

  const recompute = Effect.fnUntraced(function* (threadId: string) {
    const recent = yield* Effect.flatMap(
      conn.execute(texts.findThread, [threadId], undefined),
      decodeEntries("append", past.resolve)
    )
    const known = new Map((yield* past.ofThread(threadId)).map((entry) => [entry.id, entry]))
    for (const entry of recent) known.set(entry.id, entry)
    return [...known.values()]
      .sort((a, b) => a.id - b.id)
      .reduce<WorkflowRun | undefined>(RunProjection.apply, undefined)
  })

  return {
    find,
    project: (entry) => {
      const threadId = entry.refId
      if (entry.source !== "workflow" || threadId === null) return Effect.void
      return Effect.map(find(threadId), (before) => {
        const after = RunProjection.apply(before, entry)
        if (after === undefined || after === before) return
        known.set(threadId, after)
        changed.set(threadId, after)
      })
    },
    flush: Effect.suspend(() => {
      const runs = [...changed.values()]
      changed.clear()
      known.clear()
      return Effect.forEach(runs, (run) => conn.executeRaw(texts.upsertRun, runValues(run)), { discard: true })
    })
  }
}

/** The round that is recorded already, if it is: in the table, or in the archive when its thread began there. */
const findRound = Effect.fnUntraced(function* (
  conn: Connection,
  texts: Statements,
  past: Past,
  runs: Runs,
  { refId, round }: PreparedRow
) {
  const [entry] = yield* Effect.flatMap(
    conn.execute(texts.findRound, [refId, round], undefined),
    decodeEntries("append", past.resolve)
  )
  if (entry !== undefined || past.archivedUpTo === 0 || refId === null || round === null) return entry
  const run = yield* runs.find(refId)
  if (run !== undefined && (run.createdId > past.archivedUpTo || round > run.rounds)) return undefined
  return (yield* past.ofThread(refId)).find((archived) => archived.type === "message" && archived.round === round)
})

const writeHead = (conn: Connection, texts: Statements, head: Head) =>
  conn.executeRaw(texts.writeHead, [`${head.id} ${head.hash}`])

const insertLogs = Effect.fnUntraced(function* (conn: Connection, texts: Statements, values: ReadonlyArray<unknown>) {
  const width = LOG_COLUMNS.length
  let start = 0
  while (start < values.length) {
    const left = (values.length - start) / width
    const size = INSERT_SIZES.find((size) => size <= left) ?? 1
    const end = start + size * width
    yield* conn.executeRaw(texts.insertLogs(size), values.slice(start, end))
    start = end
  }
})
