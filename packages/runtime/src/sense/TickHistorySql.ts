/**
 * The history of ticks in an SQL database, beside the log and on the log's own connection.
 *
 * A thousand senses that compute each second are a thousand ticks a second, of which hardly one will
 * ever be read. So ticks gather in memory, where the ones that are kept push out those that are not,
 * and what is left goes to the database every few seconds, in batches of its own: a log entry never
 * waits behind ticks. Each sense and outcome has a fixed number of rows, written around in turn, so
 * that nothing is ever deleted or searched for.
 */
import { type Tick, type TickQuery, Tick as TickSchema } from "@nerve/core/domain/Tick"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { makeTransact, nameSqlErrors, type Transact, withConnection } from "../log/internal/transaction.ts"
import { LogStoreError } from "../log/LogStore.ts"
import { TickRings } from "./internal/tickRings.ts"
import { DEFAULT_LIMIT, KEPT_PER_OUTCOME, type TickHistory } from "./TickHistory.ts"

/** How long ticks gather before they are written; what a crash may take along. */
export const FLUSH_EVERY = "5 seconds"

/**
 * Rows per transaction: about ten milliseconds of the daemon's only thread. Each transaction forces the
 * disk once, which may take longer than that: a thousand senses gather five thousand rows.
 */
const BATCH_ROWS = 1024

/** Rows per INSERT. Batches are put together from these few sizes, so that few statements are prepared. */
const INSERT_SIZES = [64, 16, 4, 1] as const

/** Tables of another version are thrown away: nothing depends on the history. */
const VERSION = 1

export interface Options {
  /** The database is only read: what is recorded is lost. */
  readonly readOnly?: boolean
  /** Run in each transaction, before it writes; when it fails, what was to be written waits. */
  readonly guard?: Effect.Effect<void, LogStoreError>
}

/** A history in the database of `SqlClient`, its tables created. Closing the scope writes what has gathered. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<TickHistory["Service"], LogStoreError, SqlClient.SqlClient | Scope.Scope> {
  const sql = yield* SqlClient.SqlClient
  const statements = makeStatements(sql)
  if (options.readOnly === true) {
    const there = yield* hasTables(sql)
    return { recordUnsafe: () => {}, query: (query) => (there ? select(sql, query) : Effect.succeed([])) }
  }

  const transact = makeTransact(sql)
  let lastId = yield* transact("open", (conn) => open(sql, conn))
  const gathered = new TickRings(KEPT_PER_OUTCOME)
  const some = Latch.makeUnsafe(false)
  const places = new Map<string, number>()
  let failing = false

  const write = writer(transact, statements, places, options.guard ?? Effect.void)

  // One at a time: rows are placed by what was written before them.
  const turn = yield* Semaphore.make(1)
  const flush = Effect.gen(function* () {
    some.closeUnsafe()
    if (gathered.isEmpty) return
    const chunks = Arr.chunksOf(gathered.take().flat(), BATCH_ROWS)
    for (const [index, chunk] of chunks.entries()) {
      yield* Effect.tapError(write(chunk, lastId), () => Effect.sync(() => gathered.restore(chunks.slice(index))))
      // Log entries and I/O have their turn between two batches.
      yield* Effect.yieldNow
    }
    failing = false
  }).pipe(turn.withPermits(1), Effect.uninterruptible)

  /** Told once: the log says the same of itself, and the ticks are tried again with the next ones. */
  const failed = (error: LogStoreError) =>
    Effect.suspend(() => {
      const told = failing
      failing = true
      return told ? Effect.void : Effect.logWarning(`the history of ticks cannot be written: ${error.message}`)
    })
  const tryToFlush = Effect.catch(flush, failed)

  yield* Effect.addFinalizer(() => tryToFlush)
  yield* Effect.forkScoped(
    Effect.forever(Effect.andThen(some.await, Effect.andThen(Effect.sleep(FLUSH_EVERY), tryToFlush)))
  )

  return {
    recordUnsafe: (tick) => {
      gathered.add({ ...tick, id: ++lastId })
      some.openUnsafe()
    },
    query: (query) => Effect.andThen(flush, select(sql, query))
  }
})

// --- tables

