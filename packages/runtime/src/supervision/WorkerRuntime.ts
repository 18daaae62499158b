/**
 * Keyed, supervised workers: one process per key, started by its first message, respawned by policy.
 *
 * A `WorkerRuntime` owns its workers and nobody else restarts them. It knows nothing of senses or
 * workflows (R13). Closing its scope stops all workers by the stop ladder.
 */
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { makeClient } from "../internal/makeClient.ts"
import { assertOneEffect } from "../internal/oneEffect.ts"
import type { WorkerClient } from "../ipc/WorkerClient.ts"
import { CallTable } from "./CallTable.ts"
import * as eventHub from "./internal/eventHub.ts"
import * as memoryWatch from "./internal/memoryWatch.ts"
import * as outputQueue from "./internal/outputQueue.ts"
import * as pulse from "./internal/pulse.ts"
import * as spares from "./internal/spares.ts"
import * as ManagedWorker from "./ManagedWorker.ts"
import { Spawner } from "./Spawner.ts"
import { type RespawnLimitReached, WorkerStopped } from "./WorkerError.ts"
import type { WorkerEvent } from "./WorkerEvent.ts"
import { neverStarted, type WorkerInfo } from "./WorkerInfo.ts"
import * as WorkerMetrics from "./WorkerMetrics.ts"
import type { WorkerSpec } from "./WorkerSpec.ts"

export type { WorkerInfo } from "./WorkerInfo.ts"
export type { SparesInfo } from "./internal/spares.ts"
/** `interval`, `timeout` and `while`. */
export type HeartbeatOptions = pulse.Options

export interface Options<K extends string, Rpcs extends Rpc.Any> extends memoryWatch.Options {
  readonly rpcs: RpcGroup.RpcGroup<Rpcs>
  /** What to start for a key. Asked anew for each incarnation. */
  readonly worker: (key: K) => WorkerSpec
  /** When and whether to start again after a crash. `RespawnPolicy.intensity({ max: 6, within: "60 seconds" })` unless told. */
  readonly respawn?: RespawnPolicy.RespawnPolicy | undefined
  /** Asked after a crash and again after the delay: false leaves the key stopped (R7). */
  readonly shouldRespawn?: ((key: K) => boolean) | undefined
  /** From spawn to `ready`; 10 seconds unless told (R8). */
  readonly readyTimeout?: Duration.Input | undefined
  /** The bounds of the stop ladder (R9). */
  readonly stop?: StopPolicy.StopPolicy | undefined
  /** Calls that may wait for one worker before `MailboxFull`; 1024 unless told. */
  readonly mailbox?: number | undefined
  /**
   * Workers are asked every `interval` (5 s) whether they still work; one that is silent for `timeout` (30 s)
   * after it was asked is killed, and the policy takes it from there. False: nobody is asked. Workers that do
   * not say with their `ready` that they answer are not asked either.
   */
  readonly heartbeat?: HeartbeatOptions | false | undefined
  /**
   * Booted processes without a key that are kept ready, so that a cold start or a respawn costs a message and not a
   * boot; none unless told. For workers that are modules, with this heap size and no permissions; others boot.
   */
  readonly spares?: spares.Options | undefined
  /** For metrics; `workers` unless told. */
  readonly name?: string | undefined
  /**
   * Told of every event, in order, before anything follows from it. It must not call back into the
   * runtime and wait. A defect in it is logged and harms nothing. A worker whose output is more than
   * 1024 lines or 1 Mi characters ahead of it is not read until it has caught up; one that takes
   * nothing for a second is not waited for, and the oldest lines are dropped.
   */
  readonly onEvent?: ((event: WorkerEvent<K>) => Effect.Effect<void>) | undefined
  /**
   * Told of each line of output as it is read, before any answer that the worker sent after it. From
   * outside any fiber: it must not wait. What it throws is logged. `onEvent` is told of it too, in its turn.
   */
  readonly onOutputUnsafe?: ((event: Extract<WorkerEvent<K>, { readonly _tag: "WorkerOutput" }>) => void) | undefined
}

