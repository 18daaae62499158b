/**
 * The databases of a sense: its own, `data/senses/<name>.db`, in WAL so that others can read while it
 * writes (S1); and its peers, the databases of all other senses, which it can only read (S3).
 *
 * The own database is open from the sense's boot to its worker's end, once as a plain `node:sqlite`
 * handle (migrations and plain computes) and, where asked for, once as an Effect `SqlClient`. A peer is
 * opened when it is first asked for.
 */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import type { PlainDatabase } from "@nerve/core/authoring/Sense"
import type { Problem } from "@nerve/core/domain/Problem"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { SqlClient } from "effect/sql/SqlClient"
import { existsSync, mkdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as SameFile from "../sqlite/SameFile.ts"

/**
 * How long a statement waits for another connection's write to end before it fails with `database is
 * locked`. Writers hold the lock for milliseconds; longer than this, something is stuck.
 */
const busyTimeoutMs = 5_000

/** File of a sense's database, relative to the workspace. */
export const fileOf = (sense: string): string => `data/senses/${sense}.db`

/** Opens (or creates) a sense's own database as a plain handle. A problem unless WAL is really on. */
export const open = (workspace: string, sense: string): Effect.Effect<DatabaseSync, Problem, Scope.Scope> =>
  openFile(join(workspace, fileOf(sense)), fileOf(sense))

/** As `open`, for any path; `file` is what problems call it. */
export const openFile = (path: string, file: string): Effect.Effect<DatabaseSync, Problem, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => {
        mkdirSync(dirname(path), { recursive: true })
        return new DatabaseSync(path, { timeout: busyTimeoutMs })
      },
      catch: (error) => unusable(file, error)
    }),
    (handle) => Effect.sync(() => handle.close())
  ).pipe(Effect.tap((handle) => useWal(handle, file)))

/** Fails, in words, once the own database is no longer the file that was opened. Make it after `open`. */
export const guard = (workspace: string, sense: string): Effect.Effect<Effect.Effect<void, string>, Problem> =>
  Effect.try({
    try: () => SameFile.watch(join(workspace, fileOf(sense))),
    catch: (error) => unusable(fileOf(sense), error)
  }).pipe(
    Effect.map((isSame) =>
      Effect.suspend(() =>
        isSame()
          ? Effect.void
          : Effect.fail(`${fileOf(sense)} was deleted or replaced while it is open: start nerve again`)
      )
    )
  )

/** A sense's own database as an Effect client, on a connection of its own. Call it after `open`. */
export const client = (workspace: string, sense: string): Effect.Effect<SqlClient, Problem, Scope.Scope> =>
  makeClient({ filename: join(workspace, fileOf(sense)), disableWAL: true }).pipe(
    Effect.catchCause((cause) => Effect.fail(unusable(fileOf(sense), Cause.squash(cause))))
  )

/** The other senses' databases, for Effect and for plain computes. */
export interface Peers {
  readonly names: ReadonlyArray<string>
  /** Dies when there is no such peer, or when it has no database yet. */
  readonly client: (sense: string) => Effect.Effect<SqlClient>
  /** Throws where `client` dies. */
  readonly plain: (sense: string) => PlainDatabase
}

/** The peers of a sense; what it opens lives as long as the scope. */
export const makePeers = Effect.fnUntraced(function* (options: {
  readonly workspace: string
  readonly sense: string
  /** All senses of the workspace; the sense's own name among them is left out. */
  readonly senses: ReadonlyArray<string>
}): Effect.fn.Return<Peers, never, Scope.Scope> {
  const { sense: self, workspace } = options
  const names = [...new Set(options.senses)].filter((name) => name !== self)
  const scope = yield* Effect.scope
  const opening = yield* Semaphore.make(1)
  const clients = new Map<string, SqlClient>()
  const handles = new Map<string, DatabaseSync>()
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const handle of handles.values()) handle.close()
    })
  )

  // Asked at each use: a peer that had not run the first time may have run since.
  const checkUnsafe = (sense: string): void => {
    if (sense === self) throw new Error(`${self} is no peer of its own: it has its database already`)
    if (!names.includes(sense)) {
      throw new Error(
        `there is no sense ${sense} in this workspace; the peers of ${self}: ${names.join(", ") || "none"}`
      )
    }
    if (!existsSync(join(workspace, fileOf(sense)))) {
      throw new Error(`the sense ${sense} has not run yet: its database ${fileOf(sense)} does not exist`)
    }
  }

  const openClient = Effect.fnUntraced(function* (sense: string) {
    yield* Effect.sync(() => checkUnsafe(sense))
    const known = clients.get(sense)
    if (known !== undefined) return known
    const opened = yield* makeClient({
      filename: join(workspace, fileOf(sense)),
      readonly: true,
      disableWAL: true
    }).pipe(
      Effect.tap((sql) => Effect.orDie(sql.unsafe("PRAGMA query_only = ON"))),
      Scope.provide(scope)
    )
    clients.set(sense, opened)
    return opened
  })

  return {
    names,
    client: (sense) => opening.withPermits(1)(openClient(sense)),
    plain: (sense) => {
      checkUnsafe(sense)
      const known = handles.get(sense)
      if (known !== undefined) return known
      const handle = new DatabaseSync(join(workspace, fileOf(sense)), { readOnly: true, timeout: busyTimeoutMs })
      handles.set(sense, handle)
      handle.exec("PRAGMA query_only = ON")
      return handle
    }
  }
})

const useWal = (handle: DatabaseSync, file: string): Effect.Effect<void, Problem> =>
  Effect.try({
    try: () => handle.prepare("PRAGMA journal_mode = WAL").get()?.journal_mode,
    catch: (error) => unusable(file, error)
  }).pipe(
    Effect.flatMap((mode) =>
      // SQLite answers with the mode that is on, and keeps silent about why it is not the one asked for.
      mode === "wal"
        ? Effect.void
        : Effect.fail({
            code: "wal-unavailable",
            message: `${file} cannot be put into WAL mode: its journal mode stays ${String(mode)}`,
            file,
            hint: "WAL needs a local file system with shared memory; network mounts have none."
          })
    )
  )

/** The driver has no option for the busy timeout, and opens the file where a throw is a defect. */
const makeClient = Effect.fnUntraced(function* (config: SqliteClient.SqliteClientConfig) {
  const reactivity = yield* Reactivity.make
  const sql = yield* Effect.provideService(SqliteClient.make(config), Reactivity.Reactivity, reactivity)
  yield* Effect.orDie(sql.unsafe(`PRAGMA busy_timeout = ${busyTimeoutMs}`))
  return sql
})

const unusable = (file: string, error: unknown): Problem => ({
  code: "database-unusable",
  message: `${file} cannot be opened: ${error instanceof Error ? error.message : String(error)}`,
  file,
  hint: ""
})
