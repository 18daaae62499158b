/**
 * A pool of interchangeable workers: calls go to an idle one, wait in one bounded queue when there is
 * none, and are bounded in time by killing whoever does not answer. Workers are replaced by number of
 * calls, age and memory, and on `reload`, without a call noticing.
 *
 * What happens is decided by `PoolMachine`, purely; this is the shell that carries it out. Inputs are
 * handled one after the other, synchronously, wherever they come from: a call is dispatched within the
 * call of its method, without a fiber. What takes time (a boot, a stop, the policy's answer) runs in
 * fibers of its own and reports back as an input. The pool alone restarts its workers.
 */
import * as PoolMachine from "@nerve/core/supervision/PoolMachine"
import * as PoolState from "@nerve/core/supervision/PoolState"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Frame from "@nerve/core/wire/Frame"
import type * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { IdMap } from "../internal/idMap.ts"
import * as eventHub from "./internal/eventHub.ts"
import * as memoryWatch from "./internal/memoryWatch.ts"
import * as outputQueue from "./internal/outputQueue.ts"
import * as poolClient from "./internal/poolClient.ts"
import { type JobEvents, PoolJob } from "./internal/poolJob.ts"
import * as poolConfig from "./internal/poolConfig.ts"
import * as spares from "./internal/spares.ts"
import * as pulse from "./internal/pulse.ts"
import * as poolMember from "./internal/poolMember.ts"
import { Busy, type PoolError } from "./PoolError.ts"
import type { PoolEvent } from "./PoolEvent.ts"
import { Spawner } from "./Spawner.ts"
import {
  CallTimeout,
  ProtocolViolation,
  RespawnLimitReached,
  WorkerDied,
  type WorkerError,
  WorkerStopped
} from "./WorkerError.ts"
import type { WorkerEvent } from "./WorkerEvent.ts"
import * as WorkerMetrics from "./WorkerMetrics.ts"
import type { WorkerSpec } from "./WorkerSpec.ts"

/** Bounds of one call, in milliseconds. `Infinity` is none. */
export interface CallOptions {
  /** From its dispatch to its answer, in place of the pool's `execTimeout`. */
  readonly timeoutMs?: number
  /** Until its dispatch, in place of the pool's `waitTimeout`. */
  readonly waitMs?: number
}

/** What an RPC answers with through a pool: an Effect, or a Stream where it is declared `stream: true`. */
export type Answer<Current> =
  Rpc.Success<Current> extends Stream.Stream<infer A, infer E, infer _R>
    ? Stream.Stream<A, E | Rpc.Error<Current> | PoolError>
    : Effect.Effect<Rpc.Success<Current>, Rpc.Error<Current> | PoolError>

/** One method per RPC. A caller that is interrupted has its call cancelled. */
export type PoolClient<Rpcs extends Rpc.Any> = {
  readonly [Current in Rpcs as Current["_tag"]]: (
    payload: Rpc.Payload<Current>,
    options?: CallOptions
  ) => Answer<Current>
}

/** What can also be set from the environment, by `config`. Durations as numbers are milliseconds. */
export interface PoolSettings {
  /** Number of workers; a range makes the pool elastic. */
  readonly size?: number | { readonly minimum: number; readonly maximum: number }
  /** Calls that may wait before `Busy`; 1024 unless told. While an elastic pool may grow, one always may. */
  readonly queue?: number | undefined
  /** Calls that one worker runs at a time; 1 unless told. */
  readonly concurrencyPerWorker?: number | undefined
  /**
   * From a call's dispatch to its answer; of a stream, the time that the worker takes for its next
   * items. None unless told. A worker whose only call runs out of time is killed and replaced; one
   * that has other calls is told to cancel it.
   */
  readonly execTimeout?: Duration.Input | undefined
  /** How long a call may wait before `Busy`; no bound unless told. */
  readonly waitTimeout?: Duration.Input | undefined
  /** How long a worker may take to confirm that it stopped working on a call; 1 second unless told. */
  readonly cancelTimeout?: Duration.Input | undefined
  /** From spawn to `ready`; 10 seconds unless told. */
  readonly bootTimeout?: Duration.Input | undefined
  /** Calls after which a worker is replaced; 0, never, unless told. */
  readonly maxJobs?: number | undefined
  /** Age at which a worker is replaced, idle or not; never unless told. */
  readonly ttl?: Duration.Input | undefined
  /** Elastic: how long the oldest call must have waited before a worker is added; 50 ms unless told. */
  readonly growAfter?: Duration.Input | undefined
  /** Elastic: how long a worker must have been idle before it is removed; 1 minute unless told. */
  readonly idleTimeout?: Duration.Input | undefined
  /** Resident memory above which a worker is replaced, such as `"512 MiB"`. */
  readonly memoryLimit?: ByteSize.Input | undefined
  /** Resident memory above which a worker is killed, whatever it does. */
  readonly memoryHardLimit?: ByteSize.Input | undefined
}

