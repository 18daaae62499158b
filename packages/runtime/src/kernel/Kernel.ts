/**
 * The kernel joins senses to workflows: it records what senses say, then launches what they ask for
 * (M12). Signals are data: nothing is ever triggered by a log entry.
 *
 * It also is what the outside asks about the whole (M11), and knows how to go quietly: closing its
 * scope stops the senses first, then lets threads finish within a bound; what does not finish goes on
 * at the next start.
 */
import type { NerveConfig } from "@nerve/core/config/NerveConfig"
import { CurrentConfig } from "@nerve/core/config/NerveConfig"
import type { DaemonStatus } from "@nerve/core/wire/ControlRpcs"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { LogStore, type LogStoreError } from "../log/LogStore.ts"
import type { SenseEvent } from "../sense/SenseEvent.ts"
import { TickHistory } from "../sense/TickHistory.ts"
import * as SensePool from "../sense/SensePool.ts"
import type { SenseWorkers } from "../sense/SenseWorkers.ts"
import type { Spawner } from "../supervision/Spawner.ts"
import type { ThreadHost } from "../workflow/ThreadHost.ts"
import * as WorkflowManager from "../workflow/WorkflowManager.ts"
import type { WorkflowWorkers } from "../workflow/WorkflowWorkers.ts"
import * as EventLog from "./EventLog.ts"
import * as KernelLog from "./KernelLog.ts"
import * as Launches from "./Launches.ts"
import * as Reload from "./Reload.ts"
import * as SenseTicks from "./SenseTicks.ts"
import * as Signals from "./Signals.ts"

/** Who this daemon is. */
export interface Identity {
  readonly version: string
  readonly pid: number
  readonly hostname: string
  /** Absolute path. */
  readonly workspace: string
}

export class Kernel extends Context.Service<
  Kernel,
  {
    readonly status: Effect.Effect<DaemonStatus>
    /** Asks whoever runs the daemon to stop it. Answers at once. */
    readonly requestStop: Effect.Effect<void>
    /** Done when somebody has asked. */
    readonly stopRequested: Effect.Effect<void>
    /**
     * Stops the senses, then lets threads finish within the bound; once, however often it is asked. What
     * does not finish goes on at the next start. Closing the kernel's scope does it too: whoever wants
     * to be asked about the kernel meanwhile does it before.
     */
    readonly finish: Effect.Effect<void>
    readonly reload: Reload.Reload
    readonly senses: SensePool.SensePool["Service"]
    readonly workflows: WorkflowManager.WorkflowManager["Service"]
  }
>()("@nerve/runtime/kernel/Kernel") {}

export interface Options {
  readonly identity: Identity
  /** How long threads may take to finish when the kernel stops; 30 seconds unless told. */
  readonly drainBound?: Duration.Input | undefined
}

