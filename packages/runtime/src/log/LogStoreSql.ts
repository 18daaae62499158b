/**
 * The log in an SQL database (D1, D2): written for SQLite, in SQL that other databases speak too.
 *
 * It owns the tables `logs`, `workflow_runs`, `meta`, `archive_days` and `archive_blobs`. Entries are
 * appended through `LogWriter`, a batch per transaction, and each run is materialised in the transaction
 * of its entry. What is archived is read as if it still were in the table. The database itself (file,
 * durability, locks) belongs to whoever provides the `SqlClient`.
 */
import type { LogInput } from "@nerve/core/domain/LogEntry"
import type { StoreProblem, StoreStats, VacuumReport } from "@nerve/core/wire/StoreReports"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { PreventSchedulerYield } from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { Fragment } from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import * as Archive from "./Archive.ts"
import { type Ballast, isEssential } from "./Ballast.ts"
import type { BlobStore } from "./BlobStore.ts"
import type { DurableFolder } from "./DurableFolder.ts"
import { makeStatements, passLost, passStrangers, type Past, readHead, writeRows } from "./internal/append.ts"
import * as Archived from "./internal/archived.ts"
import { decodeRuns, type Head, type Resolve } from "./internal/columns.ts"
import { decodeMessages, single } from "./internal/entries.ts"
import { formatReference, parseReference } from "./internal/payload.ts"
import * as Reading from "./internal/reading.ts"
import { rebuildRuns } from "./internal/rebuild.ts"
import type { PreparedRow } from "./internal/row.ts"
import { checkVersion, LogSchemaTooNew, migrate } from "./internal/schema.ts"
import * as Stats from "./internal/stats.ts"
import * as Tail from "./internal/tail.ts"
import { makeTransact, nameSqlErrors, type Transact, withConnection } from "./internal/transaction.ts"
import { verify } from "./internal/verify.ts"
import { LogStore, LogStoreError, type RunQuery } from "./LogStore.ts"
import * as LogWriter from "./LogWriter.ts"
import { StoreMaintenance } from "./StoreMaintenance.ts"

export { LogSchemaTooNew } from "./internal/schema.ts"
export type { Head } from "./internal/columns.ts"

/**
 * A payload of more characters of JSON than this goes into a blob. Small enough that a row fits a few
 * pages of the database, large enough that what people write stays in the table.
 */
export const BLOB_OVER = 64 * 1024

/** What the owner of the database can do that SQL cannot. */
export interface DatabaseFile {
  /** What is wrong with the file itself. */
  readonly check: Effect.Effect<ReadonlyArray<StoreProblem>, LogStoreError>
  readonly vacuum: Effect.Effect<VacuumReport, LogStoreError>
  readonly sizes: Effect.Effect<Pick<StoreStats, "fileBytes" | "freeBytes">, LogStoreError>
}

export interface Options {
  /** The database is only read: nothing is migrated, every append fails. */
  readonly readOnly?: boolean
  /** Run in each transaction that appends, before it writes; when it fails, so do its writers. */
  readonly guard?: Effect.Effect<void, LogStoreError>
  /** Told of the log's end after each transaction, before its writers are answered. Must not throw. */
  readonly onDurable?: (head: Head) => void
  /** The last end that an earlier owner was told of: if the log ends before it, entries are gone. */
  readonly acknowledged?: Head | undefined
  /** What is given up when the disk is full. */
  readonly ballast?: Ballast | undefined
  /** Where archived days are. Without it nothing is archived. */
  readonly archive?: DurableFolder | undefined
  /** Where large payloads are. Without it they are in the table like the others. */
  readonly blobs?: BlobStore["Service"] | undefined
  readonly file?: DatabaseFile | undefined
}

export interface Stores {
  readonly store: LogStore["Service"]
  readonly maintenance: StoreMaintenance["Service"]
}

