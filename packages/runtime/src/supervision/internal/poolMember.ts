/**
 * One member of a pool: a `ManagedWorker` that lives for one incarnation. It is never respawned; the
 * pool decides what follows its exit and makes a new member. So there is one owner of restarts, and
 * an event of a member that is gone can touch nobody.
 */
import type * as Heartbeat from "@nerve/core/supervision/Heartbeat"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import type { StopPolicy } from "@nerve/core/supervision/StopPolicy"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Channel } from "../../ipc/Channel.ts"
import type { PendingCall } from "../CallTable.ts"
import type * as memoryWatch from "./memoryWatch.ts"
import type { Source } from "./outputQueue.ts"
import * as ManagedWorker from "../ManagedWorker.ts"
import { SpawnFailed, type Spawner } from "../Spawner.ts"
import type { WorkerEvent } from "../WorkerEvent.ts"
import type { WorkerMetrics } from "../WorkerMetrics.ts"
import type { WorkerInfo } from "../WorkerInfo.ts"
import * as WorkerSpec from "../WorkerSpec.ts"

export interface Options {
  /** The incarnation's number. */
  readonly id: number
  readonly slot: number
  /** For logs, errors and the child's environment. */
  readonly name: string
  readonly spawner: Spawner["Service"]
  readonly worker: () => WorkerSpec.WorkerSpec
  readonly bootTimeoutMs: number
  readonly stop: StopPolicy
  readonly heartbeat: Heartbeat.Settings | undefined
  readonly memory: memoryWatch.Limits | undefined
  readonly onMemoryHigh: () => void
  readonly metrics: WorkerMetrics
  readonly emit: (event: WorkerEvent<number>) => Effect.Effect<void>
  readonly emitUnsafe: (event: WorkerEvent<number>, source?: Source) => void
  readonly changed: () => void
  /** Told when its channel has ended. Its exit follows. */
  readonly lost: () => void
  readonly context: Context.Context<never>
  readonly scope: Scope.Scope
}

export interface PoolMember {
  readonly slot: number
  readonly name: string
  readonly info: () => WorkerInfo
  readonly submit: (call: PendingCall) => void
  /** Forgets a call that has not left for the worker; false when it has. */
  readonly takeBack: (call: PendingCall) => boolean
  /** Tells the worker to stop working on a call, which is still answered, if only by `interrupted`. */
  readonly cancel: (call: PendingCall) => void
  readonly acknowledge: (call: PendingCall) => void
  readonly kill: (reason: string) => Effect.Effect<void>
  /** Goes down the stop ladder and frees everything. */
  readonly stop: (policy: StopPolicy) => Effect.Effect<void>
}

/** What the spawner is given is made anew at each spawn, by the pool's `worker`. */
const unused = WorkerSpec.command("")

/** Makes a member and starts it. */
export const startUnsafe = (options: Options): PoolMember => {
  const { id, name, slot } = options
  const scope = Scope.forkUnsafe(options.scope)
  let channel: Channel | undefined

  const watched = (inner: Channel): Channel => ({
    ...inner,
    onEndUnsafe: (listener) =>
      inner.onEndUnsafe((end) => {
        options.lost()
        listener(end)
      })
  })

  const failed = (what: string) => (cause: unknown) => new SpawnFailed({ message: `${what}: ${String(cause)}`, cause })

  // Asked here and not by the ManagedWorker, so that one that throws is a boot that failed.
  const spawn: Spawner["Service"]["spawn"] = Effect.fnUntraced(function* (_spec, context) {
    const spec = yield* Effect.try({ try: options.worker, catch: failed("the worker of this slot") })
    const child = yield* Effect.catchDefect(options.spawner.spawn(spec, { ...context, incarnation: id }), (defect) =>
      Effect.fail(failed("the spawner")(defect))
    )
    channel = watched(child.channel)
    return { ...child, channel }
  })

  const numbered = (event: WorkerEvent<number>): WorkerEvent<number> =>
    "incarnation" in event ? { ...event, incarnation: id } : event

  // Making one is synchronous: it forks its fiber and waits for nothing.
  const worker = Effect.runSyncWith(options.context)(
    Scope.provide(
      ManagedWorker.make<number>({
        key: slot,
        name,
        spawner: { spawn },
        worker: () => unused,
        respawn: RespawnPolicy.never,
        shouldRespawn: () => true,
        readyTimeoutMs: options.bootTimeoutMs,
        stop: options.stop,
        // The pool gives it no more than it may run.
        mailbox: Number.MAX_SAFE_INTEGER,
        heartbeat: options.heartbeat,
        memory: options.memory,
        onMemoryHigh: options.onMemoryHigh,
        // Members are interchangeable: one has nothing to take over from the one before.
        handover: false,
        metrics: options.metrics,
        // That it is not respawned says nothing: what becomes of the slot is the pool's to tell.
        emit: (event) => (event._tag === "WorkerGivenUp" ? Effect.void : options.emit(numbered(event))),
        emitUnsafe: (event, source) => options.emitUnsafe(numbered(event), source),
        changed: options.changed,
        after: Effect.void
      }),
      scope
    )
  )
  // How the start goes is told by the events.
  Effect.runForkWith(options.context)(Effect.ignore(worker.start))

  return {
    slot,
    name,
    info: worker.info,
    submit: (call) => worker.calls.submit(call),
    takeBack: (call) => {
      if (call.id !== undefined) return false
      worker.calls.withdraw(call)
      return true
    },
    cancel: (call) => {
      if (call.id !== undefined) channel?.sendUnsafe({ t: "cancel", id: call.id })
    },
    acknowledge: (call) => worker.calls.acknowledge(call, 1),
    kill: worker.kill,
    stop: (policy) =>
      Effect.uninterruptible(Effect.andThen(worker.stop(policy), Scope.close(scope, Exit.void))).pipe(
        Effect.catchCause((cause) => Effect.logError(`${name} could not be stopped`, Cause.pretty(cause)))
      )
  }
}
