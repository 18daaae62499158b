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
import type { WorkflowRun } from "@nerve/core/domain/Thread"
import type { WorkflowView } from "@nerve/core/wire/ControlRpcs"
import * as Admission from "@nerve/core/workflow/Admission"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Semaphore from "effect/Semaphore"
import type { LogStoreError } from "../../log/LogStore.ts"
import type { WorkerEvent } from "../../supervision/WorkerEvent.ts"
import * as RunLog from "../RunLog.ts"
import type { ThreadOutcome } from "../ThreadLoop.ts"
import * as Drains from "./drains.ts"
import type { Admitted, End, Lane, Leftover, Options } from "./laneContract.ts"
import {
  type Action,
  endedBy,
  endOf,
  entryOf,
  type Input,
  interruption,
  type More,
  replacement
} from "./laneEntries.ts"
import * as LaneHold from "./laneHold.ts"
import * as LanePauses from "./lanePauses.ts"
import * as LaneThreads from "./laneThreads.ts"
import * as LaneWorker from "./laneWorker.ts"
import { untilStored } from "./untilStored.ts"

/** A lane with nobody in it. */
export const make = (options: Options): Lane => {
  const { killBound, runtime, scope, store, threads } = options
  const workflow = options.config.name
  const lock = Semaphore.makeUnsafe(1)
  const known = LaneThreads.make()
  const worker = LaneWorker.make(runtime, workflow, killBound)
  let config = options.config
  let state: Admission.State<ThreadId> = Admission.empty
  let removed = false
  /** Of the last arrival in the queue. Log ids at first, so that who is recovered goes before who comes. */
  let order = 0

  const hold = (): Admission.Hold => {
    if (worker.givenUp() !== undefined) return "given-up"
    if (holding.reason() !== undefined) return "paused"
    return drains.isPending() ? "drain" : "none"
  }

  // --- the one way to change ---------------------------------------------------------------------

  /**
   * Runs with the lane to itself. Not interruptible inside: a change is made, or it is not. Once the
   * manager is closed there are no changes any more, whoever may still ask: its successor on the same
   * log must be the only one to write.
   */
  const locked = <A, E>(change: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    lock.withPermit(Effect.uninterruptible(Effect.suspend(() => (options.closed() ? Effect.interrupt : change))))

  /** Decide, append, take over, act. Only under the lock. */
  const change = Effect.fnUntraced(function* (
    input: Input,
    more: More = {}
  ): Effect.fn.Return<ReadonlyArray<Action>, LogStoreError> {
    const decision = Admission.decide(state, input, { ...config, hold: hold() })
    const circumstances = { ...config, givenUp: worker.givenUp(), held: holding.reason() }
    const entries = decision.actions.flatMap(
      (action) => entryOf(action, input, more, known.get(action.id), circumstances) ?? []
    )
    const isIn = decision.actions.some(({ _tag }) => _tag === "Start" || _tag === "Enqueue")
    const all = [...(more.first ?? []), ...entries, ...(isIn ? (more.copied ?? []) : [])]
    if (all.length > 0) yield* store.appendAll(all)
    state = decision.state
    if (more.fresh !== undefined && "id" in input) known.keep(input.id, more.fresh)
    if (input._tag === "Ended") known.forget(input.id)
    more.once?.()
    for (const action of decision.actions) yield* act(action, input, more)
    yield* settled
    return decision.actions
  })

  const act = (action: Action, input: Input, more: More): Effect.Effect<void> => {
    switch (action._tag) {
      case "Start":
      case "Resume":
        known.begin(action.id)
        return threads.run(action.id)
      case "Reject":
      case "Drop":
        return Effect.sync(() => known.forget(action.id))
      case "Withdraw": {
        const wait = known.get(action.id)?.wait
        known.forget(action.id)
        return wait === undefined ? Effect.void : options.withdrawn(action.id, wait)
      }
      case "Stop":
        return stopActive(action.id, endOf(input, more).status)
      case "Enqueue":
        return Effect.void
    }
  }

  /** After each change: tell, and begin a drain that waited for the last thread to go. */
  const settled = Effect.suspend(() => {
    options.changed()
    return drains.settled
  })

  const limitsChanged = Effect.asVoid(untilStored(locked(change({ _tag: "LimitsChanged" }))))

  const drains = Drains.make({
    isActive: () => state.active.size > 0,
    replace: Effect.suspend(() =>
      worker.givenUp() === undefined ? runtime.drain(workflow, options.stop) : worker.revive
    ),
    over: limitsChanged,
    scope
  })

  // --- the ends of threads -----------------------------------------------------------------------

  const over = Effect.fnUntraced(function* (threadId: ThreadId, outcome: ThreadOutcome) {
    switch (outcome._tag) {
      case "Stopped":
        return yield* locked(askAgain(threadId))
      case "Halted":
        return yield* untilStored(locked(pauses.halt(threadId)))
      case "Pauses":
        return yield* untilStored(locked(pauses.holdStill(threadId, outcome)))
      case "Waits":
        return yield* untilStored(locked(pauses.wait(threadId, outcome)))
    }
    const end = RunLog.ofOutcome(threadId, outcome)
    if (end === undefined) return
    yield* untilStored(
      locked(
        Effect.suspend(() =>
          known.isLive(threadId) ? change({ _tag: "Ended", id: threadId }, { first: [end] }) : none
        )
      )
    )
  })

  /** Its worker was replaced under its round, which took longer than a drain waits: the next worker runs it. */
  const askAgain = (threadId: ThreadId) =>
    Effect.suspend(() => (known.isLive(threadId) && !removed ? threads.run(threadId) : Effect.void))

  // --- what holds still --------------------------------------------------------------------------

  const holding = LaneHold.make({
    workflow,
    store,
    locked,
    held: options.changed,
    released: change({ _tag: "LimitsChanged" })
  })

  const pauses = LanePauses.make({
    threads: known,
    state: () => state,
    isRemoved: () => removed,
    nextOrder: () => ++order,
    store,
    locked,
    change,
    run: threads.run,
    waits: options.waits
  })

  // --- stopping ----------------------------------------------------------------------------------

  /** Marks the end, which is in the log already, and has the thread stopped in the background. */
  const stopActive = (threadId: ThreadId, end: End["status"], confirm = true): Effect.Effect<void> =>
    Effect.suspend(() => {
      const thread = known.get(threadId)
      if (thread === undefined || thread.end !== undefined) return Effect.void
      thread.end = end
      return Effect.asVoid(Effect.forkIn(stop(threadId, confirm), scope))
    })

  const stop = Effect.fnUntraced(function* (threadId: ThreadId, confirm: boolean) {
    // Interrupting the loop cancels its call in the worker.
    yield* threads.interrupt(threadId)
    // Unless its worker is about to be replaced: then nobody else is served by it.
    if (confirm) yield* worker.confirmStopped(threadId)
    yield* untilStored(locked(change({ _tag: "Ended", id: threadId })))
  })

  // --- what the manager asks ---------------------------------------------------------------------

  const admit: Lane["admit"] = (threadId, opened, copied = []) =>
    locked(
      Effect.gen(function* (): Effect.fn.Return<Admitted | undefined, LogStoreError> {
        if (removed) return undefined
        const existing = opened.key === undefined ? undefined : yield* byKey(opened.key)
        if (existing !== undefined) return { threadId: existing.threadId, status: existing.status, existing: true }
        const input = { _tag: "Triggered", id: threadId, priority: opened.priority ?? 0, order: ++order } as const
        const actions = yield* change(input, { fresh: opened, copied })
        // The newcomer's action is the last: those dropped for it come first.
        switch (actions.at(-1)?._tag) {
          case "Start":
            return { threadId, status: "started" }
          case "Enqueue":
            return { threadId, status: "queued" }
          default:
            return { threadId, status: "dropped" }
        }
      })
    )

  /** The thread that has this key. One that was dropped never ran: asking again is what its caller should do. */
  const byKey = (key: string): Effect.Effect<WorkflowRun | undefined, LogStoreError> =>
    Effect.map(store.runs({ workflow, key, limit: 1 }), ([run]) => (run?.status === "dropped" ? undefined : run))

  const end = (threadId: ThreadId, how: End) =>
    Effect.map(locked(change({ _tag: "Killed", id: threadId }, { end: how })), (actions) => actions.length > 0)

  const kill = Effect.fnUntraced(function* (threadId: ThreadId, end: End) {
    const thread = known.get(threadId)
    const [action] = yield* locked(change({ _tag: "Killed", id: threadId }, { end }))
    if (thread === undefined || action === undefined) return false
    yield* Deferred.await(thread.gone)
    return action._tag === "Withdraw" || thread.end === end.status
  })

  const recover = (leftovers: ReadonlyArray<Leftover>) =>
    locked(
      Effect.gen(function* () {
        for (const { opened, run } of leftovers) {
          known.keep(run.threadId, opened, run)
          order = Math.max(order, run.place?.id ?? run.createdId)
        }
        yield* holding.recover
        const still = leftovers.filter(({ run }) => run.phase !== null)
        const going = leftovers.filter(({ run }) => run.phase === null)
        yield* change({
          _tag: "Recovered",
          started: going.filter(({ run }) => run.status === "started").map(({ run }) => run.threadId),
          queued: going
            .filter(({ run }) => run.status === "queued")
            .map(({ run }) => ({ id: run.threadId, ...LaneThreads.queuedAt(run) })),
          parked: still.map(({ run }) => run.threadId)
        })
      })
    )

  const configure = (next: WorkflowConfig) =>
    Effect.suspend(() => {
      config = next
      return limitsChanged
    })

  const remove = Effect.gen(function* () {
    const gone = yield* untilStored(
      locked(
        Effect.suspend(() => {
          removed = true
          const everybody = known.all().map((thread) => thread.gone)
          return Effect.as(change({ _tag: "Removed" }), everybody)
        })
      )
    )
    yield* Effect.forEach(gone, Deferred.await, { discard: true })
    yield* runtime.evict(workflow, options.stop)
  })

  const reset = Effect.suspend(() => (worker.givenUp() === undefined ? Effect.void : revive))

  const revive = Effect.andThen(worker.revive, limitsChanged)

  // --- drains ------------------------------------------------------------------------------------

  const drainWhenIdle = Effect.gen(function* () {
    const done = yield* drains.begin
    yield* locked(settled)
    yield* done
  })

  const drainAndRespawn = Effect.gen(function* () {
    const done = yield* drains.begin
    yield* untilStored(locked(interruptAll))
    yield* done
  })

  const interruptAll = Effect.gen(function* () {
    const running = [...state.active].filter((id) => known.get(id)?.end === undefined)
    if (running.length > 0) yield* store.appendAll(running.map((id) => endedBy(id, interruption(replacement))))
    for (const id of running) yield* stopActive(id, "interrupted", false)
    yield* settled
  })

  const replaceWorker = Effect.suspend(() =>
    worker.givenUp() === undefined ? runtime.drain(workflow, options.stop) : revive
  )

  const codeChanged = Effect.suspend(() => {
    switch (config.onChange) {
      case "finish-on-old":
        return drainWhenIdle
      case "resume-on-new-code":
        return replaceWorker
      case "interrupt":
        return drainAndRespawn
    }
  })

  /** Goes on when the caller goes away. Starts at once, so that a hold counts from the call. */
  const inBackground = (effect: Effect.Effect<void>): Effect.Effect<void> =>
    Effect.flatMap(Effect.forkIn(effect, scope, { startImmediately: true }), Fiber.join)

  // --- the worker --------------------------------------------------------------------------------

  const onEvent = (event: WorkerEvent<WorkflowName>): Effect.Effect<void> =>
    Effect.suspend(() => {
      worker.learn(event)
      if (event._tag === "WorkerGivenUp") options.changed()
      // A crash replaces the worker, too, so a drain that waits has nothing left to do (M9).
      return event._tag === "WorkerExited" && !event.expected ? drains.crashed : Effect.void
    })

  const view = (): WorkflowView => ({
    name: workflow,
    concurrency: config.concurrency,
    overflow: config.overflow,
    maxQueue: config.maxQueue,
    active: state.active.size,
    queued: state.queue.length,
    waiting: state.parked.size,
    onChange: config.onChange,
    paused: holding.reason() ?? null,
    roles: worker.roles(),
    problem: worker.problem()
  })

  return {
    admit,
    over,
    end,
    kill,
    pause: pauses.pause,
    resume: pauses.resume,
    retry: pauses.retry,
    settle: pauses.settle,
    waitOf: (threadId) => locked(Effect.sync(() => known.get(threadId)?.wait)),
    halted: (threadId) => known.get(threadId)?.paused !== undefined,
    gone: (threadId) => {
      const thread = known.get(threadId)
      return thread === undefined ? Effect.void : Deferred.await(thread.gone)
    },
    recover,
    configure,
    remove: inBackground(remove),
    drainAndRespawn: inBackground(drainAndRespawn),
    drainWhenIdle: inBackground(drainWhenIdle),
    replaceWorker: inBackground(replaceWorker),
    codeChanged: inBackground(codeChanged),
    reset: inBackground(reset),
    hold: holding.hold,
    release: holding.release,
    onEvent,
    has: (threadId) => known.has(threadId),
    isIdle: () => Admission.isIdle(state, hold()),
    onChange: () => config.onChange,
    budget: () => config.budget,
    view,
    situation: (threadId) => ({
      hold: hold(),
      holdReason: worker.givenUp() ?? holding.reason() ?? "",
      active: state.active.size,
      concurrency: config.concurrency,
      ahead: state.queue.findIndex(({ id }) => id === threadId),
      stopping: known.get(threadId)?.end !== undefined,
      atWork: state.active.has(threadId)
    })
  }
}

const none = Effect.succeed<ReadonlyArray<Action>>([])
