/**
 * How log entries become `workflow_runs`: a pure fold, used by every store when it appends and when
 * it rebuilds the table from the log alone (D1).
 *
 * Entries of source `workflow` carry the thread id as `refId`. The payload of the first one
 * (`queued`, `started` or `dropped`) is a `RunOpened`; of an end a `RunEnded`; of `crashed` a
 * `RunCrashed`; of `message` a `RoundRecorded`.
 */
import * as Schema from "effect/Schema"
import { RoleName, ThreadId, WorkflowName } from "./Ids.ts"
import type { LogEntry } from "./LogEntry.ts"
import { isActive, RoundCost, type RunStatus, type WorkflowRun } from "./Thread.ts"

/** Payload of `queued`, of `started`, and of a `dropped` that never was queued. */
export const RunOpened = Schema.Struct({
  workflow: WorkflowName,
  prompt: Schema.String,
  maxRounds: Schema.Int,
  dryRun: Schema.Boolean,
  /** What asked for it: a sense's name, or `manual`. */
  cause: Schema.String,
  /** Log id of the `launch` entry that it follows from, if a sense asked for it. */
  launch: Schema.optionalKey(Schema.Int),
  /** Of a `dropped` that never was queued: why. */
  reason: Schema.optionalKey(Schema.String)
})
export type RunOpened = typeof RunOpened.Type

/** Payload of `completed failed dropped interrupted killed`. */
export const RunEnded = Schema.Struct({
  exitCode: Schema.Int,
  reason: Schema.String
})
export type RunEnded = typeof RunEnded.Type

/** Payload of `crashed`: the worker died under the thread. The run goes on unless `final`. */
export const RunCrashed = Schema.Struct({
  reason: Schema.String,
  final: Schema.Boolean
})
export type RunCrashed = typeof RunCrashed.Type

/** Payload of `message`: one finished round. Its number is the entry's `round`. */
export const RoundRecorded = Schema.Struct({
  role: RoleName,
  content: Schema.String,
  meta: Schema.Json,
  ...RoundCost
})
export type RoundRecorded = typeof RoundRecorded.Type

const decodeOpened = Schema.decodeUnknownOption(RunOpened)
const decodeEnded = Schema.decodeUnknownOption(RunEnded)
const decodeCrashed = Schema.decodeUnknownOption(RunCrashed)

const opened = (entry: LogEntry, status: RunStatus): WorkflowRun | undefined => {
  const payload = decodeOpened(entry.payload)
  if (payload._tag === "None" || entry.refId === null) return undefined
  const { dryRun, maxRounds, prompt, reason, workflow } = payload.value
  return {
    threadId: ThreadId.make(entry.refId),
    workflow,
    status,
    exitCode: status === "dropped" ? 1 : null,
    reason: reason ?? "",
    prompt,
    maxRounds,
    dryRun,
    rounds: 0,
    crashes: 0,
    createdId: entry.id,
    createdAt: entry.timestamp,
    startedAt: status === "started" ? entry.timestamp : null,
    endedAt: status === "dropped" ? entry.timestamp : null
  }
}

const ended = (run: WorkflowRun, entry: LogEntry, status: RunStatus): WorkflowRun => {
  const payload = decodeEnded(entry.payload)
  if (payload._tag === "None") return run
  return { ...run, status, exitCode: payload.value.exitCode, reason: payload.value.reason, endedAt: entry.timestamp }
}

/**
 * The run after an entry. Total: an entry that does not concern a run, is malformed, or comes after
 * the run's end leaves it as it is.
 */
export const apply = (run: WorkflowRun | undefined, entry: LogEntry): WorkflowRun | undefined => {
  if (entry.source !== "workflow" || entry.refId === null) return run
  if (run === undefined) {
    switch (entry.type) {
      case "queued":
      case "started":
      case "dropped":
        return opened(entry, entry.type)
      default:
        return undefined
    }
  }
  if (!isActive(run.status)) return run
  switch (entry.type) {
    case "queued":
      return { ...run, status: "queued" }
    case "started":
      return { ...run, status: "started", startedAt: run.startedAt ?? entry.timestamp }
    case "message":
      return entry.round === null ? run : { ...run, rounds: Math.max(run.rounds, entry.round) }
    case "crashed": {
      const payload = decodeCrashed(entry.payload)
      if (payload._tag === "None") return run
      const crashed = { ...run, crashes: run.crashes + 1, reason: payload.value.reason }
      return payload.value.final ? { ...crashed, status: "crashed", exitCode: 255, endedAt: entry.timestamp } : crashed
    }
    case "completed":
    case "failed":
    case "dropped":
    case "interrupted":
    case "killed":
      return ended(run, entry, entry.type)
    default:
      return run
  }
}
