/**
 * Events of workers as log lines: `WorkerRuntime.make({ …, onEvent: WorkerLog.log })`, and the same for a pool. Without
 * an `onEvent` what a worker prints, logs and dies of is to be seen in `events` and `info` alone.
 *
 * What a worker logs keeps its level and its fields; each line is annotated with `worker` and `incarnation`.
 */
import * as Effect from "effect/Effect"
import type * as LogLevel from "effect/LogLevel"
import type * as Schema from "effect/Schema"
import type { PoolEvent } from "./PoolEvent.ts"
import type { WorkerEvent } from "./WorkerEvent.ts"

/** An event as a log line. */
export interface Line {
  readonly level: LogLevel.Severity
  readonly message: string
  /** What it is annotated with. */
  readonly fields: { readonly [name: string]: unknown }
}

/** Logs an event, at the level that it is worth. */
export const log = (event: WorkerEvent<string> | PoolEvent): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { fields, level, message } = lineOf(event)
    return Effect.annotateLogs(Effect.logWithLevel(level)(message), fields)
  })

/** The line that an event is worth. */
export const lineOf = (event: WorkerEvent<string> | PoolEvent): Line => {
  switch (event._tag) {
    case "WorkerStarting":
      return line("Debug", "worker starts", event, {})
    case "WorkerReady":
      return line("Info", "worker is ready", event, {
        pid: event.pid,
        ...(event.info === null ? {} : { info: event.info })
      })
    case "WorkerExited": {
      const { cause, expected, reason, uptimeMs } = event
      return expected
        ? line("Info", "worker stopped", event, { reason, uptimeMs })
        : line("Error", "worker died", event, { reason, cause, uptimeMs })
    }
    case "WorkerHung":
      return line("Warn", "worker is hung", event, { silentMs: event.silentMs })
    case "MemoryLimitPassed":
      return line("Warn", "worker passed its memory limit", event, { limit: event.limit, bytes: event.bytes })
    case "RespawnScheduled":
      return line("Info", "worker starts again", event, { delayMs: event.delayMs, crashes: event.crashes })
    case "WorkerGivenUp":
      return line("Error", "worker given up", event, { crashes: event.crashes, reason: event.reason })
    case "WorkerOutput":
      return outputLine(event)
    case "ProtocolViolated":
      return line("Warn", "worker broke the protocol", event, { detail: event.detail })
    case "WorkerRecycling":
      return line("Info", "worker is replaced", event, { reason: event.reason, successor: event.successor })
    case "RecycleAbandoned":
      return line("Error", "worker could not be replaced", event, { crashes: event.crashes, reason: event.reason })
    case "CallTimedOut":
      return line("Warn", "call ran out of time", event, { method: event.method, timeoutMs: event.timeoutMs })
    case "PoolResized":
      return { level: "Info", message: "pool resized", fields: { size: event.size } }
  }
}

const line = (
  level: LogLevel.Severity,
  message: string,
  event: { readonly key: string | number; readonly incarnation?: number },
  fields: Line["fields"]
): Line => ({
  level,
  message,
  fields: {
    ...fields,
    worker: event.key,
    ...(event.incarnation === undefined ? {} : { incarnation: event.incarnation })
  }
})

/** Whose line it is, and of which stream, is not the worker's to say: its fields of those names are left out. */
const outputLine = (event: Extract<PoolEvent | WorkerEvent<string>, { readonly _tag: "WorkerOutput" }>): Line => {
  const { level, ...fields } = event.fields ?? {}
  return line(severityOf(level), event.line, event, { ...fields, stream: event.stream })
}

/** Workers in other languages may name levels as they like: what is not known is `Info`. */
const severityOf = (level: Schema.Json | undefined): LogLevel.Severity => {
  switch (typeof level === "string" ? level.toUpperCase() : undefined) {
    case "TRACE":
      return "Trace"
    case "DEBUG":
      return "Debug"
    case "WARN":
    case "WARNING":
      return "Warn"
    case "ERROR":
      return "Error"
    case "FATAL":
      return "Fatal"
    default:
      return "Info"
  }
}
