/**
 * Runs the workflows: accepts triggers, lets threads run or wait or drops them (M4, M5), keeps one
 * worker per workflow (M3), takes up after an earlier daemon (M7), kills threads and replaces workers
 * on request (M8, M9). The log is its memory: it owns nothing that is not written there first (M13).
 *
 * It owns the workers of workflows. How a thread goes on from round to round is `ThreadLoop`'s, where
 * it runs is `ThreadHost`'s, who may run is `Admission`'s.
 */
import { CurrentConfig, type NerveConfig } from "@nerve/core/config/NerveConfig"
import { ThreadId, type WorkflowName } from "@nerve/core/domain/Ids"
import { ExitCode, isActive, type WorkflowRun } from "@nerve/core/domain/Thread"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import { type Triggered, UnknownWorkflow, type WorkerView, type WorkflowView } from "@nerve/core/wire/ControlRpcs"
import { WorkflowWorkerRpcs } from "@nerve/core/wire/WorkflowRpcs"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { workerView } from "../internal/workerView.ts"
import { LogStore, LogStoreError } from "../log/LogStore.ts"
import type { Spawner } from "../supervision/Spawner.ts"
import type { WorkerEvent } from "../supervision/WorkerEvent.ts"
import * as WorkerRuntime from "../supervision/WorkerRuntime.ts"
import * as Children from "./internal/children.ts"
import * as lane from "./internal/lane.ts"
import type { End, Lane, WorkflowRuntime } from "./internal/laneContract.ts"
import { interruption, killing } from "./internal/laneEntries.ts"
import { recover } from "./internal/recovery.ts"
import * as ThreadControl from "./internal/threadControl.ts"
import { untilStored } from "./internal/untilStored.ts"
import * as Waits from "./internal/waits.ts"
import { ThreadHost } from "./ThreadHost.ts"
import * as ThreadIds from "./ThreadIds.ts"
import * as ThreadLoop from "./ThreadLoop.ts"
import { WorkflowWorkers } from "./WorkflowWorkers.ts"

/** What asks for a thread. */
export interface Launch {
  readonly workflow: string
  readonly prompt: string
  /** `max_rounds` of the config unless told. */
  readonly maxRounds?: number | undefined
  /** False unless told. */
  readonly dryRun?: boolean | undefined
  /** What asked for it: a sense's name, or `manual`. */
  readonly cause: string
  /** Log id of the `launch` entry that it follows from. */
  readonly launch?: number | undefined
  /** The same key of the same workflow yields the same thread, unless that one was dropped. */
  readonly key?: string | undefined
  /** Higher goes first in the queue; 0 unless told. */
  readonly priority?: number | undefined
  /** The thread that waits for it. */
  readonly parent?: ThreadId | undefined
}

export class WorkflowManager extends Context.Service<
  WorkflowManager,
  {
    /**
     * A new thread: started, queued or dropped by the workflow's concurrency and overflow. Answers when
     * that is in the log; a failing store means that there is no thread.
     */
    readonly trigger: (launch: Launch) => Effect.Effect<Triggered, UnknownWorkflow | LogStoreError>
    /**
     * Ends a thread as `killed`: at once when queued; else its role is interrupted, and its worker is
     * killed when the role does not stop in time (the other threads go on in the next worker). Answers
     * when it has stopped. False when there is no such thread, or it has ended already. A failing store
     * means that nothing was killed.
     */
    readonly kill: (threadId: string) => Effect.Effect<boolean, LogStoreError>
    /** As `kill`, but the thread ends as `interrupted`, with this reason. */
    readonly cancel: (threadId: string, reason: string) => Effect.Effect<boolean, LogStoreError>
    /** Pauses, resumes, retries, forks, answers and explains threads. */
    readonly control: ThreadControl.ThreadControl
    /** The run of a thread once it has ended; undefined when there is no such thread. */
    readonly ended: (threadId: string) => Effect.Effect<WorkflowRun | undefined, LogStoreError>
    /** Starts nothing of a workflow until it is resumed; durable. Whether that is new. */
    readonly pauseWorkflow: (
      workflow: string,
      reason: string
    ) => Effect.Effect<boolean, UnknownWorkflow | LogStoreError>
    readonly resumeWorkflow: (workflow: string) => Effect.Effect<boolean, UnknownWorkflow | LogStoreError>
    /**
     * The workflow's code is another now: its threads and its worker are dealt with as `on_change` of the
     * config says (M9). Answers when the worker has been replaced. No-op when unknown.
     */
    readonly codeChanged: (workflow: string) => Effect.Effect<void>
    /** Interrupts the workflow's active threads and replaces its worker; no-op when unknown (M9). */
    readonly drainAndRespawn: (workflow: string) => Effect.Effect<void>
    /**
     * Replaces the workflow's worker once none of its threads is active, and answers then. Threads that
     * come meanwhile wait for the new worker, so it gets its turn however busy the workflow is. A crash
     * meanwhile does as well: it replaces the worker, and this answers. No-op when unknown.
     */
    readonly drainWhenIdle: (workflow: string) => Effect.Effect<void>
    /** Revives a workflow whose worker was given up; what is queued is started. No-op otherwise (M14). */
    readonly reset: (workflow: string) => Effect.Effect<void>
    /**
     * Takes over another config: limits change at once without touching what runs; the threads of a
     * removed workflow end as `interrupted` and its worker is stopped (M10).
     */
    readonly configure: (config: NerveConfig) => Effect.Effect<void>
    readonly views: Effect.Effect<ReadonlyArray<WorkflowView>>
    /** One per workflow whose worker was ever asked for; keys are `workflow:NAME`. */
    readonly workers: Effect.Effect<ReadonlyArray<WorkerView>>
    /**
     * Waits until no thread is active or queued; what is queued behind a given-up worker does not count.
     * Without bound: give it one.
     */
    readonly awaitIdle: Effect.Effect<void>
  }
