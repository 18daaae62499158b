/**
 * A call that a pool has taken: what its member's table holds of it, and what the pool knows of it beside that. An
 * object with methods, because a pool makes one for each call.
 */
import type { Unread } from "../../internal/unread.ts"
import type { PendingCall, Settlement } from "../CallTable.ts"
import type { WorkerError } from "../WorkerError.ts"
import type { PoolCall } from "./poolClient.ts"
import type { PoolMember } from "./poolMember.ts"

/** What becomes of a call in the table of its member. */
export interface JobEvents {
  readonly settled: (job: PoolJob, frame: Settlement) => void
  readonly chunk: (job: PoolJob, values: ReadonlyArray<unknown>, characters: number) => void
  readonly failed: (job: PoolJob, error: WorkerError) => void
}

export class PoolJob implements PendingCall {
  /** Counts up over the whole pool. */
  readonly number: number
  readonly call: PoolCall
  readonly timeoutMs: number
  readonly #events: JobEvents
  readonly method: string
  readonly payload: unknown
  id: number | undefined = undefined
  /** Who it was given to. */
  member = 0
  worker: PoolMember | undefined = undefined
  /** Its caller has been told, or is gone. */
  over = false
  /** Of a stream: chunks that the reader has not taken, and when it last took one: from then on the worker is to move. */
  unread: Unread | undefined
  takenAt = 0

  constructor(number: number, call: PoolCall, timeoutMs: number, events: JobEvents) {
    this.number = number
    this.call = call
    this.timeoutMs = timeoutMs
    this.#events = events
    this.method = call.method
    this.payload = call.payload
  }

  settle(frame: Settlement): void {
    this.#events.settled(this, frame)
  }

  chunk(values: ReadonlyArray<unknown>, characters: number): void {
    this.#events.chunk(this, values, characters)
  }

  fail(error: WorkerError): void {
    this.#events.failed(this, error)
  }
}
