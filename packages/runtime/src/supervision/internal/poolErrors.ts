/**
 * Why a call to a pool failed, as its caller is told.
 */
import type { Failure } from "@nerve/core/supervision/PoolMachine"
import { Busy, type PoolError } from "../PoolError.ts"
import { CallTimeout, RespawnLimitReached, WorkerDied, type WorkerError, WorkerStopped } from "../WorkerError.ts"
import type { PoolMember } from "./poolMember.ts"

/** What there is to say about it beside the failure. */
export interface About {
  readonly pool: string
  readonly method: string
  /** Calls that wait. */
  readonly waiting: number
  /** Of the failure, while it is known. */
  readonly worker: PoolMember | undefined
}

/** What the pool decided. */
export const ofFailure = (failure: Failure, { method, pool, waiting, worker }: About): PoolError => {
  const key = worker?.name ?? pool
  switch (failure._tag) {
    case "QueueFull":
      return new Busy({ pool, reason: "queue-full", waiting, waitedMs: 0 })
    case "WaitedTooLong":
      return new Busy({ pool, reason: "waited", waiting, waitedMs: failure.waitedMs })
    case "TimedOut":
      return new CallTimeout({ key, method, timeoutMs: failure.timeoutMs })
    case "Died":
      return new WorkerDied({
        key,
        incarnation: failure.member,
        exit: { code: null, signal: null },
        stderrTail: worker?.info().stderrTail ?? ""
      })
    case "GivenUp":
      return new RespawnLimitReached({ key: pool, crashes: failure.crashes, lastFailure: failure.reason })
    case "Stopped":
      return new WorkerStopped({ key: pool })
  }
}

/** What a member said, whose own incarnation is always its first. */
export const ofWorker = (error: WorkerError, incarnation: number): PoolError => {
  switch (error._tag) {
    case "WorkerDied": {
      const { exit, key, reason, stderrTail } = error
      return new WorkerDied({ key, incarnation, exit, stderrTail, ...(reason !== undefined && { reason }) })
    }
    case "MailboxFull":
      // A member's table has no bound of its own: it is never full.
      return new WorkerStopped({ key: error.key })
    default:
      return error
  }
}
