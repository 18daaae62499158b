/**
 * How log entries become `workflow_runs`: a pure fold, used by every store when it appends and when
 * it rebuilds the table from the log alone (D1).
 *
 * Entries of source `workflow` carry the thread id as `refId`. The payload of the first one
 * (`queued`, `started` or `dropped`) is a `RunOpened`; of an end a `RunEnded`; of `crashed` a
 * `RunCrashed`; of `message` a `RoundRecorded`; of `waiting` a `WaitRecorded`; of `paused` a
 * `PauseRecorded`; of `resumed` a `ResumeRecorded`; of `retried` a `RetryRecorded`.
 *
 * An end is final but for `retried`, which opens the run again. The `message` of the round that a
 * thread waits for ends the wait.
 */
import * as Schema from "effect/Schema"
import { RoleName, ThreadId, WorkflowName } from "./Ids.ts"
import type { LogEntry } from "./LogEntry.ts"
import {
  ForkOrigin,
  isActive,
  isRetryable,
  MaxRounds,
  PauseCause,
  Priority,
  RoundCost,
  type RunStatus,
  ThreadKey,
  Wait,
  type WorkflowRun
} from "./Thread.ts"

/** Payload of `queued`, of `started`, and of a `dropped` that never was queued. */
export const RunOpened = Schema.Struct({
  workflow: WorkflowName,
  prompt: Schema.String,
  maxRounds: Schema.Int,
  dryRun: Schema.Boolean,
  /** What asked for it: a sense's name, `manual`, or `thread:ID` for a child. */
  cause: Schema.String,
  /** Asking again with the same key yields the same thread. */
  key: Schema.optionalKey(ThreadKey),
  /** Higher goes first; 0 unless told. */
  priority: Schema.optionalKey(Priority),
  /** The thread that waits for it. */
  parent: Schema.optionalKey(ThreadId),
  /** Where it was forked from. */
  origin: Schema.optionalKey(ForkOrigin),
  /** Log id of the `launch` entry that it follows from, if a sense asked for it. */
  launch: Schema.optionalKey(Schema.Int),
  /** The thread had a slot before: it goes on. */
  again: Schema.optionalKey(Schema.Boolean),
  /** Of a `dropped` that never was queued: why. */
  reason: Schema.optionalKey(Schema.String)
})
export type RunOpened = typeof RunOpened.Type

/** Payload of `completed failed dropped interrupted killed`. */
export const RunEnded = Schema.Struct({
  exitCode: Schema.Int,
  reason: Schema.String,
  /** Of a `failed`: what the round that failed had taken. */
  ...RoundCost
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
  /** Version of the code that it ran on. */
  version: Schema.optionalKey(Schema.String),
  ...RoundCost
})
export type RoundRecorded = typeof RoundRecorded.Type

/** Payload of `waiting`: the thread gives its slot up until its round `round` is answered. */
export const WaitRecorded = Schema.Struct({
  round: Schema.Int,
  role: RoleName,
  wait: Wait,
  version: Schema.optionalKey(Schema.String)
})
export type WaitRecorded = typeof WaitRecorded.Type

/** Payload of `paused`. */
export const PauseRecorded = Schema.Struct({
  by: PauseCause,
  reason: Schema.String,
  /** Rounds recorded by then. By `budget`: what they took counts no more once it goes on. */
  rounds: Schema.optionalKey(Schema.Int),
  /** By `failure`: what the round that failed had taken. */
  ...RoundCost
})
export type PauseRecorded = typeof PauseRecorded.Type

/** Payload of `resumed`. */
export const ResumeRecorded = Schema.Struct({
  /** It goes on with the code of now, whatever it began with. */
  newCode: Schema.Boolean,
  reason: Schema.String
})
export type ResumeRecorded = typeof ResumeRecorded.Type

/** Payload of `retried`: a run that has ended is taken up again after its last round, on the code of now. */
export const RetryRecorded = Schema.Struct({
  maxRounds: MaxRounds,
  reason: Schema.String
})
export type RetryRecorded = typeof RetryRecorded.Type

const decodeOpened = Schema.decodeUnknownOption(RunOpened)
const decodeEnded = Schema.decodeUnknownOption(RunEnded)
const decodeCrashed = Schema.decodeUnknownOption(RunCrashed)
const decodeRound = Schema.decodeUnknownOption(RoundRecorded)
const decodeWait = Schema.decodeUnknownOption(WaitRecorded)
const decodePause = Schema.decodeUnknownOption(PauseRecorded)
const decodeResume = Schema.decodeUnknownOption(ResumeRecorded)
const decodeRetry = Schema.decodeUnknownOption(RetryRecorded)

