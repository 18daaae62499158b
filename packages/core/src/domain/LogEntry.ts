/**
 * The log: one append-only sequence of everything that happened. It is data, never a trigger.
 *
 * Wire format: `LogEntry` is what the store keeps, what the control socket sends and what
 * `nerve logs --json` prints. Fields may be added, never renamed.
 */
import * as Schema from "effect/Schema"

/** Which part of nerve wrote the entry. */
export const LogSource = Schema.Literals(["sense", "workflow", "worker", "kernel"])
export type LogSource = typeof LogSource.Type

/**
 * What happened. For source `sense`: `signal launch error timeout killed interrupted broken reloaded recovered`.
 * For `workflow`: the run statuses, `message` (one finished round), `waiting paused resumed retried`
 * and `round-failed` (a round that is tried again). For `worker`: `started exited
 * respawn given-up output violation`. For `kernel`: `started draining stopped reloaded refused`.
 */
export const LogType = Schema.NonEmptyString
export type LogType = typeof LogType.Type

/** An entry as its writer hands it over; the store adds id and time. */
export const LogInput = Schema.Struct({
  source: LogSource,
  type: LogType,
  /** What the entry is about: a sense name, a thread id, a worker key. */
  refId: Schema.NullOr(Schema.String),
  payload: Schema.Json,
  /**
   * Round number of a `message` entry, from 1. (refId, round) is unique: appending the same round
   * again returns the entry that is there, so that a round is recorded once.
   */
  round: Schema.optionalKey(Schema.Int)
})
export type LogInput = typeof LogInput.Type

/** One entry of the log. */
export const LogEntry = Schema.Struct({
  /** Ever-increasing and never reused, also across restarts. A signal's id is its entry's id. */
  id: Schema.Int,
  source: LogSource,
  type: LogType,
  refId: Schema.NullOr(Schema.String),
  payload: Schema.Json,
  round: Schema.NullOr(Schema.Int),
  /** Milliseconds since the Unix epoch. Not unique. */
  timestamp: Schema.Int
})
export type LogEntry = typeof LogEntry.Type

/** Which entries a query or a live tail asks for; every absent field matches all. */
export const LogQuery = Schema.Struct({
  source: Schema.optionalKey(LogSource),
  type: Schema.optionalKey(LogType),
  refId: Schema.optionalKey(Schema.String),
  /** Milliseconds since the Unix epoch, inclusive. */
  since: Schema.optionalKey(Schema.Int),
  /** Milliseconds since the Unix epoch, exclusive. */
  until: Schema.optionalKey(Schema.Int),
  /** Cursor: only entries with an id greater than this (`asc`) or less than this (`desc`). */
  cursor: Schema.optionalKey(Schema.Int),
  /** At most this many entries; 100 unless told. */
  limit: Schema.optionalKey(Schema.Int),
  /** `asc` (oldest first) unless told. */
  order: Schema.optionalKey(Schema.Literals(["asc", "desc"])),
  /**
   * False: only what the database holds, which is quick however much is archived. That is all that is not archived
   * yet, and of what is, the entries of threads that have not ended and those about a workflow as a whole.
   */
  archived: Schema.optionalKey(Schema.Boolean)
})
export type LogQuery = typeof LogQuery.Type

/** Whether an entry matches a query, its cursor, limit and order aside. Pure. */
export const matches = (query: LogQuery, entry: LogEntry): boolean =>
  (query.source === undefined || query.source === entry.source) &&
  (query.type === undefined || query.type === entry.type) &&
  (query.refId === undefined || query.refId === entry.refId) &&
  (query.since === undefined || entry.timestamp >= query.since) &&
  (query.until === undefined || entry.timestamp < query.until)
