/**
 * The calls that a pool has taken, from `submit` to their end: where each is, and who is told what became of it. Where
 * a call goes and how long it may take is decided elsewhere; this carries it there and reports back.
 */
import type { Failure } from "@nerve/core/supervision/PoolMachine"
import { IdMap } from "../../internal/idMap.ts"
import { tooFarAhead, Unread } from "../../internal/unread.ts"
import type { Settlement } from "../CallTable.ts"
import type { PoolError } from "../PoolError.ts"
import type { PoolEvent } from "../PoolEvent.ts"
import { ProtocolViolation, type WorkerError } from "../WorkerError.ts"
import type { PoolCall, PoolTarget } from "./poolClient.ts"
import type { PoolEngine } from "./poolEngine.ts"
import * as poolErrors from "./poolErrors.ts"
import { type JobEvents, PoolJob } from "./poolJob.ts"
import type { PoolMetrics } from "./poolMetrics.ts"
import type { PoolMember } from "./poolMember.ts"
import type { Bounds } from "./poolSettings.ts"

export interface Options {
  readonly name: string
  readonly bounds: Bounds
  readonly engine: PoolEngine
  readonly members: ReadonlyMap<number, PoolMember>
  readonly metrics: PoolMetrics
  readonly emitUnsafe: (event: PoolEvent) => void
}

export class PoolCalls implements PoolTarget<PoolJob>, JobEvents {
  readonly name: string
  readonly #bounds: Bounds
  readonly #engine: PoolEngine
  readonly #members: ReadonlyMap<number, PoolMember>
  readonly #metrics: PoolMetrics
  readonly #emitUnsafe: (event: PoolEvent) => void
  readonly #jobs = new IdMap<PoolJob>()
  #nextNumber = 1

  constructor(options: Options) {
    this.name = options.name
    this.#bounds = options.bounds
    this.#engine = options.engine
    this.#members = options.members
    this.#metrics = options.metrics
    this.#emitUnsafe = options.emitUnsafe
  }

  // --- what callers do ---------------------------------------------------------------------------

  submit(call: PoolCall): PoolJob {
    const number = this.#nextNumber++
    const timeoutMs = call.options?.timeoutMs ?? this.#bounds.execMs
    const waitMs = call.options?.waitMs ?? this.#bounds.waitMs
    const job = new PoolJob(number, call, timeoutMs, this)
    this.#jobs.add(number, job)
    this.#engine.step({ _tag: "Submitted", call: number, timeoutMs, waitMs })
    return job
  }

  cancel(job: PoolJob): void {
    if (job.over) return
    job.over = true
    if (job.worker === undefined) this.#jobs.delete(job.number)
    this.#engine.step({ _tag: "Cancelled", call: job.number })
  }

  acknowledge(job: PoolJob): void {
    job.unread?.take()
    job.takenAt = this.#engine.now()
    job.worker?.acknowledge(job)
  }

  // --- what was decided --------------------------------------------------------------------------

  dispatch(call: number, member: number, waitedMs: number): void {
    this.#metrics.waited(waitedMs)
    const job = this.#jobs.get(call)
    const worker = this.#members.get(member)
    if (job === undefined || worker === undefined) return
    job.member = member
    job.worker = worker
    worker.submit(job)
  }

  sendCancel(call: number, member: number): void {
    const job = this.#jobs.get(call)
    const worker = this.#members.get(member)
    if (job?.worker === undefined || worker === undefined) return
    if (!worker.takeBack(job)) return worker.cancel(job)
    this.#jobs.delete(call)
    this.#engine.step({ _tag: "Ended", call, member })
  }

  fail(call: number, failure: Failure): void {
    const job = this.#jobs.get(call)
    if (job === undefined) return
    // What is in a member's table is removed from there when its answer comes, or its member dies.
    if (job.worker === undefined) this.#jobs.delete(call)
    const worker = "member" in failure ? this.#members.get(failure.member) : undefined
    const { method } = job
    if (failure._tag === "TimedOut") {
      const { member: incarnation, timeoutMs } = failure
      this.#emitUnsafe({ _tag: "CallTimedOut", key: worker?.slot ?? 0, incarnation, method, timeoutMs })
    }
    if (failure._tag === "QueueFull") this.#metrics.busy("queue-full")
    if (failure._tag === "WaitedTooLong") this.#metrics.busy("waited")
    const waiting = this.#engine.state.queue.size
    end(job, poolErrors.ofFailure(failure, { pool: this.name, method, waiting, worker }))
  }

  /** A stream's bound runs only while its worker is the one to move. */
  extendStreams(now: number): void {
    for (const job of this.#jobs.values()) {
      if (!job.call.streaming || job.worker === undefined) continue
      const deadline = (job.unread !== undefined && job.unread.count > 0 ? now : job.takenAt) + job.timeoutMs
      if (deadline > now && deadline !== Infinity) this.#engine.step({ _tag: "Extended", call: job.number, deadline })
    }
  }

  // --- what workers do ---------------------------------------------------------------------------

  settled(job: PoolJob, frame: Settlement): void {
    const worker = job.worker?.name ?? this.name
    this.#ended(job)
    if (job.over) return
    job.over = true
    job.call.settle(frame, worker)
  }

  chunk(job: PoolJob, values: ReadonlyArray<unknown>, characters: number): void {
    const worker = job.worker?.name ?? this.name
    job.unread ??= new Unread()
    const mayCome = job.unread.add(characters)
    if (job.over) return
    if (mayCome) return job.call.chunk(values, worker)
    end(job, new ProtocolViolation({ key: worker, method: job.method, detail: tooFarAhead }))
    this.#engine.step({ _tag: "Cancelled", call: job.number })
  }

  failed(job: PoolJob, error: WorkerError): void {
    const { member } = job
    const returns = job.id === undefined && error._tag !== "ProtocolViolation" && !job.over
    if (error._tag === "WorkerDied" || returns) this.#engine.step({ _tag: "Lost", member })
    // It has not left for this worker, so it may go to another.
    if (returns) return this.#giveBack(job)
    this.#ended(job)
    end(job, poolErrors.ofWorker(error, member))
  }

  /** Nothing reaches this member any more: what has not left for it goes elsewhere. */
  lost(member: number): void {
    this.#engine.step({ _tag: "Lost", member })
    for (const job of this.#jobs.values()) {
      if (job.member !== member || job.worker === undefined || job.over) continue
      if (job.worker.takeBack(job)) this.#giveBack(job)
    }
  }

  #ended(job: PoolJob): void {
    this.#jobs.delete(job.number)
    this.#engine.step({ _tag: "Ended", call: job.number, member: job.member })
  }

  #giveBack(job: PoolJob): void {
    job.worker = undefined
    job.id = undefined
    this.#engine.step({ _tag: "Returned", call: job.number })
  }
}

/** Tells the caller, once. */
const end = (job: PoolJob, error: PoolError): void => {
  if (job.over) return
  job.over = true
  job.call.fail(error)
}