/** A log in the database of `SqlClient`, its tables created or brought up to date. */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<Stores, LogStoreError | LogSchemaTooNew, SqlClient.SqlClient | Scope.Scope> {
  const sql = yield* SqlClient.SqlClient
  const transact = makeTransact(sql)
  const texts = makeStatements(sql)
  const guard = options.guard ?? Effect.void
  const { archive: folder, blobs } = options
  const readOnly = options.readOnly === true

  // ── Opening: tables, then where the log ends, then readers, then writers. Closing goes backwards:
  // reads are refused, writers flushed, followers ended. ──
  const opened = yield* readOnly
    ? withConnection(sql, "open", (conn) =>
        checkVersion(conn).pipe(
          Effect.andThen(Effect.all({ head: readHead(conn, texts), archived: Archived.read(conn) })),
          Effect.catchTag("LogSchemaTooNew", Effect.succeed)
        )
      )
    : transact("open", (conn) =>
        migrate(sql, conn).pipe(
          Effect.andThen(passStrangers(conn, texts)),
          Effect.andThen(passLost(conn, texts, options.acknowledged)),
          Effect.andThen(Effect.all({ head: readHead(conn, texts), archived: Archived.read(conn) })),
          Effect.catchTag("LogSchemaTooNew", Effect.succeed)
        )
      )
  if (opened instanceof LogSchemaTooNew) return yield* opened
  let archived = opened.archived
  options.onDurable?.(opened.head)
  const tail = Tail.make(opened.head.id)
  yield* Effect.addFinalizer(() => Effect.sync(tail.close))

  /** What is archived. Who only reads has somebody else archive meanwhile, and looks each time. */
  const current = readOnly ? withConnection(sql, "query", Archived.read) : Effect.sync(() => archived)
  const resolve = resolveWith(blobs)
  const reading = Reading.make(sql, folder, current, resolve)
  const past = (): Past => ({
    resolve,
    archivedUpTo: archived.upTo.id,
    ofThread: (threadId) => reading.archivedOf(archived, threadId)
  })

  const { ballast } = options
  /** What fails for a full disk is tried once more when that has made room. */
  const relieved = <A, R>(effect: Effect.Effect<A, LogStoreError, R>): Effect.Effect<A, LogStoreError, R> =>
    ballast === undefined
      ? effect
      : Effect.catch(effect, (error) =>
          Effect.flatMap(ballast.release(error), (isReleased) => (isReleased ? effect : Effect.fail(error)))
        )

  const write = (rows: ReadonlyArray<PreparedRow>) =>
    Effect.map(
      relieved(
        transact("append", (conn) =>
          Effect.andThen(
            guard,
            Effect.suspend(() => writeRows(conn, texts, past(), rows))
          )
        )
      ),
      (written) => {
        if (written.fresh.length > 0) options.onDurable?.(written.head)
        tail.publish(written.fresh)
        return written.entries
      }
    )
  const writer = readOnly
    ? readOnlyWriter
    : yield* LogWriter.make(
        write,
        blobs === undefined
          ? undefined
          : { over: BLOB_OVER, externalise: (rows) => relieved(externaliseTo(blobs)(rows)) }
      )

  /** While the ballast is given up, only what it was kept for. */
  const appendAll = (inputs: ReadonlyArray<LogInput>) =>
    ballast === undefined || !ballast.isReleased() || inputs.some(({ source }) => isEssential(source))
      ? writer.append(inputs)
      : Effect.flatMap(ballast.restore, (isBack) => (isBack ? writer.append(inputs) : diskFull))
  let closed = false
  yield* Effect.addFinalizer(() => Effect.sync(() => (closed = true)))

  /** Runs what needs the database, unless the store is closed. */
  const open = <A>(operation: string, effect: Effect.Effect<A, LogStoreError | SqlError>) =>
    nameSqlErrors(
      operation,
      Effect.suspend(() => (closed ? LogWriter.storeClosed(operation) : effect))
    )

  const { ascending, atMost, descending } = reading
  const runs = (operation: string, where: ReadonlyArray<Fragment>, order: Fragment, limit?: number) =>
    open(
      operation,
      sql`SELECT * FROM workflow_runs WHERE ${sql.and(where)}
          ORDER BY created_id ${order} ${atMost(limit)}`.pipe(Effect.flatMap(decodeRuns(operation)))
    )

  const rebuild = open(
    "rebuildRuns",
    transact("rebuildRuns", (conn) =>
      Effect.suspend(() => rebuildRuns(sql, conn, texts, past(), reading.eachArchived(archived)))
    )
  )

  const subject = {
    sql,
    folder,
    blobs,
    readHead: withConnection(sql, "verify", (conn) => readHead(conn, texts)),
    readHeadOn: (conn: Parameters<typeof readHead>[0]) => readHead(conn, texts)
  }

  const store: LogStore["Service"] = {
    append: (input) => Effect.flatMap(appendAll([input]), single),
    appendAll,
    query: (query) => open("query", reading.select(query, Reading.rangeOf(query))),
    follow: (query) =>
      Stream.unwrap(
        open(
          "follow",
          Effect.sync(() =>
            tail.follow(query, (after, upTo, limit) =>
              open("follow", reading.select(query, { after, upTo, limit, order: "asc" }))
            )
          )
        )
      ),
    run: (threadId) => Effect.map(runs("run", [sql`thread_id = ${threadId}`], ascending), ([run]) => run),
    activeRuns: runs("activeRuns", [sql`status IN ('queued', 'started')`], ascending),
    runs: (query: RunQuery) =>
      runs(
        "runs",
        [
          ...(query.workflow === undefined ? [] : [sql`workflow = ${query.workflow}`]),
          ...(query.status === undefined ? [] : [sql`status = ${query.status}`]),
          ...(query.phase === undefined ? [] : [sql`phase = ${query.phase}`]),
          ...(query.key === undefined ? [] : [sql`run_key = ${query.key}`])
        ],
        descending,
        query.limit
      ),
    messages: (threadId, page = {}) =>
      open("messages", Effect.flatMap(reading.rounds(threadId, page.afterRound ?? 0, page.limit), decodeMessages)),
    rebuildRuns: rebuild,
    verify: open(
      "verify",
      Effect.flatMap(current, (archived) => verify({ ...subject, archived, chainOnly: true }))
    ).pipe(Effect.map(({ problems }) => problems[0]?.id ?? null))
  }

  // ── Maintenance: one thing at a time. ──
  const alone = (yield* Semaphore.make(1)).withPermits(1)

  /** A transaction after which what is archived is known anew, before any other fiber runs. */
  const transactArchive: Transact = (operation, body) =>
    transact(operation, (conn) => Effect.all({ result: body(conn), next: Archived.read(conn) })).pipe(
      Effect.map(({ next, result }) => {
        archived = next
        return result
      }),
      Effect.uninterruptible,
      Effect.provideService(PreventSchedulerYield, true)
    )

  const maintenance: StoreMaintenance["Service"] = {
    archive: (policy) =>
      alone(
        Effect.gen(function* () {
          const now = yield* Clock.currentTimeMillis
          if (readOnly) return yield* readOnlyError("archive")
          if (folder === undefined) return yield* noFiles("archive")
          return yield* open(
            "archive",
            Archive.run({ sql, transact: transactArchive, folder, blobs, current }, policy, now)
          )
        })
      ),
    verify: alone(
      open(
        "verify",
        Effect.gen(function* () {
          const problems = yield* options.file?.check ?? Effect.succeed([])
          const report = yield* verify({ ...subject, archived: yield* current, chainOnly: false })
          return {
            ...report,
            ok: report.ok && problems.length === 0,
            problems: [...problems, ...report.problems]
          }
        })
      )
    ),
    rebuild: alone(readOnly ? readOnlyError("rebuild") : Effect.map(rebuild, (runs) => ({ runs }))),
    vacuum: alone(open("vacuum", options.file?.vacuum ?? noFiles("vacuum"))),
    stats: open(
      "stats",
      Effect.gen(function* () {
        const sizes = yield* options.file?.sizes ?? Effect.succeed({ fileBytes: null, freeBytes: null })
        const { id } = yield* subject.readHead
        return yield* Stats.stats(sql, yield* current, blobs, id, sizes)
      })
    )
  }
  return { store, maintenance }
})

