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