export interface Options<Rpcs extends Rpc.Any> extends PoolSettings, Omit<memoryWatch.Options, keyof PoolSettings> {
  readonly rpcs: RpcGroup.RpcGroup<Rpcs>
  /** What to start in a slot. Asked anew for each worker, so that a reload starts what it says then. */
  readonly worker: (slot: number) => WorkerSpec
  readonly size: number | { readonly minimum: number; readonly maximum: number }
  /** For logs, errors and the workers' environment; `pool` unless told. */
  readonly name?: string | undefined
  /**
   * When and whether a slot's worker is started again after a crash or a failed boot.
   * `RespawnPolicy.intensity({ max: 6, within: "60 seconds" })` unless told. Workers that the pool
   * kills, because a call ran out of time, are replaced at once and not counted.
   */
  readonly respawn?: RespawnPolicy.RespawnPolicy | undefined
  /** The bounds of the stop ladder; `drainMs` bounds `shutdown`, and calls beside one that hangs. */
  readonly stop?: StopPolicy.StopPolicy | undefined
  /**
   * As for a `WorkerRuntime`, but a worker with a call may be silent unless told (`while: "idle"`): its call's
   * `execTimeout` says how long it may compute.
   */
  readonly heartbeat?: pulse.Options | false | undefined
  /** Booted processes kept ready, as for a `WorkerRuntime`: a replacement costs a message and not a boot. */
  readonly spares?: spares.Options | undefined
  /**
   * Told of every event, in order. It must not call the pool and wait. A defect in it is logged and
   * harms nothing.
   */
  readonly onEvent?: ((event: PoolEvent) => Effect.Effect<void>) | undefined
}

/** What is known of one worker. */
export interface PoolWorkerInfo {
  readonly slot: number
  /** Counted over the whole pool, from 1. */
  readonly incarnation: number
  /** Null while it is being started. */
  readonly pid: number | null
  /** `leaving`: it ends its calls and takes no more. `lost`, `going`: on its way out. */
  readonly stage: PoolState.Member["stage"]
  readonly running: number
  /** Calls that it has ended. */
  readonly jobs: number
  /** Reloads before it was started. */
  readonly generation: number
  /** Since it was ready; 0 before. */
  readonly ageMs: number
  /** Why it is to be replaced. */
  readonly due: PoolState.RecycleReason | null
  /** The last 2048 characters that it wrote to stderr. */
  readonly stderrTail: string
}

export interface PoolInfo {
  readonly state: "open" | "closing" | "closed"
  /** Slots. */
  readonly size: number
  /** Slots that a ready worker serves. */
  readonly ready: number
  /** Slots that were given up. */
  readonly givenUp: number
  /** Calls that wait. */
  readonly queued: number
  /** Calls that run. */
  readonly running: number
  readonly generation: number
  readonly workers: ReadonlyArray<PoolWorkerInfo>
  readonly spares: spares.SparesInfo
}

