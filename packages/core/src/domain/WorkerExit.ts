/**
 * How a worker's process ended.
 */
import * as Schema from "effect/Schema"

/** Exit of one incarnation. Exactly one of `code` and `signal` is set, as the system reported it. */
export const WorkerExit = Schema.Struct({
  code: Schema.NullOr(Schema.Int),
  /** Such as `SIGKILL`. */
  signal: Schema.NullOr(Schema.String)
})
export type WorkerExit = typeof WorkerExit.Type

/** `exit code 1`, `SIGKILL`. */
export const format = (exit: WorkerExit): string => exit.signal ?? `exit code ${exit.code ?? "unknown"}`

/** Characters of a complaint: it is a part of a line. */
const maxComplaint = 300

/**
 * The last line of what a process wrote to stderr that names an error, such as `TypeError: x is not a function`; null if
 * none does. Lines that belong to another (frames, causes) are indented, in JavaScript and Python alike.
 */
export const complaintOf = (stderr: string): string | null => {
  const line = stderr.split("\n").findLast((text) => /^[\w.]*(?:Error|Exception)\b[^:]*: ./.test(text))
  if (line === undefined) return null
  return line.length > maxComplaint ? `${line.slice(0, maxComplaint)}…` : line
}

/**
 * Why it ended, in words: `SIGKILL`, `exit code 0`, and where it said what was wrong,
 * `exit code 1 (stderr: Error: no such table)`.
 */
export const explain = (exit: WorkerExit, stderr: string): string => {
  const complaint = exit.code === null || exit.code === 0 ? null : complaintOf(stderr)
  return complaint === null ? format(exit) : `${format(exit)} (stderr: ${complaint})`
}

/**
 * What ended an incarnation. `asked`: an evict, a drain, a shutdown; `exited`: it ended by itself, by whatever code
 * or signal; `not-started`: there never was a process; `not-ready`: it did not get ready in time; `protocol`: it
 * broke the protocol; `hung`: it did not answer the heartbeat; `memory`: it passed its hard limit; `killed`:
 * somebody said kill.
 */
export const ExitCause = Schema.Literals([
  "asked",
  "exited",
  "not-started",
  "not-ready",
  "protocol",
  "hung",
  "memory",
  "killed"
])
export type ExitCause = typeof ExitCause.Type
