/**
 * One workflow of the manager: who of its threads runs and who waits, in memory and in the log.
 *
 * Every change goes one way: under the lane's lock decide (`Admission`), append what was decided in
 * one transaction, then take over the new state, then act. So the log is always ahead of the effects
 * (M13), a change that the store refuses has not happened, and ends and starts stand in the log in the
 * order in which they were decided.
 */
import type { WorkflowConfig } from "@nerve/core/config/NerveConfig"
import type { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import type { LogInput } from "@nerve/core/domain/LogEntry"
import type { RunOpened } from "@nerve/core/domain/RunProjection"
import { ExitCode } from "@nerve/core/domain/Thread"
import type * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type { WorkflowView } from "@nerve/core/wire/ControlRpcs"
import { WorkflowWorkerReady, type WorkflowWorkerRpcs } from "@nerve/core/wire/WorkflowRpcs"
import * as Admission from "@nerve/core/workflow/Admission"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { LogStore, LogStoreError } from "../../log/LogStore.ts"
import type { WorkerEvent } from "../../supervision/WorkerEvent.ts"
import type { WorkerInfo, WorkerRuntime } from "../../supervision/WorkerRuntime.ts"
import * as RunLog from "../RunLog.ts"
import type { Threads } from "../ThreadHost.ts"
import type { ThreadOutcome } from "../ThreadLoop.ts"
import { untilStored } from "./untilStored.ts"

/** The runtime of all workflows' workers. */
export type WorkflowRuntime = WorkerRuntime<WorkflowName, RpcGroup.Rpcs<typeof WorkflowWorkerRpcs>>

export interface Options {
  readonly config: WorkflowConfig
  readonly store: LogStore["Service"]
  readonly runtime: WorkflowRuntime
  readonly threads: Threads
  /** How long a killed thread's role has to stop before its worker is killed. */
  readonly killBound: Duration.Duration
  /** The bounds of a drain. */
  readonly stop: StopPolicy.StopPolicy
  /** Told after each change of who runs and who waits. */
  readonly changed: () => void
  readonly closed: () => boolean
  /** Owns what must go on when its caller goes away: kills and drains. */
  readonly scope: Scope.Scope
}

/** A run that an earlier daemon left active. */
export interface Leftover {
  readonly threadId: ThreadId
  readonly started: boolean
  readonly opened: RunOpened
}

export interface Lane {
  /** What became of the newcomer; undefined when the workflow has been removed meanwhile. */
  readonly admit: (
    threadId: ThreadId,
    opened: RunOpened
  ) => Effect.Effect<"started" | "queued" | "dropped" | undefined, LogStoreError>
  /** A thread's loop has ended. */
  readonly over: (threadId: ThreadId, outcome: ThreadOutcome) => Effect.Effect<void>
  readonly kill: (threadId: ThreadId) => Effect.Effect<boolean, LogStoreError>
  readonly recover: (leftovers: ReadonlyArray<Leftover>) => Effect.Effect<void, LogStoreError>
  readonly configure: (config: WorkflowConfig) => Effect.Effect<void>
  readonly remove: Effect.Effect<void>
  readonly drainAndRespawn: Effect.Effect<void>
  readonly drainWhenIdle: Effect.Effect<void>
  readonly reset: Effect.Effect<void>
  readonly onEvent: (event: WorkerEvent<WorkflowName>) => Effect.Effect<void>
  readonly has: (threadId: ThreadId) => boolean
  readonly isIdle: () => boolean
  readonly view: () => WorkflowView
}

type Input = Admission.Input<ThreadId>
type Action = Admission.Action<ThreadId>

/** A thread that is active or queued. */
interface Thread {
  readonly opened: RunOpened
  /** Set when its end is in the log; it keeps its slot until it has really stopped. */
  end: "killed" | "interrupted" | undefined
  /** Done when it is neither active nor queued any more. */
  readonly gone: Deferred.Deferred<void>
}

/** A drain that waits for the active threads, or runs. Nothing is started meanwhile. */
interface Drain {
  readonly done: Deferred.Deferred<void>
  running: boolean
}

/** A lane with nobody in it. */
export const make = (options: Options): Lane => {
  const { killBound, runtime, scope, store, threads } = options
  const workflow = options.config.name
  const lock = Semaphore.makeUnsafe(1)
  const known = new Map<ThreadId, Thread>()
  let config = options.config
  let state: Admission.State<ThreadId> = Admission.empty
  let removed = false
  let ready: WorkflowWorkerReady | undefined
  /** Why the worker was given up. */
  let givenUp: string | undefined
  let drain: Drain | undefined

  const hold = (): Admission.Hold => (givenUp !== undefined ? "given-up" : drain !== undefined ? "drain" : "none")

  // --- the one way to change ---------------------------------------------------------------------

  /**
   * Runs with the lane to itself. Not interruptible inside: a change is made, or it is not. Once the
   * manager is closed there are no changes any more, whoever may still ask: its successor on the same
   * log must be the only one to write.
   */
  const locked = <A, E>(change: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    lock.withPermit(Effect.uninterruptible(Effect.suspend(() => (options.closed() ? Effect.interrupt : change))))

  /** Decide, append, take over, act. Only under the lock. `fresh` is what the newcomer is about. */
  const change = Effect.fnUntraced(function* (
    input: Input,
    more: { readonly first?: LogInput; readonly fresh?: RunOpened } = {}
  ): Effect.fn.Return<ReadonlyArray<Action>, LogStoreError> {
    const decision = Admission.decide(state, input, { ...config, hold: hold() })
    const entries = decision.actions.flatMap((action) => entryOf(action, input, more.fresh) ?? [])
    const all = more.first === undefined ? entries : [more.first, ...entries]
    if (all.length > 0) yield* store.appendAll(all)
    state = decision.state
    if (input._tag === "Triggered" && more.fresh !== undefined) keep(input.id, more.fresh)
    if (input._tag === "Ended") forget(input.id)
    for (const action of decision.actions) yield* act(action, input)
    yield* settled
    return decision.actions
  })

  const entryOf = (action: Action, input: Input, fresh: RunOpened | undefined): LogInput | undefined => {
    const { id } = action
    const thread = known.get(id)
    const opened = thread?.opened ?? fresh
    switch (action._tag) {
      case "Start":
        return opened && RunLog.started(id, opened)
      case "Enqueue":
        return opened && RunLog.queued(id, opened)
      case "Reject":
        return opened && RunLog.rejected(id, opened, rejectionText(action.why))
      case "Drop":
        return RunLog.ended(
          id,
          "dropped",
          ExitCode.dropped,
          `the queue is full (max_queue ${config.maxQueue}) and this was the oldest in it`
        )
      case "Withdraw":
        return input._tag === "Removed" ? interruptedBy(id, removal) : killed(id, "killed while queued")
      case "Stop":
        if (thread?.end !== undefined) return undefined
        return input._tag === "Removed" ? interruptedBy(id, removal) : killed(id, "killed on request")
      case "Resume":
        return undefined
    }
  }

  const act = (action: Action, input: Input): Effect.Effect<void> => {
    switch (action._tag) {
      case "Start":
      case "Resume":
        return threads.run(action.id)
      case "Reject":
      case "Drop":
      case "Withdraw":
        return Effect.sync(() => forget(action.id))
      case "Stop":
        return stopActive(action.id, input._tag === "Removed" ? "interrupted" : "killed")
      case "Enqueue":
        return Effect.void
    }
  }

  const keep = (threadId: ThreadId, opened: RunOpened) => {
    known.set(threadId, { opened, end: undefined, gone: Deferred.makeUnsafe() })
  }

  const forget = (threadId: ThreadId) => {
    const thread = known.get(threadId)
    known.delete(threadId)
    if (thread !== undefined) Deferred.doneUnsafe(thread.gone, Effect.void)
  }

  const rejectionText = (why: Admission.Rejection): string => {
    switch (why) {
      case "no-slot":
        return `all slots are taken (concurrency ${config.concurrency}, overflow drop)`
      case "no-place":
        return `all slots are taken (concurrency ${config.concurrency}) and the queue has no places (max_queue 0)`
      case "given-up":
        return `the workflow's worker was given up: ${givenUp ?? ""}`
    }
  }

  /** After each change: tell, and begin a drain that waited for the last thread to go. */
  const settled = Effect.suspend(() => {
    options.changed()
    if (drain === undefined || drain.running || state.active.size > 0) return Effect.void
    drain.running = true
    return Effect.asVoid(Effect.forkIn(runDrain(drain), scope))
  })

  const limitsChanged = untilStored(locked(change({ _tag: "LimitsChanged" })))

  // --- the ends of threads -----------------------------------------------------------------------

  const over = Effect.fnUntraced(function* (threadId: ThreadId, outcome: ThreadOutcome) {
    const end = RunLog.ofOutcome(threadId, outcome)
    if (end === undefined) {
      return yield* Effect.logWarning(
        "the worker was stopped under a thread; the thread goes on at the next start",
        threadId
      )
    }
    // Known before the slot is free, so that nobody is started into a refusal.
    if (outcome._tag === "GivenUp" && givenUp === undefined && (yield* info).state === "given-up") {
      givenUp = outcome.reason
    }
    yield* untilStored(
      locked(
        Effect.suspend(() =>
          // Whoever has ended it meanwhile frees its slot, too.
          known.get(threadId)?.end === undefined && known.has(threadId)
            ? change({ _tag: "Ended", id: threadId }, { first: end })
            : Effect.void
        )
      )
    )
  })

  /** Marks the end, which is in the log already, and has the thread stopped in the background. */
  const stopActive = (threadId: ThreadId, end: "killed" | "interrupted"): Effect.Effect<void> =>
    Effect.suspend(() => {
      const thread = known.get(threadId)
      if (thread === undefined || thread.end !== undefined) return Effect.void
      thread.end = end
      return Effect.asVoid(Effect.forkIn(stop(threadId, end), scope))
    })

  const stop = Effect.fnUntraced(function* (threadId: ThreadId, end: "killed" | "interrupted") {
    // Interrupting the loop cancels its call in the worker.
    yield* threads.interrupt(threadId)
    // An interrupted thread's worker is about to be replaced; a killed one's goes on serving others.
    if (end === "killed") yield* confirmStopped(threadId)
    yield* untilStored(locked(change({ _tag: "Ended", id: threadId })))
  })

  /** Waits until the role has stopped in the worker; a worker that hangs is killed (M8). */
  const confirmStopped = Effect.fnUntraced(function* (threadId: ThreadId) {
    const before = yield* info
    if (before.state !== "ready") return
    const client = yield* runtime.client(workflow)
    const hangs = yield* client.StopRound({ threadId }, { timeoutMs: Duration.toMillis(killBound) }).pipe(
      Effect.as(false),
      // Any answer shows that it does not hang: the cancel came before this call.
      Effect.catch((error) => Effect.succeed(error._tag === "CallTimeout")),
      Effect.catchDefect(() => Effect.succeed(false))
    )
    if (!hangs) return
    yield* Effect.logWarning("a killed thread did not stop in time; its worker is killed", threadId)
    yield* runtime.kill(workflow, `thread ${threadId} was killed and did not stop within ${Duration.format(killBound)}`)
    // The next thread must not be sent into the dying worker.
    yield* Effect.timeoutOption(
      infoUntil((now) => now.pid !== before.pid),
      killBound
    )
  })

  const info: Effect.Effect<WorkerInfo> = runtime.info(workflow)

  const infoUntil = (holds: (info: WorkerInfo) => boolean): Effect.Effect<void> =>
    runtime.changes.pipe(
      Stream.mapEffect(() => info),
      Stream.filter(holds),
      Stream.take(1),
      Stream.runDrain
    )

  // --- what the manager asks ---------------------------------------------------------------------

  const admit: Lane["admit"] = (threadId, opened) =>
    locked(
      Effect.suspend(() => {
        if (removed) return Effect.undefined
        return Effect.map(change({ _tag: "Triggered", id: threadId }, { fresh: opened }), (actions) => {
          // The newcomer's action is the last: those dropped for it come first.
          switch (actions.at(-1)?._tag) {
            case "Start":
              return "started"
            case "Enqueue":
              return "queued"
            default:
              return "dropped"
          }
        })
      })
    )

  const kill = Effect.fnUntraced(function* (threadId: ThreadId) {
    const thread = known.get(threadId)
    const [action] = yield* locked(change({ _tag: "Killed", id: threadId }))
    if (thread === undefined || action === undefined) return false
    yield* Deferred.await(thread.gone)
    return action._tag === "Withdraw" || thread.end === "killed"
  })

  const recover = (leftovers: ReadonlyArray<Leftover>) =>
    locked(
      Effect.suspend(() => {
        for (const { opened, threadId } of leftovers) keep(threadId, opened)
        const ids = (started: boolean) => leftovers.filter((one) => one.started === started).map((one) => one.threadId)
        return Effect.asVoid(change({ _tag: "Recovered", started: ids(true), queued: ids(false) }))
      })
    )

  const configure = (next: WorkflowConfig) =>
    Effect.suspend(() => {
      config = next
      return Effect.asVoid(limitsChanged)
    })

  const remove = Effect.gen(function* () {
    const gone = yield* untilStored(
      locked(
        Effect.suspend(() => {
          removed = true
          const everybody = [...known.values()].map((thread) => thread.gone)
          return Effect.as(change({ _tag: "Removed" }), everybody)
        })
      )
    )
    yield* Effect.forEach(gone, Deferred.await, { discard: true })
    yield* runtime.evict(workflow, options.stop)
  })

  const reset = Effect.suspend(() =>
    givenUp === undefined ? Effect.void : Effect.andThen(revive, Effect.asVoid(limitsChanged))
  )

  const revive = Effect.gen(function* () {
    yield* runtime.reset(workflow)
    // Calls are refused until the worker has taken note.
    yield* infoUntil((now) => now.state !== "given-up")
    givenUp = undefined
  })

  // --- drains ------------------------------------------------------------------------------------

  /** The drain to wait for. One that runs already may have started the worker too early for this one. */
  const beginDrain: Effect.Effect<Drain> = Effect.suspend(() => {
    if (drain?.running === true) return Effect.andThen(Deferred.await(drain.done), beginDrain)
    drain ??= { done: Deferred.makeUnsafe(), running: false }
    return Effect.succeed(drain)
  })

  const drainWhenIdle = Effect.gen(function* () {
    const { done } = yield* beginDrain
    yield* locked(settled)
    yield* Deferred.await(done)
  })

  const drainAndRespawn = Effect.gen(function* () {
    const { done } = yield* beginDrain
    yield* untilStored(locked(interruptAll))
    yield* Deferred.await(done)
  })

  const interruptAll = Effect.gen(function* () {
    const running = [...state.active].filter((id) => known.get(id)?.end === undefined)
    if (running.length > 0) yield* store.appendAll(running.map((id) => interruptedBy(id, replacement)))
    for (const id of running) yield* stopActive(id, "interrupted")
    yield* settled
  })

  const runDrain = (current: Drain) =>
    Effect.andThen(
      Effect.suspend(() => (givenUp === undefined ? runtime.drain(workflow, options.stop) : revive)),
      endDrain(current)
    )

  const endDrain = Effect.fnUntraced(function* (current: Drain) {
    if (drain !== current) return
    drain = undefined
    yield* limitsChanged
    yield* Deferred.succeed(current.done, undefined)
  })

  /** Goes on when the caller goes away. Starts at once, so that a hold counts from the call. */
  const inBackground = (effect: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.flatMap(Effect.forkIn(effect, scope, { startImmediately: true }), Fiber.join)

  // --- the worker --------------------------------------------------------------------------------

  const onEvent = (event: WorkerEvent<WorkflowName>): Effect.Effect<void> =>
    Effect.suspend(() => {
      switch (event._tag) {
        case "WorkerReady":
          ready = Option.getOrUndefined(decodeReady(event.info))
          return Effect.void
        case "WorkerGivenUp":
          givenUp = event.reason
          return Effect.sync(options.changed)
        case "WorkerExited":
          // A crash replaces the worker, too, so a drain that waits has nothing left to do (M9).
          return !event.expected && drain !== undefined && !drain.running
            ? Effect.asVoid(Effect.forkIn(endDrain(drain), scope))
            : Effect.void
        default:
          return Effect.void
      }
    })

  const view = (): WorkflowView => ({
    name: workflow,
    concurrency: config.concurrency,
    overflow: config.overflow,
    maxQueue: config.maxQueue,
    active: state.active.size,
    queued: state.queue.length,
    roles: ready?.roles ?? [],
    problem:
      givenUp === undefined
        ? (ready?.problem ?? null)
        : {
            code: "worker-given-up",
            message: `the worker of workflow ${workflow} was given up: ${givenUp}`,
            file: null,
            hint: "mend the workflow's code, then start nerve again: its worker gets another chance"
          }
  })

  return {
    admit,
    over,
    kill,
    recover,
    configure,
    remove: inBackground(remove),
    drainAndRespawn: inBackground(drainAndRespawn),
    drainWhenIdle: inBackground(drainWhenIdle),
    reset: inBackground(reset),
    onEvent,
    has: (threadId) => known.has(threadId),
    isIdle: () => Admission.isIdle(state, hold()),
    view
  }
}

const decodeReady = Schema.decodeUnknownOption(Schema.toCodecJson(WorkflowWorkerReady))

const removal = "the workflow left the config"

const replacement = "the workflow's worker was replaced"

const interruptedBy = (threadId: ThreadId, reason: string): LogInput =>
  RunLog.ended(threadId, "interrupted", ExitCode.interrupted, reason)

const killed = (threadId: ThreadId, reason: string): LogInput =>
  RunLog.ended(threadId, "killed", ExitCode.killed, reason)
