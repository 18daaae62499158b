/**
 * A pool of interchangeable workers: calls go to an idle one, wait in one bounded queue when there is
 * none, and are bounded in time by killing whoever does not answer. Workers are replaced by number of
 * calls, age and memory, and on `reload`, without a call noticing.
 *
 * What happens is decided by `PoolMachine`, purely; this puts together what carries it out, a file of `internal/` for
 * each concern: the state and its one place of change, calls, workers, events, who waits. A call is dispatched within
 * the call of its method, without a fiber. What takes time (a boot, a stop, the policy's answer) runs in fibers of its
 * own and reports back as an input. The pool alone restarts its workers.
 */
import type * as PoolMachine from "@nerve/core/supervision/PoolMachine"
import type * as PoolState from "@nerve/core/supervision/PoolState"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type * as ByteSize from "effect/ByteSize"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { assertOneEffect } from "../internal/oneEffect.ts"
import * as memoryWatch from "./internal/memoryWatch.ts"
import { PoolCalls } from "./internal/poolCalls.ts"
import * as poolClient from "./internal/poolClient.ts"
import * as poolConfig from "./internal/poolConfig.ts"
import { PoolEngine } from "./internal/poolEngine.ts"
import * as poolEvents from "./internal/poolEvents.ts"
import * as poolInfo from "./internal/poolInfo.ts"
import type { PoolMember } from "./internal/poolMember.ts"
import * as poolMetrics from "./internal/poolMetrics.ts"
import * as poolRespawn from "./internal/poolRespawn.ts"
import * as poolSettings from "./internal/poolSettings.ts"
import { PoolWaiters } from "./internal/poolWaiters.ts"
import { PoolWorkers } from "./internal/poolWorkers.ts"
import * as pulse from "./internal/pulse.ts"
import * as spares from "./internal/spares.ts"
import type { PoolError } from "./PoolError.ts"
import type { PoolEvent } from "./PoolEvent.ts"
import { Spawner } from "./Spawner.ts"
import type { RespawnLimitReached, WorkerStopped } from "./WorkerError.ts"
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

/**
 * What `config` has found: durations in milliseconds, memory in bytes. Numbers alone, so that spreading it over settings
 * that are written as text does not make a type of all texts that those could be.
 */
export interface ConfiguredSettings
  extends Pick<PoolSettings, "size">, Partial<Readonly<Record<Exclude<keyof PoolSettings, "size">, number>>> {}

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
  /** Live events. A reader that falls behind by more than 1024, or 4 Mi characters, loses the oldest. */
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
 * `_TTL`, `_GROW_AFTER`, `_IDLE_TIMEOUT`, `_MEMORY_LIMIT` (`512MiB`), `_MEMORY_HARD_LIMIT`. Spread it over the
 * options; what is not set leaves them as they are.
 */
export const config: (prefix: string) => Config.Config<ConfiguredSettings> = poolConfig.make

/**
 * Starts a pool; its workers boot side by side, without being waited for. Closing the scope cuts off
 * what runs and stops all workers by the ladder; call `shutdown` before that to let calls end.
 */
