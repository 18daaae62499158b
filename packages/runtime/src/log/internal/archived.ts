/**
 * What the database knows of the archive: up to which entry the log lies in files, from which on it was
 * kept at all, and the files in between.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import type { SqlError } from "effect/sql/SqlError"
import { LogStoreError } from "../LogStore.ts"
import type { ArchivedDay } from "./archiveFile.ts"
import { GENESIS } from "./chain.ts"

/** A place in the chain: the entry with this id has this hash. */
export interface Mark {
  readonly id: number
  readonly hash: string
  /** The archived day that ends here; null when none does. */
  readonly day: string | null
}

export interface Archived {
  /** Entries up to here are in the archive, if they are anywhere. */
  readonly upTo: Mark
  /** Entries up to here are gone, for they were older than what is kept. */
  readonly keptFrom: Mark
  /** In order of id. */
  readonly days: ReadonlyArray<ArchivedDay>
}

const START: Mark = { id: 0, hash: GENESIS, day: null }

/** A log of which nothing was archived. */
export const NOTHING: Archived = { upTo: START, keptFrom: START, days: [] }

const Marks = Schema.Array(Schema.Struct({ key: Schema.String, value: Schema.String }))
const Days = Schema.Array(
  Schema.Struct({
    day: Schema.String,
    first_id: Schema.Int,
    last_id: Schema.Int,
    since: Schema.Int,
    until: Schema.Int,
    entries: Schema.Int,
    bytes: Schema.Int,
    before: Schema.String,
    hash: Schema.String
  })
)

const markPattern = /^(\d+) ([0-9a-f]{16})(?: (\d{4}-\d{2}-\d{2}))?$/

/** Frozen format: id, hash and, unless it is the start, day, a space between. */
export const formatMark = ({ day, hash, id }: Mark): string => `${id} ${hash}${day === null ? "" : ` ${day}`}`

const parseMark = (text: string): Mark | undefined => {
  const [, id, hash, day] = markPattern.exec(text) ?? []
  return id === undefined || hash === undefined ? undefined : { id: Number(id), hash, day: day ?? null }
}

export const read = Effect.fnUntraced(function* (
  conn: Connection
): Effect.fn.Return<Archived, LogStoreError | SqlError> {
  const marks = yield* Effect.mapError(
    Effect.flatMap(
      conn.execute("SELECT key, value FROM meta WHERE key IN ('archived_up_to', 'kept_from')", [], undefined),
      Schema.decodeUnknownEffect(Marks)
    ),
    unreadable
  )
  // A file from before there was an archive, opened for reading.
  if (marks.length === 0) return NOTHING
  const mark = (name: string) => parseMark(marks.find(({ key }) => key === name)?.value ?? "")
  const upTo = mark("archived_up_to")
  const keptFrom = mark("kept_from")
  if (upTo === undefined || keptFrom === undefined) return yield* unreadable(undefined)
  if (upTo.id === 0) return NOTHING
  const days = yield* Effect.mapError(
    Effect.flatMap(
      conn.execute("SELECT * FROM archive_days ORDER BY first_id", [], undefined),
      Schema.decodeUnknownEffect(Days)
    ),
    unreadable
  )
  return {
    upTo,
    keptFrom,
    days: days.map(({ first_id, last_id, ...day }) => ({ ...day, firstId: first_id, lastId: last_id }))
  }
})

/** Statements of one database that change what is archived. */
export const makeStatements = (sql: SqlClient) => {
  const compile = (statement: { readonly compile: () => readonly [string, ReadonlyArray<unknown>] }) =>
    statement.compile()[0]
  return {
    moveMark: compile(sql`UPDATE meta SET value = ${""} WHERE key = ${""}`),
    addDay: compile(
      sql`INSERT INTO archive_days (day, first_id, last_id, since, until, entries, bytes, before, hash)
        VALUES (${""}, ${0}, ${0}, ${0}, ${0}, ${0}, ${0}, ${""}, ${""})`
    ),
    addBlob: compile(sql`INSERT INTO archive_blobs (hash, day) VALUES (${""}, ${""})`),
    forgetDay: compile(sql`DELETE FROM archive_days WHERE day = ${""}`),
    forgetBlobs: compile(sql`DELETE FROM archive_blobs WHERE day = ${""}`),
    /** Of runs whose beginning is no longer kept. */
    forgetRuns: compile(sql`DELETE FROM workflow_runs WHERE created_id <= ${0} AND ended_at < ${0}`),
    /**
     * Archived rows, but for those of threads that have not ended, and those about a workflow as a whole: a start
     * asks whether it was paused. (after, up to, at most)
     */
    sweep: compile(
      sql`DELETE FROM logs WHERE id IN (
        SELECT id FROM logs WHERE id > ${0} AND id <= ${0} AND NOT EXISTS (
          SELECT 1 FROM workflow_runs WHERE thread_id = logs.ref_id AND ended_at IS NULL
        ) AND NOT (source = 'kernel' AND ref_id IS NOT NULL) ORDER BY id LIMIT ${0}
      )`
    ),
    /** A run that keeps a day: it has not ended, or not long ago: (last id, ended at or after). */
    findKeeper: compile(
      sql`SELECT thread_id FROM workflow_runs
        WHERE created_id <= ${0} AND (ended_at IS NULL OR ended_at >= ${0}) LIMIT 1`
    ),
    neededBlobs: compile(
      sql`SELECT hash FROM archive_blobs UNION
        SELECT substr(payload, 9, 64) AS hash FROM logs WHERE substr(payload, 1, 1) = '@'`
    ),
    /** Rows with exactly this reference. */
    findReference: compile(sql`SELECT id FROM logs WHERE substr(payload, 1, 1) = '@' AND payload = ${""} LIMIT 1`)
  }
}
export type Statements = ReturnType<typeof makeStatements>

const unreadable = (cause: unknown) =>
  new LogStoreError({
    operation: "open",
    message: "the log does not say what of it is archived: meta or archive_days is damaged",
    permanent: true,
    cause
  })