>()("@nerve/runtime/workflow/WorkflowManager") {}

export interface Options {
  /** How long a killed thread's role has to stop before its worker is killed; 5 seconds unless told. */
  readonly killBound?: Duration.Input | undefined
  /** Told of the workers' events, as `Options.onEvent` of `WorkerRuntime`. */
  readonly onWorkerEvent?: ((event: WorkerEvent<WorkflowName>) => Effect.Effect<void>) | undefined
}

/** A worker that is told to stop has this long for it. */
const workerStopBound = Duration.seconds(10)

/** What a drain takes beyond the worker's own bound. */
const drainMargin = Duration.seconds(5)

/** A drain as a whole, at least: a model's answer is worth waiting for (M3). */
const leastDrainBound = Duration.seconds(30)

const drainBound = Duration.max(leastDrainBound, Duration.sum(workerStopBound, drainMargin))

const stopPolicy = StopPolicy.make({ drain: drainBound, polite: workerStopBound })

/** At most six crashes a minute, and no delay between them: a thread waits for its worker (M3). */
const respawnPolicy = RespawnPolicy.intensity({ max: 6, within: "60 seconds" })

/** Starts the manager: first of all it takes up the runs that the log holds as active (M7). */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<
  WorkflowManager["Service"],
  LogStoreError,
  LogStore | CurrentConfig | WorkflowWorkers | ThreadHost | Spawner | Scope.Scope
