/**
 * The cold archive (D3): whole UTC days that are old enough go from the database to a file each, and out
 * of the archive again when they are older than what is kept.
 *
 * The order makes a crash harmless anywhere. In: first the file, complete and durable, then one
 * transaction that moves the watermark and deletes the rows; a file without a watermark is written
 * again. Out: first the transaction that forgets the day, then the file.
 *
 * Rows of threads that have not ended stay in the database as well, whatever their age.
 */
import * as ArchiveDay from "@nerve/core/domain/ArchiveDay"
import type { ArchiveReport } from "@nerve/core/wire/StoreReports"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as SqlClient from "effect/sql/SqlClient"
import type { Connection, Row } from "effect/sql/SqlConnection"
import * as Stream from "effect/Stream"
import type { BlobStore } from "./BlobStore.ts"
import { type DurableFolder, FolderError } from "./DurableFolder.ts"
import { type ArchivedDay, entryLine, fileName, footerLine, headerLine, parseHeader } from "./internal/archiveFile.ts"
import * as Archived from "./internal/archived.ts"
import { pass } from "./Boundary.ts"
import * as Chain from "./internal/chain.ts"
import { decodeNumber, decodeStoredRow, type StoredLog } from "./internal/columns.ts"
import { formatReference, parseReference } from "./internal/payload.ts"
import { nameSqlErrors, type Transact } from "./internal/transaction.ts"
import { LogStoreError } from "./LogStore.ts"

/** What of the log is cold, and what is too old to be kept. */
export interface Policy {
  /** Whole days older than this go to the archive; milliseconds. */
  readonly archiveAfter: number
  /** Archived days, and threads that ended, are removed when older than this; milliseconds, null for never. */
  readonly keep: number | null
}

/** 30 days, and all is kept. */
export const defaultPolicy: Policy = { archiveAfter: 30 * ArchiveDay.DAY, keep: null }

export interface Dependencies {
  readonly sql: SqlClient.SqlClient
  /** A transaction that may change what is archived: `current` knows of it as soon as it is committed. */
  readonly transact: Transact
  readonly folder: DurableFolder
  readonly blobs: BlobStore["Service"] | undefined
  /** What is archived, at the moment. */
  readonly current: Effect.Effect<Archived.Archived, LogStoreError>
}

/** Rows read at once, and deleted in one transaction: the daemon does nothing else meanwhile. */
const PAGE = 1000
const SWEEP = 5000

/** Archives, removes, collects, in this order. Only one at a time. */
export const run = Effect.fnUntraced(function* (
  deps: Dependencies,
  policy: Policy,
  now: number
): Effect.fn.Return<ArchiveReport, LogStoreError> {
  const texts = Archived.makeStatements(deps.sql)
  yield* ofFolder(deps.folder.tidy)
  // What is too old goes first: on a full disk that makes room for the rest.
  const before = yield* remove(deps, texts, policy, now)
  const days: Array<ArchivedDay> = []
  while (true) {
    const day = yield* archiveNext(deps, texts, policy, now)
    if (day === null) break
    days.push(day)
  }
  const after = days.length === 0 ? NOTHING_REMOVED : yield* remove(deps, texts, policy, now)
  return {
    days: days.map(({ day }) => day),
    entries: days.reduce((sum, { entries }) => sum + entries, 0),
    removedDays: [...before.removedDays, ...after.removedDays],
    removedThreads: before.removedThreads + after.removedThreads,
    removedBlobs: before.removedBlobs + after.removedBlobs,
    removedBytes: before.removedBytes + after.removedBytes
  }
})

type Removed = Omit<ArchiveReport, "days" | "entries">

const NOTHING_REMOVED: Removed = { removedDays: [], removedThreads: 0, removedBlobs: 0, removedBytes: 0 }

/** Rows that are archived, days that are too old, blobs nobody needs. */
const remove = Effect.fnUntraced(function* (
  deps: Dependencies,
  texts: Archived.Statements,
  policy: Policy,
  now: number
): Effect.fn.Return<Removed, LogStoreError> {
  // Of threads that have ended since, and of a pass that a crash cut off.
  yield* sweep(deps, texts)
  const removed = yield* removeOld(deps, texts, policy, now)
  const { blobs, bytes } = yield* collectBlobs(deps, texts)
  return { ...removed, removedBlobs: blobs, removedBytes: bytes }
})

// ── In ──

