/**
 * A tick: one occasion on which a sense computed, or could have. What is kept of it for whoever asks
 * later why a sense did, or did not, say something.
 *
 * Wire format: `nerve sense ticks --json` prints these. Fields may be added, never renamed.
 */
import * as Schema from "effect/Schema"
import { SenseName } from "./Ids.ts"

/** What a tick came to. */
export const TickOutcome = Schema.Literals([
  /** A signal. */
  "signal",
  /** The compute ended well and had nothing to say. */
  "no-signal",
  /** The same, and the author said why. */
  "skipped",
  /** The compute failed. */
  "error",
  /** It gave way when its timeout had passed. */
  "timeout",
  /** It did not, and its worker was killed. */
  "killed",
  /** Its worker went away under it; it is computed again. */
  "interrupted",
  /** It came while the throttle held another one back, and became one with that. */
  "throttled",
  /** It came while another was pending, and became one with that. */
  "collapsed",
  /** It could not start in time, and `catch_up` is `skip`. */
  "missed"
])
export type TickOutcome = typeof TickOutcome.Type

/** A line that the compute logged. */
export const TickLine = Schema.Struct({
  level: Schema.String,
  message: Schema.String,
  fields: Schema.Record(Schema.String, Schema.Json)
})
export type TickLine = typeof TickLine.Type

export const Tick = Schema.Struct({
  /** Grows from tick to tick, over all senses. */
  id: Schema.Int,
  sense: SenseName,
  /** `interval`, `cron`, `on:SENSE`, `manual`, `reload`, or `restart` after its worker died. */
  cause: Schema.String,
  outcome: TickOutcome,
  /** When it was due, in milliseconds since the Unix epoch. */
  dueAt: Schema.Finite,
  /** When its compute started; null when there was none. */
  startedAt: Schema.NullOr(Schema.Finite),
  /** How long that took, in milliseconds; null when there was none. */
  durationMs: Schema.NullOr(Schema.Finite),
  /** How many ticks this one stands for: those that were dropped in one stretch are told as one. */
  count: Schema.Int,
  /** Why it was skipped, what went wrong, or why it was interrupted; null when there is nothing to say. */
  detail: Schema.NullOr(Schema.String),
  /** Id of the signal's log entry; null without one. */
  signal: Schema.NullOr(Schema.Int),
  /** Threads that were launched with the signal. */
  threads: Schema.Array(Schema.String),
  /** What the compute logged, up to a bound. */
  lines: Schema.Array(TickLine),
  /** Lines beyond that bound. */
  linesLeftOut: Schema.Int
})
export type Tick = typeof Tick.Type

/** A tick before it is recorded. */
export type TickInput = Omit<Tick, "id">

/** Which ticks of a sense to list, newest first. */
export const TickQuery = Schema.Struct({
  sense: Schema.String,
  outcome: Schema.optionalKey(TickOutcome),
  /** Only ticks older than the one with this id. */
  before: Schema.optionalKey(Schema.Int),
  limit: Schema.optionalKey(Schema.Int)
})
export type TickQuery = typeof TickQuery.Type
