/**
 * The databases of a sense: its own, `data/senses/<name>.db`, in WAL so that others can read while it
 * writes (S1); and its peers, the databases of all other senses, which it can only read (S3).
 *
 * The own database is open from the sense's boot to its worker's end, as one `node:sqlite` handle; an
 * Effect's `SqlClient` works on the same. A peer is opened when it is first asked for.
 */
import type { Peer, PlainDatabase, Sense } from "@nerve/core/authoring/Sense"
import type { Problem } from "@nerve/core/domain/Problem"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import { existsSync, mkdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as SameFile from "../sqlite/SameFile.ts"
import * as SenseRecord from "./SenseRecord.ts"
import * as SenseSqlClient from "./SenseSqlClient.ts"

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

/** Fails, in words, once the database at `path` is no longer the file that was opened. Make it after opening. */
export const guard = (path: string, file: string): Effect.Effect<Effect.Effect<void, string>, Problem> =>
  Effect.try({
    try: () => SameFile.watch(path),
    catch: (error) => unusable(file, error)
  }).pipe(
    Effect.map((isSame) =>
      Effect.suspend(() =>
        isSame() ? Effect.void : Effect.fail(`${file} was deleted or replaced while it is open: start nerve again`)
      )
    )
  )

/** The other senses' databases, for Effect and for plain computes. */
export interface Peers {
  readonly names: ReadonlyArray<string>
  /** Dies when there is no such peer, or when it has no database yet. */
  readonly client: (sense: string) => Effect.Effect<SqlClient>
  /** Throws where `client` dies. */
  readonly plain: (sense: string) => PlainDatabase
  /** As `plain`, with what the sense's module says of it. */
  readonly typed: <A, S, T>(sense: string, type: Sense<A, S, T>) => Peer<A, S, T>
}

/** The peers of a sense; what it opens lives as long as the scope. */
export const makePeers = Effect.fnUntraced(function* (options: {
  readonly workspace: string
  readonly sense: string
  /** All senses of the workspace, as of now; the sense's own name among them is left out. */
  readonly senses: () => ReadonlyArray<string>
}): Effect.fn.Return<Peers, never, Scope.Scope> {
  const { sense: self, workspace } = options
  const namesNow = (): ReadonlyArray<string> => [...new Set(options.senses())].filter((name) => name !== self)
  const clients = new Map<string, SqlClient>()
  const handles = new Map<string, { readonly handle: DatabaseSync; readonly isSame: () => boolean }>()
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const { handle } of handles.values()) handle.close()
    })
  )

  // Asked at each use: a peer that had not run the first time may have run since.
  const checkUnsafe = (sense: string): void => {
    if (sense === self) throw new Error(`${self} is no peer of its own: it has its database already`)
    const names = namesNow()
    if (!names.includes(sense)) {
      throw new Error(
        `there is no sense ${sense} in this workspace; the peers of ${self}: ${names.join(", ") || "none"}`
      )
    }
    if (!existsSync(join(workspace, fileOf(sense)))) {
      throw new Error(`the sense ${sense} has not run yet: its database ${fileOf(sense)} does not exist`)
    }
  }

  const plain = (sense: string): DatabaseSync => {
    checkUnsafe(sense)
    const known = handles.get(sense)
    if (known?.isSame() === true) return known.handle
    // Its database was made anew: the old file would be read for ever.
    known?.handle.close()
    handles.delete(sense)
    clients.delete(sense)
    const path = join(workspace, fileOf(sense))
    const handle = new DatabaseSync(path, { readOnly: true, timeout: busyTimeoutMs })
    handles.set(sense, { handle, isSame: SameFile.watch(path) })
    handle.exec("PRAGMA query_only = ON")
    return handle
  }

  return {
    get names() {
      return namesNow()
    },
    client: (sense) =>
      Effect.suspend(() => {
        const handle = plain(sense)
        const known = clients.get(sense)
        return known === undefined
          ? Effect.tap(SenseSqlClient.make(handle), (made) => Effect.sync(() => clients.set(sense, made)))
          : Effect.succeed(known)
      }),
    plain,
    typed: (sense, type) => typedPeer(sense, plain(sense), type)
  }
})

/** What another sense has said and shares, by its own Schemas. */
const typedPeer = <A, S, T>(sense: string, handle: DatabaseSync, type: Sense<A, S, T>): Peer<A, S, T> => ({
  exec: (sql) => handle.exec(sql),
  prepare: (sql) => handle.prepare(sql),
  signal: () => {
    const saved = SenseRecord.readSignal(handle)
    return saved === null ? null : fitting(`the last signal of ${sense}`, () => type.decode(saved.value))
  },
  state: () => {
    const saved = SenseRecord.readState(handle)
    const { state } = type
    if (saved === undefined || state === null) return null
    return fitting(`the state of ${sense}`, () => state.decode(saved))
  },
  rows: (table, tail = "", ...parameters) => {
    if (!Object.hasOwn(type.tables, table)) {
      const known = Object.keys(type.tables).join(", ") || "none"
      throw new Error(`${sense} shares no table ${table}; \`tables\` of its Sense.make: ${known}`)
    }
    const rows = handle.prepare(`SELECT * FROM "${table.replaceAll('"', '""')}" ${tail}`).all(...parameters)
    return rows.map((row) => fitting(`a row of ${table} of ${sense}`, () => type.tables[table](row)))
  }
})

const fitting = <A>(what: string, decode: () => A): A => {
  try {
    return decode()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new Error(`${what} does not fit its schema: ${message}`, { cause: error })
  }
}

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

const unusable = (file: string, error: unknown): Problem => ({
  code: "database-unusable",
  message: `${file} cannot be opened: ${error instanceof Error ? error.message : String(error)}`,
  file,
  hint: ""
})
