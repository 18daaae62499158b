/**
 * Looks at everything the log consists of, and tells what does not hold: the chain of entries through
 * archive and database, the archive's files, large payloads, and runs against the entries that they
 * follow from. The database file itself is looked at by whoever owns it.
 */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import * as RunProjection from "@nerve/core/domain/RunProjection"
import type { WorkflowRun } from "@nerve/core/domain/Thread"
import type { StoreProblem, VerifyReport } from "@nerve/core/wire/StoreReports"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import type { BlobStore } from "../BlobStore.ts"
import type { DurableFolder } from "../DurableFolder.ts"
import type { LogStoreError } from "../LogStore.ts"
import {
  type ArchivedDay,
  entryLine,
  fileName,
  idOf,
  parseEntryExactly,
  parseFooter,
  parseHeader
} from "./archiveFile.ts"
import type { Archived } from "./archived.ts"
import { everyLine } from "./archiveReader.ts"
import * as Chain from "./chain.ts"
import { decodeRuns, decodeStoredRow, type Head, isSource, type StoredLog } from "./columns.ts"
import { parseReference } from "./payload.ts"

const PAGE = 1000

/** Problems told; further ones are left out. */
const MAX_PROBLEMS = 100

export interface Subject {
  readonly sql: SqlClient
  /** Where the log ends; the second in the midst of a reserved connection. */
  readonly readHead: Effect.Effect<Head, LogStoreError | SqlError>
  readonly readHeadOn: (conn: Connection) => Effect.Effect<Head, LogStoreError | SqlError>
  readonly archived: Archived
  readonly folder: DurableFolder | undefined
  readonly blobs: BlobStore["Service"] | undefined
  /** Stop at the first problem of the chain, and look at nothing else. */
  readonly chainOnly: boolean
}

