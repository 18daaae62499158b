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