export const make = Effect.fnUntraced(function* <Rpcs extends Rpc.Any>(
  options: Options<Rpcs>
): Effect.fn.Return<WorkerPool<Rpcs>, never, Spawner | Scope.Scope> {
  yield* assertOneEffect
  const context = yield* Effect.context<never>()
  // Not a child of our scope: its fibers must live until the shutdown, a finalizer of ours, is done.
  const scope = yield* Scope.make()
  const name = options.name ?? "pool"
  const stop = options.stop ?? StopPolicy.standard
  const bounds = poolSettings.bounds(options)
  const workerMetrics = WorkerMetrics.make(name, context)
  const spareScope = yield* Scope.make()
  const kept = yield* Scope.provide(spares.make(yield* Spawner, options.spares, workerMetrics), spareScope)

  const engine = new PoolEngine(poolSettings.of(options, stop), yield* Clock.Clock, context, {
    carryOut: (action) => carryOut(action),
    changed: () => {
      waiters.settle()
      changes.changed()
    },
    beforeTick: (now) => calls.extendStreams(now)
  })
  const members = new Map<number, PoolMember>()
  const events = yield* poolEvents.make(name, options.onEvent, scope)
  const snapshot = () => poolInfo.snapshot({ engine, members, spares: kept.info })
  const changes = yield* poolInfo.changes(snapshot, scope)
  const waiters = new PoolWaiters(name, engine)
  const respawn = poolRespawn.make(options.respawn ?? RespawnPolicy.intensity({ max: 6, within: "60 seconds" }))
  const metrics = poolMetrics.make(name, context, () => engine.state)
  const calls = new PoolCalls({ name, bounds, engine, members, metrics, emitUnsafe: events.emitUnsafe })
  const workers = new PoolWorkers(members, {
    name,
    engine,
    events,
    worker: options.worker,
    spawner: kept.spawner,
    bootTimeoutMs: bounds.bootMs,
    stop,
    heartbeat: pulse.settingsOf(options.heartbeat, "idle"),
    memory: memoryWatch.limitsOf(options),
    metrics: workerMetrics,
    changed: changes.changed,
    lost: (member) => calls.lost(member),
    context,
    scope
  })

  const askPolicy = Effect.fnUntraced(function* (action: Extract<PoolMachine.Action, { readonly _tag: "AskPolicy" }>) {
    const answer = yield* respawn.ask(action)
    if (answer._tag === "RespawnDecided") {
      const crashes = engine.state.slots.find(({ slot }) => slot === action.slot)?.crashes ?? 0
      yield* events.emit({ _tag: "RespawnScheduled", key: action.slot, delayMs: answer.delayMs, crashes })
    }
    engine.step(answer)
  })

  const carryOut = (action: PoolMachine.Action): void => {
    switch (action._tag) {
      case "Dispatch":
        return calls.dispatch(action.call, action.member, action.waitedMs)
      case "SendCancel":
        return calls.sendCancel(action.call, action.member)
      case "Fail":
        return calls.fail(action.call, action.failure)
      case "Boot":
        return workers.boot(action)
      case "Kill":
        return workers.kill(action.member, action.reason)
      case "Stop":
        return workers.stop(action.member)
      case "AskPolicy":
        return void Effect.runForkWith(context)(askPolicy(action))
      case "ForgetCrashes":
        return respawn.forget(action.slot)
      case "GaveUp":
      case "RecycleAbandoned": {
        const { _tag, crashes, reason, slot } = action
        events.emitUnsafe({ _tag: _tag === "GaveUp" ? "WorkerGivenUp" : _tag, key: slot, crashes, reason })
        return waiters.giveUp(slot, crashes, reason)
      }
      case "Resized":
        return events.emitUnsafe({ _tag: "PoolResized", size: action.size })
    }
  }

  const shutdown = (withinMs: number) =>
    Effect.uninterruptible(
      Effect.andThen(
        Scope.close(spareScope, Exit.void),
        Effect.ignore(waiters.wait("closed", { _tag: "ShutdownAsked", withinMs }))
      )
    ).pipe(Effect.andThen(events.flush))

  yield* Effect.addFinalizer((exit) =>
    Effect.gen(function* () {
      yield* shutdown(0)
      engine.stop()
      metrics.end()
      yield* Scope.close(scope, exit)
    })
  )
  engine.step({ _tag: "Tick" })

  const client = poolClient.make(options.rpcs, calls)
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
    ready: waiters.booted,
    reload: waiters.wait("reloaded", { _tag: "ReloadAsked" }),
    resize: (size) => Effect.sync(() => engine.step({ _tag: "ResizeAsked", ...poolSettings.rangeOf(size) })),
    reset: Effect.sync(() => engine.step({ _tag: "ResetAsked" })),
    info: Effect.sync(snapshot),
    changes: changes.stream,
    events: events.stream,
    shutdown: (within) => shutdown(poolSettings.millis(within?.within, stop.drainMs))
  }
})
