/**
 * The log in one SQLite file: `LogStoreSql` on `node:sqlite`, set up so that what is acknowledged
 * survives a power cut.
 *
 * It owns the file's settings (write-ahead log, full synchronisation, busy timeout) and says in words
 * what is wrong with a file that does not open. One process writes a file: the daemon.
 */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as LogStoreSql from "@nerve/runtime/log/LogStoreSql"
import * as BlobStore from "@nerve/runtime/log/BlobStore"
import { type LogStore, LogStoreError } from "@nerve/runtime/log/LogStore"
import { FolderError } from "@nerve/runtime/log/DurableFolder"
import type { StoreMaintenance } from "@nerve/runtime/log/StoreMaintenance"
import { TickHistory } from "@nerve/runtime/sense/TickHistory"
import * as TickHistorySql from "@nerve/runtime/sense/TickHistorySql"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as SqlClient from "effect/sql/SqlClient"
import { isSqlError } from "effect/sql/SqlError"
import { mkdirSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import * as NodeDurableFolder from "../files/NodeDurableFolder.ts"
import * as BallastFile from "./BallastFile.ts"
import * as EndFile from "./EndFile.ts"
import * as SameFile from "./SameFile.ts"
import * as SqliteFile from "./SqliteFile.ts"

/** Why a store did not open, for who has to decide; `StoreOpenFailed.message` is for who has to read. */
export const StoreOpenReason = Schema.Literals([
  /** There is no file (only when it is opened for reading). */
  "missing",
  /** The file, or its folder, may not be written or read. */
  "not-permitted",
  /** The file is something else than an SQLite database. */
  "not-a-database",
  /** It is an SQLite database whose pages or tables are damaged, or one that nerve did not make. */
  "damaged",
  /** Another process writes it. */
  "locked",
  /** The file system does not support SQLite's write-ahead log. */
  "no-wal",
  /** A newer nerve wrote it. */
  "too-new",
  "disk-full",
  "other"
])
export type StoreOpenReason = typeof StoreOpenReason.Type

/** The store in `file` did not open. The message names the file, the cause, and what to do. */
export class StoreOpenFailed extends Schema.TaggedError<StoreOpenFailed>()("StoreOpenFailed", {
  file: Schema.String,
  reason: StoreOpenReason,
  message: Schema.String,
  cause: Schema.Defect()
}) {}

/**
 * How long SQLite waits for another process's lock, in milliseconds. It waits on the daemon's only
 * thread, so it is short: long enough for a reader that passes by, or a daemon that is just closing.
 */
const BUSY_TIMEOUT = 1000

/**
 * Bytes of a page. A transaction writes each page that it touches as a whole, and one of entries touches a
 * dozen (table and indexes) for little in each: pages of half SQLite's usual size take a quarter off it.
 */
const PAGE_SIZE = 2048

/**
 * Opens the store in `file` for reading and writing; the file and its folder are created. Closing the
 * scope writes what was accepted and folds the write-ahead log into the file.
 */
export const make = Effect.fnUntraced(function* (
  file: string
): Effect.fn.Return<LogStoreSql.Stores, StoreOpenFailed, Scope.Scope | Reactivity.Reactivity> {
  const sql = yield* makeClient(file)
  return yield* openStore(file, sql, yield* EndFile.read(file), yield* writing(file))
})

/** The store in `file`, which is created when it is not there. */
export const layer = (file: string): Layer.Layer<LogStore | StoreMaintenance, StoreOpenFailed> =>
  Layer.effectContext(Effect.map(make(file), LogStoreSql.toContext)).pipe(Layer.provide(Reactivity.layer))

/** What a daemon keeps in its file: the log, and beside it the history of the senses' ticks, and ballast. */
export const layerWithTicks = (
  file: string,
  sizes = BallastFile.defaultSizes
): Layer.Layer<LogStore | StoreMaintenance | TickHistory, StoreOpenFailed> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const sql = yield* makeClient(file)
      const ballast = BallastFile.make(file, sizes, (cause) => reasonOf(cause) === "disk-full")
      yield* ballast.restore
      return yield* withTicks(file, sql, yield* EndFile.read(file), { ...(yield* writing(file)), ballast })
    })
  ).pipe(Layer.provide(Reactivity.layer))