export interface WorkerRuntime<K extends string, Rpcs extends Rpc.Any> {
  /** The typed client of a key. It stays valid across respawns; its first call starts the worker. */
  readonly client: (key: K) => Effect.Effect<WorkerClient<Rpcs>>
  /** Starts the worker and waits until it is ready. */
  readonly start: (key: K) => Effect.Effect<void, RespawnLimitReached | WorkerStopped>
  /** Stops the worker, without respawn, and forgets the key (R3). Waiting calls fail with `WorkerStopped`. */
  readonly evict: (key: K, stop?: StopPolicy.StopPolicy) => Effect.Effect<void>
  /** Lets what is in flight finish, stops, starts again; what arrives meanwhile waits (R3, R4). */
  readonly drain: (key: K, stop?: StopPolicy.StopPolicy) => Effect.Effect<void>
  /** Kills the worker's process group at once; the respawn policy takes it from there. */
  readonly kill: (key: K, reason?: string) => Effect.Effect<void>
  /** Revives a given-up key: its crashes are forgotten (R6). No-op otherwise. */
  readonly reset: (key: K) => Effect.Effect<void>
  /** Stops all workers side by side; the runtime takes no calls afterwards. */
  readonly shutdown: Effect.Effect<void>
  /** The spares that are kept, and what became of those before. */
  readonly spares: Effect.Effect<spares.SparesInfo>
  readonly has: (key: K) => boolean
  readonly keys: Effect.Effect<ReadonlyArray<K>>
  readonly info: (key: K) => Effect.Effect<WorkerInfo>
  /** All keys' infos, now and at each change. Slow readers see the latest, not all. */
  readonly changes: Stream.Stream<ReadonlyMap<K, WorkerInfo>>
  /** Live events. A reader that falls behind by more than 1024, or 4 Mi characters, loses the oldest. */
  readonly events: Stream.Stream<WorkerEvent<K>>
}

/** The RPCs of a group, for naming a runtime's type. */
export type RpcsOf<Group> = Group extends RpcGroup.RpcGroup<infer Rpcs> ? Rpcs : never

/** Events kept for a slow reader of `events`. */
const eventBuffer = 1024

/** Output lines of all workers kept while `onEvent` is busy; the oldest are dropped, and that is all that is lost. */
const outputBuffer = 4096

/** A worker and the scope that its fibers live in. */
interface Held {
  readonly worker: ManagedWorker.ManagedWorker
  readonly scope: Scope.Closeable
}

/** A worker on its way out. */
interface Going {
  readonly key: string
  readonly worker: ManagedWorker.ManagedWorker
  /** Waits until no process of it is left. */
  readonly gone: Effect.Effect<void>
}