export interface WorkerPool<Rpcs extends Rpc.Any> {
  readonly client: PoolClient<Rpcs>
  /** The same by name: `execute("Render", { page })` is `client.Render({ page })`. */
  readonly execute: <Method extends Rpcs["_tag"]>(
    method: Method,
    payload: Rpc.Payload<Rpc.ExtractTag<Rpcs, Method>>,
    options?: CallOptions
  ) => Answer<Rpc.ExtractTag<Rpcs, Method>>
  /** Waits until the least number of workers is ready. Calls need not wait for it. */
  readonly ready: Effect.Effect<void, RespawnLimitReached | WorkerStopped>
  /**
   * Replaces all workers, one at a time, each by one that is ready. Waits until the old ones are gone.
   * Where a new one would not boot and its policy gives up, the reload is off: it fails, the old
   * workers go on.
   */
  readonly reload: Effect.Effect<void, RespawnLimitReached | WorkerStopped>
  /** A new size. Workers that are too many end their calls first. */
  readonly resize: (size: number | { readonly minimum: number; readonly maximum: number }) => Effect.Effect<void>
  /** Tries given-up slots again; their crashes are forgotten. */
  readonly reset: Effect.Effect<void>
  readonly info: Effect.Effect<PoolInfo>
  /** The pool, now and at each change of a worker. Slow readers see the latest, not all. */
  readonly changes: Stream.Stream<PoolInfo>
  /** Live events. A reader that falls behind by more than 1024 loses the oldest. */
  readonly events: Stream.Stream<PoolEvent>
  /**
   * Takes no more calls, ends those it has within a bound (`stop.drainMs` unless told), stops all
   * workers by the ladder, and waits until no process is left.
   */
  readonly shutdown: (options?: { readonly within?: Duration.Input }) => Effect.Effect<void>
}

/**
 * Reads settings from the environment: `PREFIX_SIZE` (`4`, `2-8`), `_QUEUE`, `_CONCURRENCY`,
 * `_EXEC_TIMEOUT` (`500ms`, `5s`), `_WAIT_TIMEOUT`, `_CANCEL_TIMEOUT`, `_BOOT_TIMEOUT`, `_MAX_JOBS`,
 * `_TTL`, `_GROW_AFTER`, `_IDLE_TIMEOUT`, `_MEMORY_LIMIT` (`512MiB`). Spread it over the options; what is
 * not set leaves them as they are.
 */
export const config: (prefix: string) => Config.Config<PoolSettings> = poolConfig.make

/** Events kept for a slow reader of `events`. */
const eventBuffer = 1024

/** Output lines and events of the pool kept while `onEvent` is busy; the oldest are dropped. */
const outputBuffer = 4096

/** A timer that comes later than this was held up: this process stood still, and nobody else is to blame. */
const stallMs = 1000

/** After standing still, how long answers that have come meanwhile may take to be read. */
const stallGraceMs = 1000

const tooFarAhead = `more than ${Frame.streamWindow} chunks that were not acknowledged`

/** Settings whose size is known. */
type Sized = PoolSettings & { readonly size: number | { readonly minimum: number; readonly maximum: number } }

const rangeOf = (size: Sized["size"]) => {
  const { maximum, minimum } = typeof size === "number" ? { minimum: size, maximum: size } : size
  const least = Math.max(0, Math.floor(minimum))
  return { minimum: least, maximum: Math.max(1, least, Math.floor(maximum)) }
}

const millis = (input: Duration.Input | undefined, otherwise: number): number =>
  input === undefined ? otherwise : Duration.toMillis(Duration.fromInputUnsafe(input))

const settingsOf = (options: Sized, stop: StopPolicy.StopPolicy): PoolState.Settings => ({
  ...rangeOf(options.size),
  queue: options.queue ?? 1024,
  concurrency: Math.max(1, options.concurrencyPerWorker ?? 1),
  maxJobs: options.maxJobs ?? 0,
  ttlMs: millis(options.ttl, Infinity),
  growAfterMs: millis(options.growAfter, 50),
  idleMs: millis(options.idleTimeout, 60_000),
  cancelMs: millis(options.cancelTimeout, 1000),
  drainMs: stop.drainMs
})