/** The same for reading only; no ticks when no daemon has recorded any there. */
export const layerReadOnlyWithTicks = (
  file: string
): Layer.Layer<LogStore | StoreMaintenance | TickHistory, StoreOpenFailed> =>
  Layer.effectContext(
    Effect.gen(function* () {
      yield* attempt(file, () => statSync(file))
      return yield* withTicks(file, yield* openFile(file, true), yield* EndFile.read(file), { readOnly: true })
    })
  ).pipe(Layer.provide(Reactivity.layer))

/**
 * Opens an existing store for reading, for when no daemon runs: nothing is created or migrated, appends
 * fail, and `follow` yields nothing that another process writes later.
 */
export const makeReadOnly = Effect.fnUntraced(function* (
  file: string
): Effect.fn.Return<LogStoreSql.Stores, StoreOpenFailed, Scope.Scope | Reactivity.Reactivity> {
  yield* attempt(file, () => statSync(file))
  const sql = yield* openFile(file, true)
  return yield* openStore(file, sql, yield* EndFile.read(file), { readOnly: true })
})

/** The store in `file`, which must exist, for reading only. */
export const layerReadOnly = (file: string): Layer.Layer<LogStore | StoreMaintenance, StoreOpenFailed> =>
  Layer.effectContext(Effect.map(makeReadOnly(file), LogStoreSql.toContext)).pipe(Layer.provide(Reactivity.layer))

/**
 * A connection for writing, with the settings that durability needs; the file and its folder are created.
 * For maintenance: what goes around the store is not in its chain.
 */
export const makeClient = Effect.fnUntraced(function* (
  file: string
): Effect.fn.Return<SqliteClient.SqliteClient, StoreOpenFailed, Scope.Scope | Reactivity.Reactivity> {
  yield* attempt(file, () => mkdirSync(dirname(file), { recursive: true }))
  const sql = yield* openFile(file, false)
  // Counts for a new file only.
  yield* pragma(file, sql, `page_size = ${PAGE_SIZE}`)
  const [mode] = yield* pragma(file, sql, "journal_mode = WAL")
  if (mode?.journal_mode !== "wal") {
    return yield* failure(file, `its journal mode stays ${mode?.journal_mode}`, "no-wal")
  }
  // FULL: with NORMAL, a power cut takes rows whose writers were told that they are durable.
  yield* pragma(file, sql, "synchronous = FULL")
  return sql
})

/** A connection to the file. The driver's own way to turn WAL on does not tell whether it is on. */
const openFile = Effect.fnUntraced(function* (file: string, readonly: boolean) {
  const sql = yield* SqliteClient.make({ filename: file, readonly, disableWAL: true }).pipe(
    // The driver opens the file outside its error channel.
    Effect.catchDefect((cause) => Effect.fail(failure(file, cause)))
  )
  yield* pragma(file, sql, `busy_timeout = ${BUSY_TIMEOUT}`)
  return sql
})

const pragma = (file: string, sql: SqlClient.SqlClient, setting: string) =>
  Effect.mapError(sql.unsafe<{ readonly journal_mode?: unknown }>(`PRAGMA ${setting}`), (error) => failure(file, error))

/** The store over an open file; archived days and large payloads are in folders beside it. */
const openStore = (file: string, sql: SqlClient.SqlClient, end: EndFile.End, options: LogStoreSql.Options) =>
  Effect.flatMap(BlobStore.make(NodeDurableFolder.make(join(dirname(file), "blobs"))), (blobs) =>
    LogStoreSql.make({
      ...options,
      blobs,
      archive: NodeDurableFolder.make(join(dirname(file), "archive")),
      file: SqliteFile.make(file, sql, end)
    })
  ).pipe(
    Effect.provideService(SqlClient.SqlClient, sql),
    Effect.catchTags({
      LogSchemaTooNew: (error) => Effect.fail(failure(file, error, "too-new")),
      LogStoreError: (error) => Effect.fail(failure(file, error))
    })
  )

