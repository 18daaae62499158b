/**
 * How what happens to senses and workers reads as log entries. Pure; `Kernel` appends them.
 *
 * Wire format: `nerve logs --json` prints these payloads. Fields may be added, never renamed.
 */
import type { ConfigProblem } from "@nerve/core/config/ConfigProblem"
import type { LogInput } from "@nerve/core/domain/LogEntry"
import { causeText } from "@nerve/core/sense/SenseSchedule"
import type { Launch } from "@nerve/core/wire/SenseRpcs"
import type * as Schema from "effect/Schema"
import type { SenseEvent } from "../sense/SenseEvent.ts"
import type { WorkerEvent } from "../supervision/WorkerEvent.ts"

const sense = (refId: string, type: string, payload: Schema.Json): LogInput => ({
  source: "sense",
  type,
  refId,
  payload
})

const worker = (refId: string, type: string, payload: Schema.Json): LogInput => ({
  source: "worker",
  type,
  refId,
  payload
})

export const kernel = (type: string, payload: Schema.Json): LogInput => ({
  source: "kernel",
  type,
  refId: null,
  payload
})

/** Another configuration is in force. `changes` in words; none: what was refused before is right again. */
export const configReloaded = (changes: ReadonlyArray<string>, restart: ReadonlyArray<string>): LogInput => {
  const more = restart.length === 0 ? "" : ` (${restart.join(", ")}: from the next start of the daemon on)`
  const reason = changes.length === 0 ? "nerve.yaml says again what runs" : `${changes.join("; ")}${more}`
  return kernel("reloaded", { reason, changes, restart })
}

/** nerve.yaml cannot be used; the configuration before it runs on. */
export const configRefused = (message: string, problems: ReadonlyArray<ConfigProblem>): LogInput =>
  kernel("refused", {
    reason: `${message}; the configuration before it runs on`,
    problems: problems.map((problem) => ({ ...problem }))
  })

/** A workflow's code has changed; `on_change` says what becomes of its threads. */
export const workflowChanged = (workflow: string, files: ReadonlyArray<string>): LogInput =>
  kernel("reloaded", { reason: `workflow ${workflow}: ${files.join(", ")} changed`, workflow, files })

const launched = (name: string, launch: Launch): LogInput => sense(name, "launch", { ...launch })

/** The entries that a sense's event is worth: none for a compute that had nothing to say (S6). */
export const ofSense = (event: SenseEvent): ReadonlyArray<LogInput> => {
  switch (event._tag) {
    case "SignalEmitted": {
      const { cause, durationMs, group, key, launches, value } = event
      const named = key === undefined ? {} : { key }
      return [
        sense(event.sense, "signal", { value, cause: causeText(cause), durationMs, group, ...named }),
        ...launches.map((launch) => launched(event.sense, launch))
      ]
    }
    case "ComputeEnded":
      return []
    case "ComputeFailed":
      return [
        sense(event.sense, "error", { message: event.message, stack: event.stack, cause: causeText(event.cause) })
      ]
    case "ComputeTimedOut":
      return [
        sense(event.sense, "timeout", {
          message: `compute ran longer than ${event.timeoutMs} ms and was aborted`,
          timeoutMs: event.timeoutMs,
          cause: causeText(event.cause)
        })
      ]
    case "ComputeKilled":
      return [
        sense(event.sense, "killed", {
          message: `compute did not give way within ${event.boundMs} ms; its worker was killed`,
          boundMs: event.boundMs,
          others: event.others,
          cause: causeText(event.cause)
        })
      ]
    case "ComputeInterrupted":
      return [sense(event.sense, "interrupted", { reason: event.reason, cause: causeText(event.cause) })]
    case "SenseBroken":
      return [sense(event.sense, "broken", { ...event.problem, group: event.group })]
    case "SenseReloaded":
      return [
        sense(event.sense, "reloaded", {
          reason: `${event.files.join(", ")} changed`,
          files: event.files,
          group: event.group
        })
      ]
    case "SenseRecovered":
      return [sense(event.sense, "recovered", { reason: "it loads again", group: event.group })]
    case "Worker":
      return ofWorker("sense", event.event)
  }
}

/** The entry that a worker's event is worth. The key reads `sense:GROUP` or `workflow:NAME`. */
export const ofWorker = (kind: "sense" | "workflow", event: WorkerEvent<string>): ReadonlyArray<LogInput> => {
  const key = `${kind}:${event.key}`
  switch (event._tag) {
    case "WorkerStarting":
    // Its exit follows, with the reason.
    case "WorkerHung":
    case "MemoryLimitPassed":
      return []
    case "WorkerReady":
      return [worker(key, "started", { pid: event.pid, incarnation: event.incarnation })]
    case "WorkerExited": {
      const { exit, expected, incarnation, pid, reason, stderrTail, uptimeMs } = event
      return [worker(key, "exited", { pid, incarnation, reason, expected, ...exit, uptimeMs, stderrTail })]
    }
    case "RespawnScheduled":
      return event.delayMs === 0 ? [] : [worker(key, "respawn", { delayMs: event.delayMs, crashes: event.crashes })]
    case "WorkerGivenUp":
      return [worker(key, "given-up", { reason: event.reason, crashes: event.crashes })]
    case "WorkerOutput": {
      const { fields, line, stream } = event
      return [worker(key, "output", { stream, line: cut(line, maxLine), fields: fields && bounded(fields) })]
    }
    case "ProtocolViolated":
      return [worker(key, "violation", { detail: event.detail, incarnation: event.incarnation })]
  }
}

/** The launch that a sense asked for in entry `id`, and that did not come about. */
export const launchFailed = (name: string, launch: Launch, id: number, why: string): LogInput => {
  const message = `launch of ${launch.workflow} failed: ${why}`
  return sense(name, "error", { message, stack: null, cause: "launch", launch: id })
}

// --- a line of output is no place for a file: `EventLog` limits how many there are, this how long they are

const maxLine = 16_384
const maxField = 2_048
const maxFields = 32

const cut = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length)}…` : text)

/** The fields as they are, but for the large ones, of which the beginning is kept, and those beyond the first few. */
const bounded = ({ level = null, ...fields }: { readonly [key: string]: Schema.Json }): Schema.Json => ({
  ...Object.fromEntries(
    Object.entries(fields)
      .slice(0, maxFields)
      .map(([name, value]) => {
        const text = JSON.stringify(value)
        return [cut(name, maxField), text.length > maxField ? cut(text, maxField) : value]
      })
  ),
  level
})