/** The next day that is cold, moved into its file; null when there is none. */
const archiveNext = Effect.fnUntraced(function* (
  deps: Dependencies,
  texts: Archived.Statements,
  policy: Policy,
  now: number
) {
  const { folder } = deps
  const { days, upTo } = yield* deps.current
  const start = yield* firstRow(deps, upTo.id, now)
  if (start === undefined) return null
  const last = upTo.day === null ? null : ArchiveDay.parse(upTo.day)
  const dayMs = ArchiveDay.first(start.timestamp, last)
  if (!ArchiveDay.isCold(dayMs, now, policy.archiveAfter)) return null

  const day = ArchiveDay.nameOf(dayMs)
  const name = fileName(day)
  const header = { day, firstId: upTo.id + 1, before: upTo.hash }
  yield* checkLeftover(deps, name, header)
  const written = { ...header, lastId: upTo.id, hash: upTo.hash, since: Infinity, until: -Infinity, entries: 0 }
  const blobs = new Set<string>()

  /** Takes the rows of a page that still belong to the day; whether more may come. */
  const take = Effect.fnUntraced(function* (rows: ReadonlyArray<Row>) {
    let text = ""
    for (const raw of rows) {
      const row = decodeStoredRow(raw)
      if (row === undefined) return yield* chainBroken(written.lastId + 1)
      if (!ArchiveDay.belongs(row.timestamp, dayMs, now)) return { text, isOver: true }
      // Never delete what does not hold: it would be beyond repair.
      if (row.id !== written.lastId + 1 || Chain.next(written.hash, row) !== row.hash) {
        return yield* chainBroken(written.lastId + 1)
      }
      text += `${entryLine(row)}\n`
      add(written, row)
      const reference = parseReference(row.payload)
      if (reference !== undefined) blobs.add(reference.hash)
    }
    return { text, isOver: rows.length < PAGE }
  })

  const lines = Stream.paginate(
    upTo.id,
    Effect.fnUntraced(function* (after: number) {
      const rows = yield* pageAfter(deps, after)
      const { isOver, text } = yield* take(rows)
      return [text === "" ? [] : [text], isOver ? Option.none<number>() : Option.some(written.lastId)] as const
    })
  )
  const head = headerLine(header)
  const footer = Stream.suspend(() => Stream.succeed(`${footerLine(head, written)}\n`))
  const bytes = yield* ofFolder(
    folder.write(name, Stream.succeed(`${head}\n`).pipe(Stream.concat(lines), Stream.concat(footer)))
  )
  yield* pass("day-written")

  const archived: ArchivedDay = { ...written, bytes }
  yield* deps.transact("archive", (conn) =>
    Effect.gen(function* () {
      yield* conn.executeRaw(texts.addDay, dayValues(archived))
      for (const hash of blobs) yield* conn.executeRaw(texts.addBlob, [hash, day])
      yield* conn.executeRaw(texts.moveMark, [
        Archived.formatMark({ id: archived.lastId, hash: archived.hash, day }),
        "archived_up_to"
      ])
      yield* conn.executeRaw(texts.sweep, [days.at(-1)?.lastId ?? 0, archived.lastId, SWEEP])
    })
  )
  yield* pass("day-archived")
  return archived
})

const add = (
  written: { lastId: number; hash: string; since: number; until: number; entries: number },
  row: StoredLog
): void => {
  written.lastId = row.id
  written.hash = row.hash
  written.since = Math.min(written.since, row.timestamp)
  written.until = Math.max(written.until, row.timestamp)
  written.entries += 1
}

const dayValues = (day: ArchivedDay): ReadonlyArray<unknown> => [
  day.day,
  day.firstId,
  day.lastId,
  day.since,
  day.until,
  day.entries,
  day.bytes,
  day.before,
  day.hash
]

/** The first row after `id` whose time is not in the future: it decides about the day. */
const firstRow = Effect.fnUntraced(function* (deps: Dependencies, id: number, now: number) {
  const { sql } = deps
  const rows = yield* nameSqlErrors(
    "archive",
    sql<{ readonly timestamp: number }>`SELECT timestamp FROM logs
      WHERE id > ${id} AND timestamp <= ${now} ORDER BY id LIMIT 1`
  )
  const [row] = rows
  return row === undefined ? undefined : { timestamp: Number(row.timestamp) }
})

const pageAfter = ({ sql }: Dependencies, id: number, limit = PAGE) =>
  nameSqlErrors("archive", sql`SELECT * FROM logs WHERE id > ${id} ORDER BY id LIMIT ${limit}`)

/**
 * A file of that name which the database does not know: written by a pass that died before its
 * transaction, or part of another log. Only the first may be written over.
 */
const checkLeftover = Effect.fnUntraced(function* (
  deps: Dependencies,
  name: string,
  header: Parameters<typeof headerLine>[0]
) {
  const { folder } = deps
  const size = yield* ofFolder(folder.size(name))
  if (size === null) return
  const [raw] = yield* pageAfter(deps, header.firstId - 1, 1)
  const row = raw === undefined ? undefined : decodeStoredRow(raw)
  const expected = new TextEncoder().encode(`${headerLine(header)}\n${row === undefined ? "" : entryLine(row)}\n`)
  const found = yield* ofFolder(folder.readAt(name, 0, expected.length))
  if (found.length === expected.length && found.every((byte, at) => byte === expected[at])) return
  return yield* new LogStoreError({
    operation: "archive",
    message: `${folder.path}/${name} is there already and belongs to another log: move it away`,
    permanent: true,
    cause: undefined
  })
})

const chainBroken = (id: number) =>
  new LogStoreError({
    operation: "archive",
    message: `entry ${id} of the log is damaged or gone, and what follows it stays in the database: see nerve store verify`,
    permanent: true,
    cause: undefined
  })

