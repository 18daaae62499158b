/**
 * What a call to a pool can fail with, besides its own typed errors.
 */
import * as Schema from "effect/Schema"
import { CallTimeout, ProtocolViolation, RespawnLimitReached, WorkerDied, WorkerStopped } from "./WorkerError.ts"

/** The pool had no room for the call. It was not sent to any worker: try later, or elsewhere. */
export class Busy extends Schema.TaggedError<Busy>()("Busy", {
  pool: Schema.String,
  /** `queue-full`: as many calls wait as may. `waited`: its bound on waiting has passed. */
  reason: Schema.Literals(["queue-full", "waited"]),
  /** Calls that waited besides this one. */
  waiting: Schema.Int,
  /** Milliseconds; 0 for one that was turned away at once. */
  waitedMs: Schema.Finite
}) {
  override get message(): string {
    return this.reason === "queue-full"
      ? `pool ${this.pool} is busy: ${this.waiting} calls wait for a worker`
      : `pool ${this.pool} is busy: no worker was free within ${this.waitedMs} ms`
  }
}

/**
 * - `Busy`, `RespawnLimitReached` (every worker was given up) and `WorkerStopped` (the pool is shut
 *   down): the call did not run, unless `WorkerStopped` cut it off.
 * - `WorkerDied`, `CallTimeout`: it may or may not have been carried out, and is not run again.
 * - `ProtocolViolation`: payload or answer does not fit its Schema.
 */
export const PoolError = Schema.Union([
  Busy,
  WorkerDied,
  CallTimeout,
  ProtocolViolation,
  RespawnLimitReached,
  WorkerStopped
])
export type PoolError = typeof PoolError.Type