/** Creates the tables; the last id that was given. */
const open = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, conn: Connection) {
  // A row lies where it is looked for, instead of behind an index.
  const clustered = sql.onDialectOrElse({ sqlite: () => " WITHOUT ROWID", orElse: () => "" })
  yield* conn.executeRaw(
    "CREATE TABLE IF NOT EXISTS sense_ticks_head (version INTEGER NOT NULL, last_id BIGINT NOT NULL)",
    []
  )
  const [head] = yield* readHead(conn)
  if (head?.version === VERSION) return head.last_id
  yield* conn.executeRaw("DROP TABLE IF EXISTS sense_ticks", [])
  yield* conn.executeRaw(
    `CREATE TABLE sense_ticks (
      sense TEXT NOT NULL,
      outcome TEXT NOT NULL,
      place INTEGER NOT NULL,
      id BIGINT NOT NULL,
      cause TEXT NOT NULL,
      due_at DOUBLE PRECISION NOT NULL,
      started_at DOUBLE PRECISION,
      duration_ms DOUBLE PRECISION,
      count INTEGER NOT NULL,
      detail TEXT,
      more TEXT,
      PRIMARY KEY (sense, outcome, place)
    )${clustered}`,
    []
  )
  yield* conn.executeRaw("DELETE FROM sense_ticks_head", [])
  yield* conn.executeRaw(`INSERT INTO sense_ticks_head (version, last_id) VALUES (${VERSION}, 0)`, [])
  return 0
})

const fromBigInt = Schema.BigInt.pipe(
  Schema.decodeTo(Schema.Int, SchemaTransformation.transform({ decode: Number, encode: BigInt }))
)

/** Some databases hand a BIGINT over as text or as a bigint, for it may be large. */
const Id = Schema.Union([Schema.Int, Schema.FiniteFromString, fromBigInt])

const decodeHead = Schema.decodeUnknownEffect(Schema.Array(Schema.Struct({ version: Schema.Finite, last_id: Id })))

const readHead = (conn: Connection) =>
  Effect.flatMap(conn.execute("SELECT version, last_id FROM sense_ticks_head", [], undefined), (rows) =>
    Effect.mapError(decodeHead(rows), damaged("open"))
  )

/** False for a database that no daemon with this history has opened yet. */
const hasTables = (sql: SqlClient.SqlClient): Effect.Effect<boolean> =>
  withConnection(sql, "open", readHead).pipe(
    Effect.map(([head]) => head?.version === VERSION),
    Effect.orElseSucceed(() => false)
  )

// --- writing

interface Statements {
  /** Writes this many rows over those that lie in their places. */
  readonly put: (rows: number) => string
  readonly lastPlace: string
  readonly setLastId: string
}

const COLUMNS = [
  "sense",
  "outcome",
  "place",
  "id",
  "cause",
  "due_at",
  "started_at",
  "duration_ms",
  "count",
  "detail",
  "more"
] as const

const makeStatements = (sql: SqlClient.SqlClient): Statements => {
  const blank = Object.fromEntries(COLUMNS.map((column) => [column, ""]))
  const updates = COLUMNS.slice(3).map((column) => sql`${sql(column)} = excluded.${sql(column)}`)
  const puts = new Map<number, string>(
    INSERT_SIZES.map((size) => [
      size,
      sql`INSERT INTO sense_ticks ${sql.insert(Arr.makeBy(size, () => blank))}
          ON CONFLICT (sense, outcome, place) DO UPDATE SET ${sql.csv(updates)}`.compile()[0]
    ])
  )
  return {
    put: (rows) => puts.get(rows) ?? "",
    lastPlace:
      sql`SELECT place FROM sense_ticks WHERE sense = ${""} AND outcome = ${""} ORDER BY id DESC LIMIT 1`.compile()[0],
    setLastId: sql`UPDATE sense_ticks_head SET last_id = ${0}`.compile()[0]
  }
}

const decodePlace = Schema.decodeUnknownEffect(Schema.Array(Schema.Struct({ place: Schema.Int })))