/** A log in the database of `SqlClient`, in one table: nothing is archived, large payloads are not set apart. */
export const layer: Layer.Layer<LogStore | StoreMaintenance, LogStoreError | LogSchemaTooNew, SqlClient.SqlClient> =
  Layer.effectContext(Effect.map(make(), toContext))

/** Both services of a store. */
export function toContext({ maintenance, store }: Stores): Context.Context<LogStore | StoreMaintenance> {
  return Context.add(Context.make(LogStore, store), StoreMaintenance, maintenance)
}

const resolveWith =
  (blobs: BlobStore["Service"] | undefined): Resolve =>
  ({ id, payload }) => {
    const reference = parseReference(payload)
    const failed = (why: string, permanent: boolean, cause: unknown) =>
      new LogStoreError({
        operation: "query",
        message: `entry ${id} of the log cannot be read: ${why}`,
        permanent,
        cause
      })
    if (reference === undefined) return Effect.fail(failed("its reference to a blob is damaged", true, undefined))
    if (blobs === undefined)
      return Effect.fail(failed("its payload is in a blob, and there is no blob store", true, undefined))
    return Effect.mapError(blobs.get(reference), (cause) =>
      failed(cause.message, cause.reason !== "unavailable", cause)
    )
  }

/** Puts large payloads into blobs, which stay until their rows are written. */
const externaliseTo =
  (blobs: BlobStore["Service"]): LogWriter.Externalise =>
  (rows) =>
    Effect.forEach(rows, (row) =>
      row.text.length <= BLOB_OVER
        ? Effect.succeed(row)
        : blobs.put(row.text).pipe(
            Effect.map((reference) => ({ ...row, stored: formatReference(reference) })),
            Effect.mapError((cause) => new LogStoreError({ operation: "append", message: cause.message, cause }))
          )
    )

const diskFull = Effect.fail(
  new LogStoreError({
    operation: "append",
    message: "the disk is full: what is left of it is for threads to end",
    cause: undefined
  })
)

const readOnlyError = (operation: string) =>
  Effect.fail(new LogStoreError({ operation, message: "the log was opened for reading only", cause: undefined }))

const noFiles = (operation: string) =>
  Effect.fail(
    new LogStoreError({ operation, message: "this log is not a file of its own", permanent: true, cause: undefined })
  )

const readOnlyWriter: LogWriter.LogWriter = { append: () => readOnlyError("append") }