export const verify = Effect.fnUntraced(function* (
  subject: Subject
): Effect.fn.Return<VerifyReport, LogStoreError | SqlError> {
  const { archived, blobs, folder, sql } = subject
  const problems: Array<StoreProblem> = []
  const found = (part: StoreProblem["part"], id: number | null, message: string) => {
    if (problems.length < MAX_PROBLEMS) problems.push({ part, id, message })
  }
  const looked = new Map<string, string | null>()
  const runs = new Map<string, WorkflowRun>()
  let entries = 0
  /** Where the walk is; an unknown hash holds for whatever comes next. */
  let id = archived.keptFrom.id
  let hash: string | undefined = archived.keptFrom.hash

  /** The payload's text, the blob behind it checked; null when it cannot be had. */
  const textOf = Effect.fnUntraced(function* (row: StoredLog) {
    const reference = parseReference(row.payload)
    if (reference === undefined) return row.payload
    if (blobs === undefined) return null
    const known = looked.get(reference.hash)
    if (known !== undefined) return known
    const text = yield* Effect.match(blobs.get(reference), {
      onSuccess: (text): string | null => text,
      onFailure: (error) => {
        found("blob", row.id, `entry ${row.id}: ${error.message}`)
        return null
      }
    })
    // Only the verdict is kept, but for what a run needs.
    looked.set(reference.hash, row.source === "workflow" ? text : text === null ? null : "")
    return text
  })

  const project = Effect.fnUntraced(function* (row: StoredLog) {
    const text = yield* textOf(row)
    if (row.source !== "workflow" || row.refId === null || text === null || !isSource(row.source)) return
    const { hash: _, payload: __, source, ...rest } = row
    const payload = parse(text)
    if (Option.isNone(payload)) return found("log", row.id, `entry ${row.id}: its payload is not JSON`)
    const entry: LogEntry = { ...rest, source, payload: payload.value }
    const run = RunProjection.apply(runs.get(row.refId), entry)
    if (run !== undefined) runs.set(row.refId, run)
  })

  /** The next row of the chain. */
  const link = (part: "archive" | "log", row: StoredLog, where: string) => {
    entries += 1
    if (row.id !== id + 1) {
      const gone = id + 1 === row.id - 1 ? `entry ${id + 1} is` : `entries ${id + 1} to ${row.id - 1} are`
      found(part, id + 1, row.id > id ? `${gone} gone${where}` : `entry ${row.id} is out of place${where}`)
    } else if (hash !== undefined && Chain.next(hash, row) !== row.hash) {
      found(part, row.id, `entry ${row.id} is not what was recorded${where}`)
    }
    id = row.id
    hash = row.hash
  }

  // ── the archive ──
  const held = new Map<number, StoredLog>()
  if (archived.upTo.id > 0 && !subject.chainOnly) {
    const rows = yield* sql`SELECT * FROM logs WHERE id <= ${archived.upTo.id} AND id > ${archived.keptFrom.id}`
    for (const raw of rows) {
      const row = decodeStoredRow(raw)
      if (row === undefined) found("log", null, `a row below ${archived.upTo.id} does not hold what it should`)
      else held.set(row.id, row)
    }
  }
  const needed = new Set<string>()

  const archivedDay = Effect.fnUntraced(function* (folder: DurableFolder, day: ArchivedDay) {
    const name = fileName(day.day)
    const where = `, in ${folder.path}/${name}`
    const before = problems.length
    const wrong = (message: string) => found("archive", null, `${folder.path}/${name}: ${message}`)
    if (day.firstId !== id + 1 || day.before !== hash) wrong("does not follow the day before it")
    id = day.firstId - 1
    hash = day.before
    let header: string | undefined
    let isClosed = false
    let since = Infinity
    let until = -Infinity
    const first = entries
    yield* everyLine(folder, name, (line) => {
      if (header === undefined) {
        header = line
        const is = Option.exists(
          parseHeader(line),
          (it) => it.day === day.day && it.firstId === day.firstId && it.before === day.before
        )
        return Effect.sync(() => {
          if (!is) wrong("its first line is not the one it was written with")
        })
      }
      if (isClosed) return Effect.sync(() => wrong("something follows its last line"))
      const row = parseEntryExactly(line)
      if (row !== undefined) {
        link("archive", row, where)
        since = Math.min(since, row.timestamp)
        until = Math.max(until, row.timestamp)
        const copy = held.get(row.id)
        if (copy !== undefined && entryLine(copy) !== line) {
          found("log", row.id, `entry ${row.id} in the database differs from the archived one`)
        }
        const reference = parseReference(row.payload)
        if (reference !== undefined) needed.add(`${reference.hash} ${day.day}`)
        return project(row)
      }
      const footer = parseFooter(header, line)
      if (Option.isSome(footer)) {
        isClosed = true
        const { hash: last, lastId } = footer.value
        if (lastId !== day.lastId || last !== day.hash) wrong("its last line is of another day")
        return Effect.void
      }
      return Effect.sync(() => {
        const at = idOf(line) ?? id + 1
        found("archive", at, `entry ${at} cannot be read${where}`)
        id = Number.isSafeInteger(at) ? at : id + 1
        hash = undefined
      })
    }).pipe(Effect.catchTag("FolderError", (error) => Effect.sync(() => wrong(error.message))))
    if (!isClosed) wrong("its last line is missing")
    const count = entries - first
    const isSame = count === day.entries && since === day.since && until === day.until
    if (problems.length === before && !isSame) wrong("the database says other things of it than it holds")
    const size = yield* Effect.orElseSucceed(folder.size(name), () => null)
    if (problems.length === before && size !== day.bytes) wrong(`has ${size} bytes instead of ${day.bytes}`)
    if (id !== day.lastId || (hash !== undefined && hash !== day.hash)) {
      if (problems.length === before) wrong("ends elsewhere than it did")
    }
    id = day.lastId
    hash = day.hash
  })

  if (folder !== undefined) for (const day of archived.days) yield* archivedDay(folder, day)
  if (id !== archived.upTo.id || hash !== archived.upTo.hash) {
    found("archive", null, `the archive ends at entry ${id}, but should at ${archived.upTo.id}`)
    id = archived.upTo.id
    hash = archived.upTo.hash
  }

  const compare = Effect.fnUntraced(function* (conn: Connection) {
    const rows = yield* conn.execute("SELECT hash, day FROM archive_blobs", [], undefined)
    const recorded = new Set(rows.map((row) => `${String(row["hash"])} ${String(row["day"])}`))
    if (recorded.size !== needed.size || [...needed].some((key) => !recorded.has(key))) {
      found("archive", null, "archive_blobs does not name the blobs that the archive needs")
    }
    const stored = yield* Effect.result(
      Effect.flatMap(
        conn.execute("SELECT * FROM workflow_runs ORDER BY created_id", [], undefined),
        decodeRuns("verify")
      )
    )
    if (stored._tag === "Failure") found("runs", null, stored.failure.message)
    else compareRuns(runs, stored.success, found)
  })

  // ── the database ──
  const [page] = sql`SELECT * FROM logs WHERE id > ${0} AND id <= ${0} ORDER BY id LIMIT ${PAGE}`.compile()
  const walk = Effect.fnUntraced(function* (conn: Connection, upTo: number) {
    while (true) {
      const rows = yield* conn.execute(page, [id, upTo, PAGE], undefined)
      for (const raw of rows) {
        const row = decodeStoredRow(raw)
        if (row === undefined) {
          found("log", id + 1, `entry ${id + 1}: its columns do not hold what they should`)
          const at: unknown = raw["id"]
          id = typeof at === "number" && at > id ? at : id + 1
          hash = undefined
          continue
        }
        link("log", row, "")
        if (!subject.chainOnly) yield* project(row)
      }
      if (rows.length < PAGE || (subject.chainOnly && problems.length > 0)) return
    }
  })
  // Most of it while others may write, page by page.
  const begun = yield* subject.readHead
  while (id < begun.id && !(subject.chainOnly && problems.length > 0)) {
    const from = id
    yield* Effect.scoped(Effect.flatMap(sql.reserve, (conn) => walk(conn, Math.min(id + 10 * PAGE, begun.id))))
    yield* Effect.yieldNow
    if (id === from) break
  }

  // ── what came meanwhile, and what follows from it all: nobody writes until this is done ──
  yield* Effect.scoped(
    Effect.gen(function* () {
      const conn = yield* sql.reserve
      const head = yield* subject.readHeadOn(conn)
      yield* walk(conn, head.id)
      if (id < head.id) {
        found(
          "log",
          id + 1,
          `${head.id === id + 1 ? `entry ${head.id} is` : `entries ${id + 1} to ${head.id} are`} gone`
        )
      } else if (hash !== undefined && (id !== head.id || hash !== head.hash)) {
        found("log", id, `entry ${id} is not the last one that was recorded`)
      }
      if (!subject.chainOnly) yield* compare(conn)
    })
  )

  return {
    ok: problems.length === 0,
    entries,
    archivedDays: archived.days.length,
    blobs: looked.size,
    runs: runs.size,
    problems
  }
})