const opened = (entry: LogEntry, status: RunStatus): WorkflowRun | undefined => {
  const payload = decodeOpened(entry.payload)
  if (payload._tag === "None" || entry.refId === null) return undefined
  const { dryRun, key, maxRounds, origin, parent, priority, prompt, reason, workflow } = payload.value
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
    endedAt: status === "dropped" ? entry.timestamp : null,
    phase: null,
    wait: null,
    paused: null,
    version: null,
    key: key ?? null,
    priority: priority ?? 0,
    parent: parent ?? null,
    origin: origin ?? null,
    place: status === "queued" ? { id: entry.id, returning: false } : null
  }
}

/** The phase follows from the wait and the pause. */
const phased = (run: WorkflowRun): WorkflowRun => ({
  ...run,
  phase: run.paused !== null ? "paused" : run.wait !== null ? "waiting" : null
})

const spoken = (run: WorkflowRun, entry: LogEntry): WorkflowRun => {
  if (entry.round === null) return run
  const rounds = Math.max(run.rounds, entry.round)
  const recorded = decodeRound(entry.payload)
  const version = run.version ?? (recorded._tag === "None" ? null : (recorded.value.version ?? null))
  const answered = run.wait !== null && run.wait.round <= entry.round
  return answered ? phased({ ...run, rounds, version, wait: null }) : { ...run, rounds, version }
}

/** A round that was finished while its thread was being ended: it is there, should the thread be retried. */
const spokenLate = (run: WorkflowRun, { round }: LogEntry): WorkflowRun =>
  round === null || round <= run.rounds ? run : { ...run, rounds: round }

const waits = (run: WorkflowRun, entry: LogEntry): WorkflowRun => {
  const payload = decodeWait(entry.payload)
  if (payload._tag === "None") return run
  const { role, round, version, wait } = payload.value
  return phased({
    ...run,
    version: run.version ?? version ?? null,
    wait: { round, role, wait, since: entry.timestamp }
  })
}

const paused = (run: WorkflowRun, entry: LogEntry): WorkflowRun => {
  const payload = decodePause(entry.payload)
  if (payload._tag === "None") return run
  const { by, reason } = payload.value
  return phased({ ...run, paused: { by, reason, since: entry.timestamp } })
}

const resumed = (run: WorkflowRun, entry: LogEntry): WorkflowRun => {
  const payload = decodeResume(entry.payload)
  if (payload._tag === "None") return run
  return phased({ ...run, paused: null, version: payload.value.newCode ? null : run.version })
}

const retried = (run: WorkflowRun, entry: LogEntry): WorkflowRun => {
  const payload = decodeRetry(entry.payload)
  if (payload._tag === "None" || !isRetryable(run.status)) return run
  const { maxRounds } = payload.value
  return { ...run, status: "queued", exitCode: null, reason: "", endedAt: null, maxRounds, version: null }
}

/** What an end leaves of where an active run was. */
const still = { phase: null, wait: null, paused: null, place: null } as const

const ended = (run: WorkflowRun, entry: LogEntry, status: RunStatus): WorkflowRun => {
  const payload = decodeEnded(entry.payload)
  if (payload._tag === "None") return run
  const { exitCode, reason } = payload.value
  return { ...run, ...still, status, exitCode, reason, endedAt: entry.timestamp }
}

/**
 * The run after an entry. Total: an entry that does not concern a run, is malformed, or comes after
 * the run's end leaves it as it is, but for a round that was finished meanwhile, which is counted.
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
  if (entry.type === "retried") return retried(run, entry)
  if (!isActive(run.status)) return entry.type === "message" ? spokenLate(run, entry) : run
  switch (entry.type) {
    case "queued":
      return { ...run, status: "queued", place: { id: entry.id, returning: true } }
    case "started":
      return { ...run, status: "started", startedAt: run.startedAt ?? entry.timestamp, place: null }
    case "message":
      return spoken(run, entry)
    case "waiting":
      return waits(run, entry)
    case "paused":
      return paused(run, entry)
    case "resumed":
      return resumed(run, entry)
    case "crashed": {
      const payload = decodeCrashed(entry.payload)
      if (payload._tag === "None") return run
      const crashed = { ...run, crashes: run.crashes + 1, reason: payload.value.reason }
      return payload.value.final
        ? { ...crashed, ...still, status: "crashed", exitCode: 255, endedAt: entry.timestamp }
        : crashed
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