/** Starts what an earlier kernel left, then senses. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<
  Kernel["Service"],
  LogStoreError,
  CurrentConfig | LogStore | SenseWorkers | Spawner | ThreadHost | TickHistory | WorkflowWorkers | Scope.Scope
> {
  const store = yield* LogStore
  const history = yield* TickHistory
  const config: NerveConfig = yield* CurrentConfig
  const startedAt = yield* Clock.currentTimeMillis
  const stop = yield* Deferred.make<void>()
  const { hostname, pid, version, workspace } = options.identity

  // --- finalizers run backwards: senses stop, threads finish, workflow workers stop, `stopped` ------

  const lost = yield* Launches.lost(config.senses.map(({ name }) => name))
  yield* store.append(KernelLog.kernel("started", { version, pid, hostname, workspace }))
  yield* Effect.addFinalizer(() => Effect.ignore(store.append(KernelLog.kernel("stopped", { pid }))))
  const log = yield* EventLog.make
  const workflows = yield* WorkflowManager.make({ onWorkerEvent: (event) => log.worker("workflow", event) })

  const drain = Effect.gen(function* () {
    const views = yield* workflows.views
    const waiting = views.reduce((sum, view) => sum + view.active + view.queued, 0)
    if (waiting === 0) return
    const bound = Duration.fromInputUnsafe(options.drainBound ?? "30 seconds")
    const reason = `waiting up to ${Duration.format(bound)} for ${waiting} thread${waiting === 1 ? "" : "s"} to finish`
    yield* Effect.ignore(store.append(KernelLog.kernel("draining", { reason, threads: waiting })))
    yield* Effect.timeoutOption(workflows.awaitIdle, bound)
  })

  // --- from signals to threads -------------------------------------------------------------------

  /** The thread that it started; null when it could not. */
  const launch = ({ id, request, sense }: Launches.Recorded): Effect.Effect<string | null> =>
    workflows.trigger({ ...request, cause: sense, launch: id }).pipe(
      Effect.map(({ threadId }): string | null => threadId),
      Effect.catch((error) => Effect.as(store.append(KernelLog.launchFailed(sense, request, id, error.message)), null)),
      Effect.catch((error) =>
        Effect.as(
          Effect.logError(`launch of ${request.workflow} failed, asked for by sense ${sense}: ${error.message}`),
          null
        )
      )
    )

  const remember = (event: SenseEvent, followed: SenseTicks.Followed): void => {
    const tick = SenseTicks.ofEvent(event, followed)
    if (tick !== null) history.recordUnsafe(tick)
  }

  // Not interruptible: a kernel that goes between a launch's record and its thread would lose it.
  const onEvent = Effect.fnUntraced(function* (event: SenseEvent) {
    const entries = yield* Effect.tapError(log.sense(event), () =>
      Effect.sync(() => remember(event, { signal: null, threads: [] }))
    )
    const threads: Array<string> = []
    for (const recorded of Launches.of(entries)) {
      const thread = yield* launch(recorded)
      if (thread !== null) threads.push(thread)
    }
    remember(event, { signal: entries.find(({ type }) => type === "signal")?.id ?? null, threads })
  }, Effect.uninterruptible)

  // A daemon that was killed there: its successor makes up for it.
  for (const recorded of lost) yield* launch(recorded)
  const sensing = yield* Effect.acquireRelease(Scope.make(), Scope.close)
  const recorded = (sense: string) => Effect.provideService(Signals.lastKey(sense), LogStore, store)
  const senses = yield* Scope.provide(
    SensePool.make({
      config,
      workspace,
      onEvent,
      recorded,
      onDroppedUnsafe: (dropped) => history.recordUnsafe(SenseTicks.ofDropped(dropped))
    }),
    sensing
  )
  const finish = yield* Effect.cached(Effect.uninterruptible(Effect.andThen(Scope.close(sensing, Exit.void), drain)))
  yield* Effect.addFinalizer(() => finish)

  const reload = yield* Reload.make({ config, store, senses, workflows })

  // --- the whole, as the outside sees it -----------------------------------------------------------

  const status = Effect.gen(function* (): Effect.fn.Return<DaemonStatus> {
    const now = yield* Clock.currentTimeMillis
    return {
      version,
      pid,
      hostname,
      workspace,
      startedAt,
      uptimeMs: now - startedAt,
      senses: yield* senses.views,
      workflows: yield* workflows.views,
      workers: [...(yield* senses.workers), ...(yield* workflows.workers)],
      config: yield* reload.state
    }
  })

  return {
    status,
    requestStop: Effect.asVoid(Deferred.succeed(stop, undefined)),
    stopRequested: Deferred.await(stop),
    finish,
    reload,
    senses,
    workflows
  }
})

export const layer = (
  options: Options
): Layer.Layer<
  Kernel,
  LogStoreError,
  CurrentConfig | LogStore | SenseWorkers | Spawner | ThreadHost | TickHistory | WorkflowWorkers
> => Layer.effect(Kernel, make(options))