/** Deletes archived rows that are still in the database, but for those of threads that have not ended. */
const sweep = Effect.fnUntraced(function* (deps: Dependencies, texts: Archived.Statements) {
  const { upTo } = yield* deps.current
  if (upTo.id === 0) return
  const count = (conn: Connection) =>
    Effect.flatMap(conn.execute(countArchivedRows(deps.sql, upTo.id), [upTo.id], undefined), decodeNumber("archive"))
  let left = Infinity
  while (true) {
    const now = yield* deps.transact("archive", (conn) =>
      Effect.gen(function* () {
        const before = yield* count(conn)
        if (before === 0 || before >= left) return before
        yield* conn.executeRaw(texts.sweep, [0, upTo.id, SWEEP])
        return before
      })
    )
    if (now === 0 || now >= left) return
    left = now
  }
})

const countArchivedRows = (sql: SqlClient.SqlClient, id: number) =>
  sql`SELECT COUNT(*) AS number FROM logs WHERE id <= ${id}`.compile()[0]

// ── Out ──

const removeOld = Effect.fnUntraced(function* (
  deps: Dependencies,
  texts: Archived.Statements,
  policy: Policy,
  now: number
) {
  const removedDays: Array<string> = []
  let removedThreads = 0
  yield* removeForgotten(deps)
  if (policy.keep === null) return { removedDays, removedThreads }
  const oldest = now - policy.keep
  while (true) {
    const [day] = (yield* deps.current).days
    if (day === undefined || day.until >= oldest) break
    const forgotten = yield* deps.transact("archive", (conn) =>
      Effect.gen(function* () {
        const keepers = yield* conn.execute(texts.findKeeper, [day.lastId, oldest], undefined)
        if (keepers.length > 0) return null
        const before = yield* countRuns(conn)
        yield* conn.executeRaw(texts.forgetRuns, [day.lastId, oldest])
        yield* conn.executeRaw(texts.forgetBlobs, [day.day])
        yield* conn.executeRaw(texts.forgetDay, [day.day])
        yield* conn.executeRaw(texts.moveMark, [
          Archived.formatMark({ id: day.lastId, hash: day.hash, day: day.day }),
          "kept_from"
        ])
        const after = yield* countRuns(conn)
        return before - after
      })
    )
    if (forgotten === null) break
    yield* pass("day-forgotten")
    yield* ofFolder(deps.folder.remove(fileName(day.day)))
    yield* pass("day-removed")
    removedDays.push(day.day)
    removedThreads += forgotten
  }
  return { removedDays, removedThreads }
})

const countRuns = (conn: Connection) =>
  Effect.flatMap(conn.execute("SELECT COUNT(*) AS number FROM workflow_runs", [], undefined), decodeNumber("archive"))

/** Files of days that were forgotten, by a pass that died before it could remove them. */
const removeForgotten = Effect.fnUntraced(function* ({ current, folder }: Dependencies) {
  const { days, keptFrom } = yield* current
  if (keptFrom.id === 0) return
  const known = new Set(days.map(({ day }) => fileName(day)))
  for (const { name } of yield* ofFolder(folder.list)) {
    if (known.has(name) || !/^\d{4}-\d{2}-\d{2}\.jsonl$/.test(name)) continue
    if (keptFrom.day === null || name > fileName(keptFrom.day)) continue
    const header = yield* firstLine(folder, name)
    // Of this log, and before what is kept: a file of another log has ids of its own, and is left alone.
    const parsed = parseHeader(header)
    if (Option.isSome(parsed) && parsed.value.firstId <= keptFrom.id) yield* ofFolder(folder.remove(name))
  }
})

const firstLine = (folder: DurableFolder, name: string) =>
  Effect.map(ofFolder(folder.readAt(name, 0, 1024)), (bytes) => new TextDecoder().decode(bytes).split("\n")[0] ?? "")

const collectBlobs = Effect.fnUntraced(function* (deps: Dependencies, texts: Archived.Statements) {
  const { blobs, sql } = deps
  if (blobs === undefined) return { blobs: 0, bytes: 0 }
  const execute = (text: string, values: ReadonlyArray<unknown>) =>
    nameSqlErrors(
      "archive",
      Effect.scoped(Effect.flatMap(sql.reserve, (conn) => conn.execute(text, values, undefined)))
    )
  const needed = new Set((yield* execute(texts.neededBlobs, [])).map((row) => String(row["hash"])))
  return yield* blobs
    .collect(needed, (reference) =>
      Effect.map(execute(texts.findReference, [formatReference(reference)]), (rows) => rows.length > 0)
    )
    .pipe(
      Effect.catchTag("BlobError", (cause) =>
        Effect.fail(new LogStoreError({ operation: "archive", message: cause.message, cause }))
      )
    )
})

/** Trouble with the folder, in the store's terms. */
const ofFolder = <A>(effect: Effect.Effect<A, FolderError | LogStoreError>): Effect.Effect<A, LogStoreError> =>
  Effect.mapError(effect, (error) =>
    error instanceof FolderError
      ? new LogStoreError({ operation: "archive", message: error.message, cause: error })
      : error
  )
