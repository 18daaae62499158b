/**
 * The handlers of `ControlRpcs`: what the command line asks, answered from kernel and log.
 */
import { ControlRpcs, StoreUnavailable, UnknownSense, UnknownThread } from "@nerve/core/wire/ControlRpcs"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as Stream from "effect/Stream"
import { Kernel } from "../kernel/Kernel.ts"
import { LogStore, LogStoreError } from "../log/LogStore.ts"
import * as RoundsPage from "../log/RoundsPage.ts"
import { StoreMaintenance } from "../log/StoreMaintenance.ts"
import { StorePolicy } from "../log/StoreRounds.ts"
import { TickHistory } from "../sense/TickHistory.ts"

const unavailable = (error: LogStoreError): StoreUnavailable => new StoreUnavailable({ message: error.message })

/** A failing store is the caller's to know in the words of the wire. */
const stored = <A, E, R>(effect: Effect.Effect<A, E | LogStoreError, R>) =>
  Effect.catchIf(
    effect,
    (error): error is Extract<E | LogStoreError, LogStoreError> => error instanceof LogStoreError,
    (error) => Effect.fail(unavailable(error))
  )

export const layer: Layer.Layer<
  Rpc.ToHandler<RpcGroup.Rpcs<typeof ControlRpcs>>,
  never,
  Kernel | LogStore | TickHistory
> = ControlRpcs.toLayer(
  Effect.gen(function* () {
    const kernel = yield* Kernel
    const store = yield* LogStore
    const history = yield* TickHistory
    const maintenance = yield* Effect.serviceOption(StoreMaintenance)
    const policy = yield* StorePolicy

    /** Asks for maintenance, where there is a log that it can be done to. */
    const maintain = <A>(use: (maintenance: StoreMaintenance["Service"]) => Effect.Effect<A, LogStoreError>) =>
      Option.isNone(maintenance)
        ? Effect.fail(new StoreUnavailable({ message: "this log is only in memory" }))
        : Effect.mapError(use(maintenance.value), unavailable)

    return ControlRpcs.of({
      ArchiveStore: ({ archiveAfterMs, keepMs }) =>
        maintain((it) =>
          it.archive({ archiveAfter: archiveAfterMs ?? policy.archiveAfter, keep: keepMs ?? policy.keep })
        ),
      VerifyStore: () => maintain((it) => it.verify),
      RebuildStore: () => maintain((it) => it.rebuild),
      VacuumStore: () => maintain((it) => it.vacuum),
      GetStoreStats: () => maintain((it) => it.stats),
      GetStatus: () => kernel.status,
      QueryLogs: (query) => Effect.mapError(store.query(query), unavailable),
      TailLogs: (query) => Stream.mapError(store.follow(query), unavailable),
      TriggerSense: ({ sense }) => kernel.senses.trigger(sense),
      ListTicks: (query) =>
        Effect.gen(function* () {
          const ticks = yield* Effect.mapError(history.query(query), unavailable)
          if (ticks.length > 0) return ticks
          // One that left the configuration may still have ticks; one that never was in it has none.
          const known = (yield* kernel.senses.views).map(({ name }) => String(name))
          return known.includes(query.sense) ? ticks : yield* new UnknownSense({ sense: query.sense, known })
        }),
      TriggerWorkflow: (launch) =>
        Effect.catchTag(kernel.workflows.trigger({ ...launch, cause: "manual" }), "LogStoreError", (error) =>
          Effect.fail(unavailable(error))
        ),
      ListThreads: (query) => Effect.mapError(store.runs(query), unavailable),
      ShowThread: ({ threadId, ...page }) =>
        Effect.gen(function* () {
          const run = yield* Effect.mapError(store.run(threadId), unavailable)
          if (run === undefined) return yield* new UnknownThread({ threadId })
          return { run, messages: yield* Effect.mapError(RoundsPage.read(store, threadId, page), unavailable) }
        }),
      KillThread: ({ threadId }) => Effect.mapError(kernel.workflows.kill(threadId), unavailable),
      CancelThread: ({ reason, threadId }) => Effect.mapError(kernel.workflows.cancel(threadId, reason), unavailable),
      PauseThread: ({ reason, threadId }) => stored(kernel.workflows.control.pause(threadId, reason)),
      ResumeThread: ({ newCode, threadId }) => stored(kernel.workflows.control.resume(threadId, newCode)),
      RetryThread: ({ maxRounds, threadId }) => stored(kernel.workflows.control.retry(threadId, maxRounds)),
      ForkThread: (request) => stored(kernel.workflows.control.fork(request)),
      AnswerThread: (given) => stored(kernel.workflows.control.answer(given)),
      AwaitThread: ({ threadId }) =>
        Effect.flatMap(stored(kernel.workflows.ended(threadId)), (run) =>
          run === undefined ? Effect.fail(new UnknownThread({ threadId })) : Effect.succeed(run)
        ),
      ExplainThread: ({ threadId }) => stored(kernel.workflows.control.explain(threadId)),
      PauseWorkflow: ({ reason, workflow }) => stored(kernel.workflows.pauseWorkflow(workflow, reason)),
      ResumeWorkflow: ({ workflow }) => stored(kernel.workflows.resumeWorkflow(workflow)),
      ReloadWorkspace: () => kernel.reload.request,
      // A request's scope closes when its answer has been written: the stop closes the connection.
      StopDaemon: () => Effect.addFinalizer(() => kernel.requestStop)
    })
  })
)