/** Writes a batch in one transaction. */
const writer =
  (
    transact: Transact,
    statements: Statements,
    places: Map<string, number>,
    guard: Effect.Effect<void, LogStoreError>
  ) =>
  (ticks: ReadonlyArray<Tick>, lastId: number): Effect.Effect<void, LogStoreError> =>
    transact("ticks", (conn) =>
      Effect.gen(function* () {
        yield* guard
        const rows: Array<ReadonlyArray<unknown>> = []
        for (const tick of ticks) rows.push(valuesOf(tick, yield* nextPlace(conn, statements, places, tick)))
        for (let start = 0; start < rows.length;) {
          const size = INSERT_SIZES.find((size) => size <= rows.length - start) ?? 1
          yield* conn.executeRaw(statements.put(size), rows.slice(start, start + size).flat())
          start += size
        }
        yield* conn.executeRaw(statements.setLastId, [lastId])
      })
    ).pipe(
      // The rows are not where they were going to be.
      Effect.tapError(() => Effect.sync(() => places.clear()))
    )

/** The place after that of the latest tick of this sense and outcome. */
const nextPlace = Effect.fnUntraced(function* (
  conn: Connection,
  statements: Statements,
  places: Map<string, number>,
  { outcome, sense }: Tick
) {
  const key = `${outcome} ${sense}`
  let last = places.get(key)
  if (last === undefined) {
    const rows = yield* conn.execute(statements.lastPlace, [sense, outcome], undefined)
    const [found] = yield* Effect.mapError(decodePlace(rows), damaged("ticks"))
    last = found?.place ?? -1
  }
  const place = (last + 1) % KEPT_PER_OUTCOME
  places.set(key, place)
  return place
})

// --- rows

const More = Schema.fromJsonString(
  TickSchema.mapFields(({ lines, linesLeftOut, signal, threads }) => ({ lines, linesLeftOut, signal, threads }))
)
const encodeMore = Schema.encodeSync(More)
const decodeMore = Schema.decodeUnknownEffect(More)

const Row = Schema.Struct({
  id: Id,
  sense: TickSchema.fields.sense,
  outcome: TickSchema.fields.outcome,
  cause: Schema.String,
  due_at: Schema.Finite,
  started_at: Schema.NullOr(Schema.Finite),
  duration_ms: Schema.NullOr(Schema.Finite),
  count: Schema.Int,
  detail: Schema.NullOr(Schema.String),
  more: Schema.NullOr(Schema.String)
})
const decodeRows = Schema.decodeUnknownEffect(Schema.Array(Row))

const isPlain = ({ lines, linesLeftOut, signal, threads }: Tick): boolean =>
  signal === null && lines.length === 0 && linesLeftOut === 0 && threads.length === 0

/** Most ticks have nothing more to tell: no JSON is made for them. */
const valuesOf = (tick: Tick, place: number): ReadonlyArray<unknown> => [
  tick.sense,
  tick.outcome,
  place,
  tick.id,
  tick.cause,
  tick.dueAt,
  tick.startedAt,
  tick.durationMs,
  tick.count,
  // A NUL would end the text in some databases.
  tick.detail?.replaceAll("\0", "") ?? null,
  isPlain(tick) ? null : encodeMore(tick)
]

const plain: typeof More.Type = { lines: [], linesLeftOut: 0, signal: null, threads: [] }

const select = (
  sql: SqlClient.SqlClient,
  { before = Number.MAX_SAFE_INTEGER, limit = DEFAULT_LIMIT, outcome, sense }: TickQuery
): Effect.Effect<ReadonlyArray<Tick>, LogStoreError> => {
  const wanted = outcome === undefined ? sql`` : sql`AND outcome = ${outcome}`
  return nameSqlErrors(
    "ticks",
    sql`SELECT * FROM sense_ticks WHERE sense = ${sense} ${wanted} AND id < ${before} ORDER BY id DESC LIMIT ${Math.max(0, limit)}`
  ).pipe(
    Effect.flatMap((rows) => Effect.mapError(decodeRows(rows), damaged("ticks"))),
    Effect.flatMap((rows) =>
      Effect.forEach(rows, ({ due_at, duration_ms, more, started_at, ...rest }) =>
        Effect.map(
          more === null ? Effect.succeed(plain) : Effect.mapError(decodeMore(more), damaged("ticks")),
          (more) => ({
            ...rest,
            dueAt: due_at,
            startedAt: started_at,
            durationMs: duration_ms,
            ...more
          })
        )
      )
    )
  )
}

const damaged = (operation: string) => (cause: unknown) =>
  new LogStoreError({ operation, message: "a row of sense_ticks is damaged", permanent: true, cause })