> {
  const store = yield* LogStore
  const workers = yield* WorkflowWorkers
  const host = yield* ThreadHost
  const scope = yield* Effect.scope
  const newThreadId = yield* ThreadIds.make
  const configuring = Semaphore.makeUnsafe(1)
  const lanes = new Map<string, Lane>()
  const idle = Latch.makeUnsafe(true)
  let config: NerveConfig = yield* CurrentConfig
  let closed = false

  // --- workers, then threads: the scope closes in the other order --------------------------------

  const runtime: WorkflowRuntime = yield* WorkerRuntime.make({
    rpcs: WorkflowWorkerRpcs,
    worker: workers.spec,
    respawn: respawnPolicy,
    shouldRespawn: (workflow: WorkflowName) => lanes.has(workflow),
    stop: stopPolicy,
    // A round has no bound of its own, so this is the only one for a role that is stuck in a loop; generous,
    // because a role may well compute for a while.
    heartbeat: { timeout: "1 minute" },
    name: "workflows",
    onEvent: Effect.fnUntraced(function* (event) {
      const concerned = lanes.get(event.key)
      if (concerned !== undefined) yield* concerned.onEvent(event)
      if (options.onWorkerEvent !== undefined) yield* options.onWorkerEvent(event)
    })
  })
  const loop = yield* ThreadLoop.make({
    client: runtime.client,
    onChange: (workflow) => lanes.get(workflow)?.onChange() ?? "finish-on-old",
    budget: (workflow) => lanes.get(workflow)?.budget() ?? null,
    halted: (threadId) => laneOf(threadId)?.halted(threadId) ?? false
  })

  const laneOf = (threadId: ThreadId): Lane | undefined => {
    for (const one of lanes.values()) if (one.has(threadId)) return one
    return undefined
  }

  const threads = yield* host.open((threadId) =>
    loop(threadId).pipe(
      // A fault of nerve itself must not hold the slot for ever.
      Effect.catchDefect((defect) =>
        Effect.succeed<ThreadLoop.ThreadOutcome>({
          _tag: "Failed",
          reason: defect instanceof LogStoreError ? `the log: ${defect.message}` : Cause.pretty(Cause.die(defect))
        })
      ),
      Effect.flatMap((outcome) => laneOf(threadId)?.over(threadId, outcome) ?? Effect.void)
    )
  )

  const changed = () => {
    if ([...lanes.values()].every((one) => one.isIdle())) idle.openUnsafe()
    else idle.closeUnsafe()
  }

  const control = ThreadControl.make({ store, runtime, newThreadId, lane: (workflow) => lanes.get(workflow) })

  // --- what ends a wait --------------------------------------------------------------------------

  const ended = Effect.fnUntraced(function* (threadId: ThreadId): Effect.fn.Return<WorkflowRun | undefined> {
    while (true) {
      yield* laneOf(threadId)?.gone(threadId) ?? Effect.void
      const run = yield* untilStored(store.run(threadId))
      if (run === undefined || !isActive(run.status)) return run
      // Taken up again, or about to be: whoever works on it is a step away.
      yield* laneOf(threadId) === undefined ? Effect.sleep("1 second") : Effect.yieldNow
    }
  })

  const children = Children.make({
    store,
    trigger: (launch) => trigger(launch),
    retry: control.retry,
    end: (workflow, threadId, how) => Effect.suspend(() => lanes.get(workflow)?.end(threadId, how) ?? unsettled)
  })

  const waits: Waits.Waits = yield* Waits.make({
    scope,
    settle: (threadId, round, recorded) => settled(threadId, (one) => one.settle(threadId, round, recorded)),
    fail: (threadId, reason) =>
      settled(threadId, (one) => one.end(threadId, { status: "failed", exitCode: ExitCode.roleError, reason })),
    children,
    ended: (threadId) => Effect.flatMap(ended(threadId), (run) => Effect.fromNullishOr(run).pipe(Effect.orDie)),
    lastMessage: ({ rounds, threadId }) =>
      Effect.map(untilStored(store.messages(threadId, { afterRound: rounds - 1 })), (messages) => messages.at(-1))
  })

  /** Has the lane of a thread make a change, if it has one still. */
  const settled = (threadId: ThreadId, change: (one: Lane) => Effect.Effect<unknown, LogStoreError>) =>
    Effect.asVoid(
      untilStored(
        Effect.suspend((): Effect.Effect<unknown, LogStoreError> => {
          const one = laneOf(threadId)
          return one === undefined ? Effect.void : change(one)
        })
      )
    )

  const openLanes = (next: NerveConfig) => {
    for (const workflow of next.workflows) {
      if (lanes.has(workflow.name)) continue
      lanes.set(
        workflow.name,
        lane.make({
          config: workflow,
          store,
          runtime,
          threads,
          killBound: Duration.fromInputUnsafe(options.killBound ?? "5 seconds"),
          stop: stopPolicy,
          changed,
          closed: () => closed,
          waits: (threadId, wait) => waits.arm(threadId, wait),
          withdrawn: (threadId, wait) => waits.withdraw(threadId, wait),
          scope
        })
      )
    }
  }

  // --- the service -------------------------------------------------------------------------------

  const trigger = Effect.fn("WorkflowManager.trigger")(function* (launch: Launch) {
    const wanted = lanes.get(launch.workflow)
    const known = wanted?.view().name
    const unknown = () => new UnknownWorkflow({ workflow: launch.workflow, known: [...lanes.keys()] })
    if (wanted === undefined || known === undefined) return yield* unknown()
    const threadId = yield* newThreadId(known)
    const { key, parent, priority } = launch
    const admitted = yield* wanted.admit(threadId, {
      workflow: known,
      prompt: launch.prompt,
      maxRounds: launch.maxRounds ?? config.maxRounds,
      dryRun: launch.dryRun ?? false,
      cause: launch.cause,
      ...(launch.launch === undefined ? {} : { launch: launch.launch }),
      ...(key === undefined ? {} : { key }),
      ...(priority === undefined ? {} : { priority }),
      ...(parent === undefined ? {} : { parent })
    })
    return admitted ?? (yield* unknown())
  })

  const end = Effect.fnUntraced(function* (text: string, how: End) {
    const threadId = Option.getOrUndefined(decodeThreadId(text))
    if (threadId === undefined) return false
    return yield* laneOf(threadId)?.kill(threadId, how) ?? Effect.succeed(false)
  })

  const kill = Effect.fn("WorkflowManager.kill")((threadId: string) => end(threadId, killing("killed on request")))

  const cancel = Effect.fn("WorkflowManager.cancel")((threadId: string, reason: string) =>
    end(threadId, interruption(reason === "" ? "cancelled" : `cancelled: ${reason}`))
  )

  const inLane = <A>(workflow: string, ask: (one: Lane) => Effect.Effect<A, LogStoreError>) =>
    Effect.suspend((): Effect.Effect<A, UnknownWorkflow | LogStoreError> => {
      const one = lanes.get(workflow)
      return one === undefined ? Effect.fail(new UnknownWorkflow({ workflow, known: [...lanes.keys()] })) : ask(one)
    })

  const configure = Effect.fn("WorkflowManager.configure")(function* (next: NerveConfig) {
    config = next
    const names = new Set<string>(next.workflows.map((workflow) => workflow.name))
    // First those that stay and come: they must not wait for the threads of those that go.
    for (const workflow of next.workflows) yield* lanes.get(workflow.name)?.configure(workflow) ?? Effect.void
    openLanes(next)
    changed()
    for (const [name, one] of [...lanes]) {
      if (names.has(name)) continue
      // First the threads, then the name: a thread's end finds its lane by it.
      yield* one.remove
      lanes.delete(name)
    }
    changed()
  }, configuring.withPermit)

  const workerOf = (workflow: WorkflowName): Effect.Effect<WorkerView> =>
    Effect.map(runtime.info(workflow), (info) => workerView(`workflow:${workflow}`, info))

  openLanes(config)
  yield* recover({ store, lanes, arm: waits.arm, endIfAbandoned: children.endIfAbandoned })
  // Added last, so that it is what closing begins with.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
    })
  )

  return WorkflowManager.of({
    trigger,
    kill,
    cancel,
    control,
    ended: Effect.fnUntraced(function* (text) {
      const threadId = Option.getOrUndefined(decodeThreadId(text))
      // Asked first, so that a store that fails says so instead of being tried for ever.
      const run = threadId === undefined ? undefined : yield* store.run(threadId)
      return run === undefined || !isActive(run.status) ? run : yield* ended(run.threadId)
    }),
    pauseWorkflow: (workflow, reason) => inLane(workflow, (one) => one.hold(reason)),
    resumeWorkflow: (workflow) => inLane(workflow, (one) => one.release),
    codeChanged: (workflow) => Effect.suspend(() => lanes.get(workflow)?.codeChanged ?? Effect.void),
    configure,
    drainAndRespawn: (workflow) => Effect.suspend(() => lanes.get(workflow)?.drainAndRespawn ?? Effect.void),
    drainWhenIdle: (workflow) => Effect.suspend(() => lanes.get(workflow)?.drainWhenIdle ?? Effect.void),
    reset: (workflow) => Effect.suspend(() => lanes.get(workflow)?.reset ?? Effect.void),
    views: Effect.sync(() => Array.from(lanes.values(), (one) => one.view())),
    workers: Effect.flatMap(runtime.keys, (keys) => Effect.forEach(keys, workerOf)),
    awaitIdle: idle.await
  })
})

const unsettled = Effect.succeed(false)

/** The manager as a service, for as long as the layer lives. */
export const layer = (
  options?: Options
): Layer.Layer<WorkflowManager, LogStoreError, LogStore | CurrentConfig | WorkflowWorkers | ThreadHost | Spawner> =>
  Layer.effect(WorkflowManager, make(options))

const decodeThreadId = Schema.decodeUnknownOption(ThreadId)