/** A runtime with no workers yet. Closing the scope stops all of them, side by side, by the ladder. */
export const make = Effect.fnUntraced(function* <K extends string, Rpcs extends Rpc.Any>(
  options: Options<K, Rpcs>
): Effect.fn.Return<WorkerRuntime<K, Rpcs>, never, Spawner | Scope.Scope> {
  yield* assertOneEffect
  // Not a child of our scope: its fibers must live until the shutdown, a finalizer of ours, is done.
  const scope = yield* Scope.make()
  const context = yield* Effect.context<never>()
  const policy = options.stop ?? StopPolicy.standard
  const heartbeat = pulse.settingsOf(options.heartbeat, "always")
  const memory = memoryWatch.limitsOf(options)
  const metrics = WorkerMetrics.make(options.name ?? "workers", context)
  const spareScope = yield* Scope.make()
  const kept = yield* Scope.provide(spares.make(yield* Spawner, options.spares, metrics), spareScope)
  const workers = new Map<K, Held>()
  /** Workers that were evicted and are still going: a successor waits for them. */
  const going = new Set<Going>()
  const goingOf = (key: K): ReadonlyArray<Going> => [...going].filter((one) => one.key === key)
  let closed = false

  // --- events and changes ------------------------------------------------------------------------

  const events = eventHub.make<WorkerEvent<K>>(eventBuffer)
  const outputs = yield* outputQueue.make<WorkerEvent<K>>(outputBuffer)
  const infos = yield* SubscriptionRef.make<ReadonlyMap<K, WorkerInfo>>(new Map())
  const dirty = yield* Queue.sliding<void>(1)

  const emit = (event: WorkerEvent<K>) =>
    Effect.andThen(
      events.publish(event),
      options.onEvent === undefined
        ? Effect.void
        : Effect.catchCause(
            Effect.suspend(() => options.onEvent?.(event) ?? Effect.void),
            (cause) => Effect.logError("onEvent of a WorkerRuntime died", Cause.pretty(cause))
          )
    )

  /** It is called from within the reading of a worker, which a fault of the user's must not end. */
  const printed = (event: Extract<WorkerEvent<K>, { readonly _tag: "WorkerOutput" }>) => {
    try {
      options.onOutputUnsafe?.(event)
    } catch (error) {
      Effect.runForkWith(context)(Effect.logError("onOutputUnsafe of a WorkerRuntime threw", error))
    }
  }

  const pump = yield* Effect.forkScoped(Effect.ignore(Effect.forever(Effect.flatMap(outputs.take, emit))))
  yield* Effect.forkScoped(outputs.watch)
  yield* Effect.forkScoped(
    Effect.forever(
      Effect.andThen(
        Queue.take(dirty),
        Effect.suspend(() => SubscriptionRef.set(infos, snapshot()))
      )
    )
  )

  const snapshot = (): ReadonlyMap<K, WorkerInfo> => {
    const all = new Map<K, WorkerInfo>()
    for (const [key, held] of workers) all.set(key, held.worker.info())
    return all
  }

  // --- the workers -------------------------------------------------------------------------------

  const worker = (key: K): ManagedWorker.ManagedWorker => {
    const known = workers.get(key)
    if (known !== undefined) return known.worker
    const workerScope = Scope.forkUnsafe(scope)
    // Making one is synchronous: it forks its fiber and waits for nothing.
    const made = Effect.runSyncWith(context)(
      Scope.provide(
        ManagedWorker.make<K>({
          key,
          name: key,
          spawner: kept.spawner,
          worker: () => options.worker(key),
          respawn: options.respawn ?? RespawnPolicy.intensity({ max: 6, within: "60 seconds" }),
          shouldRespawn: () => !closed && (options.shouldRespawn?.(key) ?? true),
          readyTimeoutMs: Duration.toMillis(Duration.fromInputUnsafe(options.readyTimeout ?? "10 seconds")),
          stop: policy,
          mailbox: options.mailbox ?? 1024,
          heartbeat,
          memory,
          handover: true,
          metrics,
          emit,
          emitUnsafe: (event, source) => {
            if (event._tag === "WorkerOutput") printed(event)
            outputs.offerUnsafe(event, source)
          },
          changed: () => {
            Queue.offerUnsafe(dirty, undefined)
          },
          after: goneOf(key)
        }),
        workerScope
      )
    )
    workers.set(key, { worker: made, scope: workerScope })
    return made
  }

  /** After the shutdown no worker is made any more, not even one to refuse a call. */
  const tableOf = (key: K): CallTable =>
    closed && !workers.has(key) ? CallTable.refusing(key, new WorkerStopped({ key })) : worker(key).calls

  const client = (key: K): Effect.Effect<WorkerClient<Rpcs>> =>
    Effect.sync(() => makeClient(options.rpcs, { key, table: () => tableOf(key) }))

  /** Runs by itself: an eviction that has begun is carried through, whoever stops waiting for it. */
  const beginEviction = (key: K, held: Held, stop: StopPolicy.StopPolicy): Effect.Effect<void> => {
    const gone = Deferred.makeUnsafe<void>()
    const one: Going = { key, worker: held.worker, gone: Deferred.await(gone) }
    workers.delete(key)
    going.add(one)
    const ended = Effect.sync(() => {
      going.delete(one)
      Queue.offerUnsafe(dirty, undefined)
      Deferred.doneUnsafe(gone, Effect.void)
    })
    Effect.runForkWith(context)(
      Effect.ensuring(Effect.andThen(held.worker.stop(stop), Scope.close(held.scope, Exit.void)), ended)
    )
    return one.gone
  }

  const goneOf = (key: K): Effect.Effect<void> => Effect.forEach(goingOf(key), (one) => one.gone, { discard: true })

  const evict = Effect.fn("WorkerRuntime.evict")(function* (key: K, stop?: StopPolicy.StopPolicy) {
    // One that is on its way out already goes faster when told so.
    if (stop !== undefined) for (const one of goingOf(key)) Effect.runForkWith(context)(one.worker.stop(stop))
    const held = workers.get(key)
    yield* held === undefined ? goneOf(key) : beginEviction(key, held, stop ?? policy)
  })

  const shutdown = Effect.suspend(() => {
    closed = true
    const stops = [...workers.values()].map((held) => held.worker.stop(policy))
    return Effect.forEach(
      [Scope.close(spareScope, Exit.void), ...stops, ...[...going].map((one) => one.gone)],
      (one) => one,
      {
        concurrency: "unbounded",
        discard: true
      }
    )
  })
  yield* Effect.addFinalizer((exit) =>
    Effect.gen(function* () {
      yield* shutdown
      // The last words of workers are told, too.
      yield* outputs.end
      yield* Fiber.await(pump)
      yield* Scope.close(scope, exit)
    })
  )

  return {
    client,
    start: (key) => Effect.suspend(() => (closed ? Effect.fail(new WorkerStopped({ key })) : worker(key).start)),
    evict,
    drain: Effect.fn("WorkerRuntime.drain")(function* (key: K, stop: StopPolicy.StopPolicy = policy) {
      const known = workers.get(key)
      if (known !== undefined) yield* known.worker.drain(stop)
    }),
    kill: (key, reason) =>
      Effect.suspend(() => workers.get(key)?.worker.kill(reason ?? "killed on request") ?? Effect.void),
    reset: (key) => Effect.suspend(() => workers.get(key)?.worker.reset ?? Effect.void),
    shutdown,
    spares: Effect.sync(kept.info),
    has: (key) => workers.has(key),
    keys: Effect.sync(() => [...workers.keys()]),
    info: (key) => Effect.sync(() => workers.get(key)?.worker.info() ?? neverStarted),
    changes: SubscriptionRef.changes(infos),
    events: events.stream
  }
})
