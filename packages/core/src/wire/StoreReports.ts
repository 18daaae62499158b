/**
 * What the maintenance of the log reports: what `nerve store … --json` prints and the control socket
 * sends. Wire format: fields may be added, never renamed. No runtime import here.
 */
import * as Schema from "effect/Schema"

/** What `archive` did. */
export const ArchiveReport = Schema.Struct({
  /** UTC days that are in files now, `2026-02-28`, oldest first. */
  days: Schema.Array(Schema.String),
  /** Entries in them. */
  entries: Schema.Int,
  /** Archived days that were older than what is kept, and are gone. */
  removedDays: Schema.Array(Schema.String),
  /** Ended threads that were forgotten with them. */
  removedThreads: Schema.Int,
  /** Large payloads that nothing needed any more, and their bytes. */
  removedBlobs: Schema.Int,
  removedBytes: Schema.Int
})
export type ArchiveReport = typeof ArchiveReport.Type

/** One thing that is wrong. */
export const StoreProblem = Schema.Struct({
  /** Where: the database file itself, the chain of entries, the archive, large payloads, runs. */
  part: Schema.Literals(["file", "log", "archive", "blob", "runs"]),
  /** The entry concerned; null when it is not one entry. */
  id: Schema.NullOr(Schema.Int),
  /** What is wrong, in words. */
  message: Schema.String
})
export type StoreProblem = typeof StoreProblem.Type

export const VerifyReport = Schema.Struct({
  ok: Schema.Boolean,
  /** Entries looked at, those in the archive among them. */
  entries: Schema.Int,
  archivedDays: Schema.Int,
  blobs: Schema.Int,
  runs: Schema.Int,
  /** At most 100; damage in one place often shows in others. */
  problems: Schema.Array(StoreProblem)
})
export type VerifyReport = typeof VerifyReport.Type

export const RebuildReport = Schema.Struct({ runs: Schema.Int })
export type RebuildReport = typeof RebuildReport.Type

/** Bytes of the database file before and after. */
export const VacuumReport = Schema.Struct({ before: Schema.Int, after: Schema.Int })
export type VacuumReport = typeof VacuumReport.Type

export const StoreStats = Schema.Struct({
  /** Entries in the database, and the id of the last one ever appended. */
  entries: Schema.Int,
  lastId: Schema.Int,
  /** Milliseconds since the Unix epoch of the oldest entry in the database; null for an empty one. */
  oldestAt: Schema.NullOr(Schema.Int),
  /** Bytes of the database with its write-ahead log; null when it is not a file. */
  fileBytes: Schema.NullOr(Schema.Int),
  /** Bytes free on its disk; null when not known. */
  freeBytes: Schema.NullOr(Schema.Int),
  archive: Schema.Struct({
    days: Schema.Int,
    entries: Schema.Int,
    bytes: Schema.Int,
    /** `2026-02-28`; null when there is none. */
    first: Schema.NullOr(Schema.String),
    last: Schema.NullOr(Schema.String)
  }),
  blobs: Schema.Struct({ count: Schema.Int, bytes: Schema.Int }),
  /** Threads by status. */
  runs: Schema.Array(Schema.Struct({ status: Schema.String, count: Schema.Int }))
})
export type StoreStats = typeof StoreStats.Type
