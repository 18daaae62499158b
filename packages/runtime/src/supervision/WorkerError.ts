/**
 * What a call to a worker can fail with, besides its own typed errors. Each is named for what the
 * caller can do about it.
 */
import { format, WorkerExit } from "@nerve/core/domain/WorkerExit"
import * as Schema from "effect/Schema"

/** The worker died with the call in flight: it may or may not have been carried out. */
export class WorkerDied extends Schema.TaggedError<WorkerDied>()("WorkerDied", {
  key: Schema.String,
  incarnation: Schema.Int,
  exit: WorkerExit,
  stderrTail: Schema.String,
  /** Why, in words, as `WorkerExited` has it: `exit code 1`, `hung: no answer for 30002 ms`. Left out when not known yet. */
  reason: Schema.optionalKey(Schema.String)
}) {
  /** What V8 says before it aborts; the signal alone would say nothing to whoever wrote the code. */
  get why(): string {
    return this.stderrTail.includes("heap out of memory") ? ", out of heap memory" : ""
  }

  override get message(): string {
    const { exit, incarnation, key, reason, why } = this
    const how = format(exit)
    const cause = reason === undefined ? how : reason.includes(how) ? reason : `${reason} (${how})`
    return `worker ${key} (incarnation ${incarnation}) died with the call in flight: ${cause}${why}`
  }
}

/** The respawn policy gave the key up; `WorkerRuntime.reset` revives it. The call was not sent. */
export class RespawnLimitReached extends Schema.TaggedError<RespawnLimitReached>()("RespawnLimitReached", {
  key: Schema.String,
  crashes: Schema.Int,
  /** Why the last incarnation ended or did not start: `exit code 1 (stderr: Error: no such table)`. */
  lastFailure: Schema.String
}) {
  override get message(): string {
    const crashes = this.crashes === 1 ? "a crash" : `${this.crashes} crashes; the last one`
    return `worker ${this.key} was given up after ${crashes}: ${this.lastFailure}`
  }
}

/** The key was evicted, or the runtime shut down, before the call was answered. */
export class WorkerStopped extends Schema.TaggedError<WorkerStopped>()("WorkerStopped", {
  key: Schema.String
}) {
  override get message(): string {
    return `worker ${this.key} was stopped`
  }
}

/** More calls wait for this worker than its mailbox holds. The call was not sent: try later. */
export class MailboxFull extends Schema.TaggedError<MailboxFull>()("MailboxFull", {
  key: Schema.String,
  capacity: Schema.Int
}) {
  override get message(): string {
    return `the mailbox of worker ${this.key} is full (${this.capacity} calls)`
  }
}

/** No answer within the call's bound. The worker has been told to stop working on it. */
export class CallTimeout extends Schema.TaggedError<CallTimeout>()("CallTimeout", {
  key: Schema.String,
  method: Schema.String,
  timeoutMs: Schema.Finite
}) {
  override get message(): string {
    return `no answer from worker ${this.key} to ${this.method} within ${this.timeoutMs} ms`
  }
}

/** A payload or an answer did not fit its Schema, or the worker broke the protocol (S7). */
export class ProtocolViolation extends Schema.TaggedError<ProtocolViolation>()("ProtocolViolation", {
  key: Schema.String,
  method: Schema.String,
  detail: Schema.String,
  /** The payload is larger than a frame may be: nothing was sent, and trying again is of no use. */
  tooLarge: Schema.optionalKey(Schema.Boolean)
}) {
  override get message(): string {
    return `${this.method} of worker ${this.key}: ${this.detail}`
  }
}

export const WorkerError = Schema.Union([
  WorkerDied,
  RespawnLimitReached,
  WorkerStopped,
  MailboxFull,
  CallTimeout,
  ProtocolViolation
])
export type WorkerError = typeof WorkerError.Type