/**
 * Starts a pool; its workers boot side by side, without being waited for. Closing the scope cuts off
 * what runs and stops all workers by the ladder; call `shutdown` before that to let calls end.
 */
export const make = Effect.fnUntraced(function* <Rpcs extends Rpc.Any>(
  options: Options<Rpcs>
): Effect.fn.Return<WorkerPool<Rpcs>, never, Spawner | Scope.Scope> {
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const runFork = Effect.runForkWith(context)
  // Not a child of our scope: its fibers must live until the shutdown, a finalizer of ours, is done.
  const scope = yield* Scope.make()
  const name = options.name ?? "pool"
  const stopPolicy = options.stop ?? StopPolicy.standard
  const settings = settingsOf(options, stopPolicy)
  const heartbeat = pulse.settingsOf(options.heartbeat, "idle")
  const memory = memoryWatch.limitsOf(options)
  const metrics = WorkerMetrics.make(name, context)
  const spareScope = yield* Scope.make()
  const kept = yield* Scope.provide(spares.make(yield* Spawner, options.spares, metrics), spareScope)
  const execTimeoutMs = millis(options.execTimeout, Infinity)
  const waitTimeoutMs = millis(options.waitTimeout, Infinity)
  const bootTimeoutMs = millis(options.bootTimeout, 10_000)

  let state = PoolState.make(settings)
  const members = new Map<number, poolMember.PoolMember>()
  const jobs = new IdMap<PoolJob>()
  let nextJob = 1

  /** Milliseconds on a clock that never goes back. */
  const now = (): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

  // --- events and changes ------------------------------------------------------------------------

  const events = eventHub.make<PoolEvent>(eventBuffer)
  const outputs = yield* outputQueue.make<PoolEvent>(outputBuffer)
  const printed = yield* Queue.sliding<void>(1)
  const infos = yield* SubscriptionRef.make<PoolInfo | undefined>(undefined)
  const dirty = yield* Queue.sliding<void>(1)

  const tell = (event: PoolEvent) =>
    Effect.andThen(
      events.publish(event),
      options.onEvent === undefined
        ? Effect.void
        : Effect.catchCause(
            Effect.suspend(() => options.onEvent?.(event) ?? Effect.void),
            (cause) => Effect.logError(`onEvent of pool ${name} died`, Cause.pretty(cause))
          )
    )

  const emitUnsafe = (event: PoolEvent, source?: outputQueue.Source) => {
    outputs.offerUnsafe(event, source)
    Queue.offerUnsafe(printed, undefined)
  }

  // One event is told at a time, and what was printed before an exit is told before the exit.
  const telling = Semaphore.makeUnsafe(1)
  const outputsFirst = outputs.forEachNow(tell)
  const tellOutputs = telling.withPermit(outputsFirst)
  const emit = (event: PoolEvent) => telling.withPermit(Effect.andThen(outputsFirst, tell(event)))

  yield* Effect.forkIn(Effect.forever(Effect.andThen(Queue.take(printed), tellOutputs)), scope)
  yield* Effect.forkIn(outputs.watch, scope)
  yield* Effect.forkIn(
    Effect.forever(
      Effect.andThen(
        Queue.take(dirty),
        Effect.suspend(() => SubscriptionRef.set(infos, snapshot()))
      )
    ),
    scope
  )
  const changed = () => {
    Queue.offerUnsafe(dirty, undefined)
  }

  const snapshot = (): PoolInfo => ({
    state: state.closing === null ? "open" : state.members.length === 0 ? "closed" : "closing",
    size: state.slots.length,
    ready: state.members.filter((one) => one.stage === "ready").length,
    givenUp: state.slots.filter((slot) => slot.pause?._tag === "GivenUp").length,
    queued: state.queue.size,
    running: state.members.reduce((sum, one) => sum + one.running.size, 0),
    generation: state.generation,
    workers: state.members.map(workerInfo),
    spares: kept.info()
  })

  const workerInfo = (member: PoolState.Member): PoolWorkerInfo => {
    const info = members.get(member.id)?.info()
    return {
      slot: member.slot,
      incarnation: member.id,
      pid: info?.pid ?? null,
      stage: member.stage,
      running: member.running.size,
      jobs: member.jobs,
      generation: member.generation,
      ageMs: member.readyAt === 0 ? 0 : now() - member.readyAt,
      due: member.due ?? (member.generation < state.generation && !member.kept ? "reload" : null),
      stderrTail: info?.stderrTail ?? ""
    }
  }

  // --- inputs: decided and carried out one after the other -----------------------------------------

  let inbox: Array<PoolMachine.Input> = []
  let stepping = false

  /** An input that comes while another is carried out has its turn when that is done. */
  const step = (input: PoolMachine.Input): void => {
    if (stepping) return void inbox.push(input)
    stepping = true
    take(input)
    while (inbox.length > 0) {
      const inputs = inbox
      inbox = []
      for (const next of inputs) take(next)
    }
    stepping = false
  }

  const take = (input: PoolMachine.Input): void => {
    const decision = PoolMachine.decide(state, input, now())
    state = decision.state
    for (const action of decision.actions) carryOut(action)
    arm(decision.wakeAt)
    if (!decision.structural) return
    settleWaiters()
    changed()
  }

  // --- one timer for all that is due ---------------------------------------------------------------

  let armedAt = Infinity
  let timer: Fiber.Fiber<void> | undefined

  const arm = (at: number): void => {
    if (at >= armedAt) return
    armedAt = at
    timer?.interruptUnsafe()
    timer = runFork(Effect.andThen(Effect.sleep(Math.max(0, Math.ceil(at - now()))), Effect.sync(onTimer)))
  }

  const onTimer = (): void => {
    const at = now()
    const late = at - armedAt
    armedAt = Infinity
    timer = undefined
    if (late > stallMs) step({ _tag: "Stalled", forMs: late + stallGraceMs })
    for (const job of jobs.values()) extendStream(job, at)
    step({ _tag: "Tick" })
  }

  /** A stream's bound runs only while its worker is the one to move. */
  const extendStream = (job: PoolJob, at: number): void => {
    if (!job.call.streaming || job.worker === undefined) return
    const deadline = (job.unread > 0 ? at : job.movedAt) + job.timeoutMs
    if (deadline > at && deadline !== Infinity) step({ _tag: "Extended", call: job.number, deadline })
  }

  // --- calls ---------------------------------------------------------------------------------------

  const submit = (call: poolClient.PoolCall): PoolJob => {
    const number = nextJob++
    const timeoutMs = call.options?.timeoutMs ?? execTimeoutMs
    const job = new PoolJob(number, call, timeoutMs, jobEvents)
    jobs.add(number, job)
    step({ _tag: "Submitted", call: number, timeoutMs, waitMs: call.options?.waitMs ?? waitTimeoutMs })
    return job
  }

  const cancel = (job: PoolJob): void => {
    if (job.over) return
    job.over = true
    if (job.worker === undefined) jobs.delete(job.number)
    step({ _tag: "Cancelled", call: job.number })
  }

  const acknowledge = (job: PoolJob): void => {
    job.unread -= 1
    job.movedAt = now()
    job.worker?.acknowledge(job)
  }

  const fail = (job: PoolJob, error: PoolError): void => {
    if (job.over) return
    job.over = true
    job.call.fail(error)
  }

  const dispatch = (id: number, member: number): void => {
    const job = jobs.get(id)
    const worker = members.get(member)
    if (job === undefined || worker === undefined) return
    job.member = member
    job.worker = worker
    if (job.call.streaming) job.movedAt = now()
    worker.submit(job)
  }

  /** What a worker does about the calls that it has. */
  const jobEvents: JobEvents = {
    settled: (job, frame) => {
      const worker = job.worker?.name ?? name
      jobs.delete(job.number)
      step({ _tag: "Ended", call: job.number, member: job.member })
      if (job.over) return
      job.over = true
      job.call.settle(frame, worker)
    },
    chunk: (job, values) => {
      const worker = job.worker?.name ?? name
      job.unread += 1
      job.movedAt = now()
      if (job.over) return
      if (job.unread <= Frame.streamWindow) return job.call.chunk(values, worker)
      fail(job, new ProtocolViolation({ key: worker, method: job.method, detail: tooFarAhead }))
      step({ _tag: "Cancelled", call: job.number })
    },
    failed: (job, error) => {
      const { member } = job
      const returns = job.id === undefined && error._tag !== "ProtocolViolation" && !job.over
      if (error._tag === "WorkerDied" || returns) step({ _tag: "Lost", member })
      // It has not left for this worker, so it may go to another.
      if (returns) return giveBack(job)
      jobs.delete(job.number)
      step({ _tag: "Ended", call: job.number, member: job.member })
      fail(job, asPoolError(error, member))
    }
  }

  const giveBack = (job: PoolJob): void => {
    job.worker = undefined
    job.id = undefined
    step({ _tag: "Returned", call: job.number })
  }

  /** Nothing reaches this member any more: what has not left for it goes elsewhere. */
  const lost = (member: number): void => {
    step({ _tag: "Lost", member })
    for (const job of jobs.values()) {
      if (job.member !== member || job.worker === undefined || job.over) continue
      if (members.get(member)?.takeBack(job) === true) giveBack(job)
    }
  }

  const sendCancel = (id: number, member: number): void => {
    const job = jobs.get(id)
    const worker = members.get(member)
    if (job?.worker === undefined || worker === undefined) return
    if (!worker.takeBack(job)) return worker.cancel(job)
    jobs.delete(id)
    step({ _tag: "Ended", call: id, member })
  }

  const asPoolError = (error: WorkerError, member: number): PoolError => {
    switch (error._tag) {
      case "WorkerDied": {
        const { exit, key, stderrTail } = error
        return new WorkerDied({ key, incarnation: member, exit, stderrTail })
      }
      case "MailboxFull":
        // A member's table has no bound of its own: it is never full.
        return new WorkerStopped({ key: error.key })
      default:
        return error
    }
  }

  const failed = (id: number, failure: PoolMachine.Failure): void => {
    const job = jobs.get(id)
    if (job === undefined) return
    // What is in a member's table is removed from there when its answer comes, or its member dies.
    if (job.worker === undefined) jobs.delete(id)
    fail(job, toError(job, failure))
  }

  const toError = (job: PoolJob, failure: PoolMachine.Failure): PoolError => {
    const waiting = state.queue.size
    switch (failure._tag) {
      case "QueueFull":
        return new Busy({ pool: name, reason: "queue-full", waiting, waitedMs: 0 })
      case "WaitedTooLong":
        return new Busy({ pool: name, reason: "waited", waiting, waitedMs: failure.waitedMs })
      case "TimedOut": {
        const { timeoutMs } = failure
        const worker = members.get(failure.member)
        const { method } = job.call
        emitUnsafe({ _tag: "CallTimedOut", key: worker?.slot ?? 0, incarnation: failure.member, method, timeoutMs })
        return new CallTimeout({ key: worker?.name ?? name, method, timeoutMs })
      }
      case "Died": {
        const worker = members.get(failure.member)
        return new WorkerDied({
          key: worker?.name ?? name,
          incarnation: failure.member,
          exit: { code: null, signal: null },
          stderrTail: worker?.info().stderrTail ?? ""
        })
      }
      case "GivenUp":
        return new RespawnLimitReached({ key: name, crashes: failure.crashes, lastFailure: failure.reason })
      case "Stopped":
        return new WorkerStopped({ key: name })
    }
  }

  // --- workers -------------------------------------------------------------------------------------

  const boot = (action: Extract<PoolMachine.Action, { readonly _tag: "Boot" }>): void => {
    const { member: id, replaces, slot, why } = action
    if (replaces !== null && why !== null) {
      emitUnsafe({ _tag: "WorkerRecycling", key: slot, incarnation: replaces, successor: id, reason: why })
    }
    members.set(
      id,
      poolMember.startUnsafe({
        id,
        slot,
        name: `${name}/${slot}`,
        spawner: kept.spawner,
        worker: () => options.worker(slot),
        bootTimeoutMs,
        stop: stopPolicy,
        heartbeat,
        memory,
        onMemoryHigh: () => step({ _tag: "MemoryHigh", member: id }),
        metrics,
        emit: (event) =>
          Effect.andThen(
            emit(event),
            Effect.sync(() => onWorkerEvent(id, event))
          ),
        emitUnsafe,
        changed,
        lost: () => lost(id),
        context,
        scope
      })
    )
  }

  const onWorkerEvent = (id: number, event: WorkerEvent<number>): void => {
    if (event._tag === "WorkerReady") step({ _tag: "Ready", member: id })
    if (event._tag !== "WorkerExited") return
    const { exit, reason, uptimeMs } = event
    step({ _tag: "Exited", member: id, exit: event.pid === null ? null : exit, uptimeMs, reason })
    // One that was not stopped is freed here; stopping one that is gone only does that.
    if (!event.expected) runFork(free(id, StopPolicy.kill))
  }

  /** Stops a member and forgets it. The exit is told by its event; this is for one that never came that far. */
  const free = (id: number, policy: StopPolicy.StopPolicy) =>
    Effect.andThen(
      Effect.suspend(() => members.get(id)?.stop(policy) ?? Effect.void),
      Effect.sync(() => {
        step({ _tag: "Exited", member: id, exit: null, uptimeMs: 0, reason: "stopped" })
        members.delete(id)
        changed()
      })
    )

  const policies = new Map<number, Effect.Success<ReturnType<typeof RespawnPolicy.toDecide>>>()
  const respawn = options.respawn ?? RespawnPolicy.intensity({ max: 6, within: "60 seconds" })

  const askPolicy = Effect.fnUntraced(function* (action: Extract<PoolMachine.Action, { readonly _tag: "AskPolicy" }>) {
    const { exit, member, reason, slot, uptimeMs } = action
    const decide = policies.get(slot) ?? (yield* RespawnPolicy.toDecide(respawn))
    policies.set(slot, decide)
    const decision = yield* decide(yield* Clock.currentTimeMillis, { exit, uptimeMs })
    if (decision._tag === "GiveUp") return step({ _tag: "GiveUpDecided", member, reason })
    const crashes = state.slots.find((one) => one.slot === slot)?.crashes ?? 0
    yield* emit({ _tag: "RespawnScheduled", key: slot, delayMs: decision.delayMs, crashes })
    step({ _tag: "RespawnDecided", member, delayMs: decision.delayMs })
  })

  const carryOut = (action: PoolMachine.Action): void => {
    switch (action._tag) {
      case "Boot":
        return boot(action)
      case "Dispatch":
        return dispatch(action.call, action.member)
      case "SendCancel":
        return sendCancel(action.call, action.member)
      case "Fail":
        return failed(action.call, action.failure)
      case "Kill": {
        const worker = members.get(action.member)
        if (worker !== undefined) runFork(worker.kill(action.reason))
        return
      }
      case "Stop":
        runFork(free(action.member, stopPolicy))
        return
      case "AskPolicy":
        runFork(
          Effect.catchCause(askPolicy(action), (cause) =>
            Effect.sync(() => step({ _tag: "GiveUpDecided", member: action.member, reason: Cause.pretty(cause) }))
          )
        )
        return
      case "ForgetCrashes":
        policies.delete(action.slot)
        return
      case "GaveUp": {
        const { crashes, reason, slot } = action
        emitUnsafe({ _tag: "WorkerGivenUp", key: slot, crashes, reason })
        return failWaiters(slot, crashes, reason)
      }
      case "RecycleAbandoned": {
        const { crashes, reason, slot } = action
        emitUnsafe({ _tag: "RecycleAbandoned", key: slot, crashes, reason })
        return failWaiters(slot, crashes, reason)
      }
      case "Resized":
        return emitUnsafe({ _tag: "PoolResized", size: action.size })
    }
  }

  // --- who waits for the pool to come somewhere ------------------------------------------------------

  interface Waiter {
    readonly until: "booted" | "reloaded" | "closed"
    /** Of which workers must be; the reload that asks for it may still be in the inbox. */
    readonly generation: number
    readonly done: Deferred.Deferred<void, RespawnLimitReached | WorkerStopped>
  }
  let waiters: ReadonlyArray<Waiter> = []

  const endWaiters = (
    exit: Effect.Effect<void, RespawnLimitReached | WorkerStopped>,
    which: (waiter: Waiter) => boolean
  ) => {
    const ending = waiters.filter(which)
    if (ending.length === 0) return
    waiters = waiters.filter((waiter) => !which(waiter))
    for (const { done } of ending) Deferred.doneUnsafe(done, exit)
  }

  const settleWaiters = (): void => {
    if (waiters.length === 0) return
    const is = { booted: PoolState.isBooted, reloaded: PoolState.isReloaded, closed: PoolState.isClosed }
    endWaiters(Effect.void, ({ generation, until }) => generation <= state.generation && is[until](state))
    if (state.closing !== null)
      endWaiters(Effect.fail(new WorkerStopped({ key: name })), ({ until }) => until !== "closed")
  }

  /** Some slot will not be served: nobody waits for that in vain. */
  const failWaiters = (slot: number, crashes: number, lastFailure: string): void =>
    endWaiters(Effect.fail(gaveUp(slot, crashes, lastFailure)), ({ until }) => until !== "closed")

  const gaveUp = (slot: number, crashes: number, lastFailure: string) =>
    new RespawnLimitReached({ key: `${name}/${slot}`, crashes, lastFailure })

  const waitUntil = (until: Waiter["until"], input: PoolMachine.Input) =>
    Effect.suspend(() => {
      const generation = until === "reloaded" ? state.generation + 1 : 0
      const waiter: Waiter = { until, generation, done: Deferred.makeUnsafe() }
      waiters = [...waiters, waiter]
      step(input)
      return Effect.onInterrupt(Deferred.await(waiter.done), () =>
        Effect.sync(() => {
          waiters = waiters.filter((one) => one !== waiter)
        })
      )
    })

  const shutdown = (within: number) =>
    Effect.uninterruptible(
      Effect.andThen(
        Scope.close(spareScope, Exit.void),
        Effect.ignore(waitUntil("closed", { _tag: "ShutdownAsked", withinMs: within }))
      )
    ).pipe(Effect.andThen(tellOutputs))

  yield* Effect.addFinalizer((exit) =>
    shutdown(0).pipe(
      Effect.andThen(Effect.sync(() => timer?.interruptUnsafe())),
      Effect.andThen(Scope.close(scope, exit))
    )
  )
  step({ _tag: "Tick" })

  const client = poolClient.make(options.rpcs, { name, submit, cancel, acknowledge })
  return {
    client,
    execute: (method, payload, callOptions) => {
      // A method is read by its name; that its type is the answer's, the mapped type says.
      const call = client[method] as unknown as (
        payload: unknown,
        options?: CallOptions
      ) => Answer<Rpc.ExtractTag<Rpcs, typeof method>>
      return call(payload, callOptions)
    },
    ready: Effect.suspend(() => {
      const givenUp = state.slots.find((slot) => slot.pause?._tag === "GivenUp")
      return givenUp?.pause?._tag === "GivenUp" && !PoolState.isBooted(state)
        ? Effect.fail(gaveUp(givenUp.slot, givenUp.crashes, givenUp.pause.reason))
        : waitUntil("booted", { _tag: "Tick" })
    }),
    reload: waitUntil("reloaded", { _tag: "ReloadAsked" }),
    resize: (size) => Effect.sync(() => step({ _tag: "ResizeAsked", ...rangeOf(size) })),
    reset: Effect.sync(() => step({ _tag: "ResetAsked" })),
    info: Effect.sync(snapshot),
    changes: Stream.filter(SubscriptionRef.changes(infos), (info) => info !== undefined),
    events: events.stream,
    shutdown: (bounds) => shutdown(millis(bounds?.within, stopPolicy.drainMs))
  }
})