const withTicks = Effect.fnUntraced(function* (
  file: string,
  sql: SqlClient.SqlClient,
  end: EndFile.End,
  options: LogStoreSql.Options & TickHistorySql.Options
) {
  const stores = yield* openStore(file, sql, end, options)
  const ticks = yield* TickHistorySql.make(options).pipe(
    Effect.provideService(SqlClient.SqlClient, sql),
    Effect.mapError((error) => failure(file, error))
  )
  return Context.add(LogStoreSql.toContext(stores), TickHistory, ticks)
})

/** What a store that writes `file` watches and tells; `acknowledged` is what an earlier one told. */
const writing = Effect.fnUntraced(function* (file: string) {
  const { check } = yield* watchFile(file)
  const end = yield* EndFile.read(file)
  const acknowledged = typeof end === "string" ? undefined : end
  return { guard: check, acknowledged, onDurable: yield* EndFile.writer(file) }
})

/** A check that fails once `file` is no longer the file that was opened. It runs inside each transaction. */
const watchFile = Effect.fnUntraced(function* (file: string) {
  const isSame = yield* attempt(file, () => SameFile.watch(file))
  const check = Effect.suspend(() =>
    isSame()
      ? Effect.void
      : Effect.fail(
          new LogStoreError({
            operation: "append",
            message: `${file} was deleted or replaced while it is open: restart the daemon`,
            cause: undefined
          })
        )
  )
  return { check }
})

const attempt = <A>(file: string, f: () => A) => Effect.try({ try: f, catch: (cause) => failure(file, cause) })

/** The failure to open `file` that a cause, or a reason known already, amounts to. */
const failure = (file: string, cause: unknown, reason = reasonOf(cause)): StoreOpenFailed =>
  new StoreOpenFailed({ file, reason, message: `cannot open the log ${file}: ${describe(reason, cause)}`, cause })

const describe = (reason: StoreOpenReason, cause: unknown): string => {
  const said = cause instanceof Error ? cause.message : String(cause)
  switch (reason) {
    case "missing":
      return "there is no such file. It is created when the daemon first starts"
    case "not-permitted":
      return `${said}. It must be a file, and this user must be allowed to write it and its folder`
    case "not-a-database":
      return "it is not an SQLite database. Move it away, or name another file"
    case "damaged":
      return `${said}. Restore it from a copy, or move it away to start a new log`
    case "locked":
      return "another process is writing it. Is a daemon of this workspace running already?"
    case "no-wal":
      return `SQLite's write-ahead log does not work there (${said}). Put it on a local disk`
    case "disk-full":
      return "the disk is full. Free some space and start again"
    case "too-new":
    case "other":
      return said
  }
}

/** SQLite's result codes (the low byte of an extended one), and the errors of the file system. */
const reasonOf = (cause: unknown): StoreOpenReason => {
  switch (codeOf(cause)) {
    case "ENOENT":
      return "missing"
    case "EACCES":
    case "EPERM":
    case "EROFS":
    case 3:
    case 8:
    case 14:
      return "not-permitted"
    case 5:
    case 6:
      return "locked"
    case 1:
    case 11:
      return "damaged"
    case "ENOSPC":
    case 13:
      return "disk-full"
    case 26:
      return "not-a-database"
    default:
      return "other"
  }
}

const isSqliteError = Schema.is(Schema.Struct({ errcode: Schema.Finite }))
const isSystemError = Schema.is(Schema.Struct({ code: Schema.String }))

/** What SQLite or the file system reported, beneath what was made of it since. */
const codeOf = (cause: unknown): number | string | undefined =>
  cause instanceof LogStoreError || cause instanceof BlobStore.BlobError || cause instanceof FolderError
    ? codeOf(cause.cause)
    : isSqlError(cause)
      ? codeOf(cause.reason.cause)
      : isSqliteError(cause)
        ? cause.errcode & 0xff
        : isSystemError(cause)
          ? cause.code
          : undefined