const compareRuns = (
  expected: Map<string, WorkflowRun>,
  stored: ReadonlyArray<WorkflowRun>,
  found: (part: "runs", id: number | null, message: string) => void
): void => {
  const advice = "nerve store rebuild computes it anew"
  const seen = new Set<string>()
  for (const run of stored) {
    const other = expected.get(run.threadId)
    seen.add(run.threadId)
    if (other === undefined) found("runs", null, `thread ${run.threadId} is not in the log; ${advice}`)
    else if (!isSame(run, other)) {
      found("runs", other.createdId, `thread ${run.threadId} is not what the log says; ${advice}`)
    }
  }
  for (const [threadId, run] of expected) {
    if (!seen.has(threadId)) found("runs", run.createdId, `thread ${threadId} is missing in workflow_runs; ${advice}`)
  }
}

/** Key by key: the order of keys differs between the two. */
const isSame = (a: WorkflowRun, b: WorkflowRun): boolean => {
  const left = Object.entries(a).filter(([, value]) => value !== undefined)
  const right = new Map(Object.entries(b).filter(([, value]) => value !== undefined))
  return (
    left.length === right.size && left.every(([key, value]) => JSON.stringify(right.get(key)) === JSON.stringify(value))
  )
}

const parse = (text: string) => Option.liftThrowable((): LogEntry["payload"] => JSON.parse(text))()
