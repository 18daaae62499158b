/**
 * One workflow of the manager: who of its threads runs and who waits, in memory and in the log.
 *
 * Every change goes one way: under the lane's lock decide (`Admission`), append what was decided in
 * one transaction, then take over the new state, then act. So the log is always ahead of the effects
 * (M13), a change that the store refuses has not happened, and ends and starts stand in the log in the
 * order in which they were decided.
 */
import type { OnChange, WorkflowConfig } from "@nerve/core/config/NerveConfig"
import type { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import type { LogInput } from "@nerve/core/domain/LogEntry"
import type { RoundRecorded, RunOpened } from "@nerve/core/domain/RunProjection"
import {
  ExitCode,
  type RunStatus,
  type ThreadPause,
  type ThreadWait,
  type Wait,
  type WorkflowRun
} from "@nerve/core/domain/Thread"
import type * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type { WorkflowView } from "@nerve/core/wire/ControlRpcs"
import { type WaitRequest, WorkflowWorkerReady, type WorkflowWorkerRpcs } from "@nerve/core/wire/WorkflowRpcs"
import * as Admission from "@nerve/core/workflow/Admission"
import type { Situation } from "@nerve/core/workflow/Why"
import * as Clock from "effect/Clock"
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
  /** Told that a thread waits, once that is in the log and its slot is free. */
  readonly waits: (threadId: ThreadId, wait: ThreadWait) => Effect.Effect<void>
  /** Told that a thread that waited has been ended meanwhile. */
  readonly withdrawn: (threadId: ThreadId, wait: ThreadWait) => Effect.Effect<void>
  /** Owns what must go on when its caller goes away: kills and drains. */
  readonly scope: Scope.Scope
}

/** A run that an earlier daemon left active, and what was asked for. */
export interface Leftover {
  readonly run: WorkflowRun
  readonly opened: RunOpened
}

/** How a thread is ended from outside. */
export interface End {
  readonly status: "killed" | "interrupted" | "failed"
  readonly exitCode: number
  readonly reason: string
}

/** What became of a newcomer. */
export interface Admitted {
  readonly threadId: ThreadId
  readonly status: RunStatus
  /** It was there already, by its key. */
  readonly existing?: boolean
}

/** Why a thread is not in the state that was asked for; undefined when it is. */
export type Refusal = "unknown" | "ending" | "paused" | "not-paused" | undefined

export interface Lane {
  /**
   * What became of the newcomer; undefined when the workflow has been removed meanwhile. `copied` are
   * rounds that it begins with, recorded together with it.
   */
  readonly admit: (
    threadId: ThreadId,
    opened: RunOpened,
    copied?: ReadonlyArray<LogInput>
  ) => Effect.Effect<Admitted | undefined, LogStoreError>
  /** A thread's loop has ended. */
  readonly over: (threadId: ThreadId, outcome: ThreadOutcome) => Effect.Effect<void>
  /** Records its end and has it stopped; whether there was anything to end. Does not wait for the stop. */
  readonly end: (threadId: ThreadId, end: End) => Effect.Effect<boolean, LogStoreError>
  /** Whether this ended it; answers when it has stopped. */
  readonly kill: (threadId: ThreadId, end: End) => Effect.Effect<boolean, LogStoreError>
  readonly pause: (threadId: ThreadId, reason: string) => Effect.Effect<Refusal, LogStoreError>
  readonly resume: (threadId: ThreadId, newCode: boolean) => Effect.Effect<Refusal, LogStoreError>
  /** Takes up a thread that had ended; false when it is here already, or the workflow has been removed. */
  readonly retry: (threadId: ThreadId, opened: RunOpened) => Effect.Effect<boolean, LogStoreError>
  /** Records the round that a thread waits for; false when it does not wait for it any more. */
  readonly settle: (threadId: ThreadId, round: number, recorded: RoundRecorded) => Effect.Effect<boolean, LogStoreError>
  /** What a thread waits for, once changes that are under way are made. */
  readonly waitOf: (threadId: ThreadId) => Effect.Effect<ThreadWait | undefined>
  /** Whether a thread is to hold still before its next round. */
  readonly halted: (threadId: ThreadId) => boolean
  /** Done when the thread has ended; at once when it is not here. */
  readonly gone: (threadId: ThreadId) => Effect.Effect<void>
  readonly recover: (leftovers: ReadonlyArray<Leftover>) => Effect.Effect<void, LogStoreError>
  readonly configure: (config: WorkflowConfig) => Effect.Effect<void>
  readonly remove: Effect.Effect<void>
  readonly drainAndRespawn: Effect.Effect<void>
  readonly drainWhenIdle: Effect.Effect<void>
  /** Rounds in flight are finished, the next ones go to a new worker. */
  readonly replaceWorker: Effect.Effect<void>
  /** Does what the config says of threads whose code has changed. */
  readonly codeChanged: Effect.Effect<void>
  readonly reset: Effect.Effect<void>
  /** Starts nothing until resumed; whether that is new. */
  readonly hold: (reason: string) => Effect.Effect<boolean, LogStoreError>
  readonly release: Effect.Effect<boolean, LogStoreError>
  readonly onEvent: (event: WorkerEvent<WorkflowName>) => Effect.Effect<void>
  readonly has: (threadId: ThreadId) => boolean
  readonly isIdle: () => boolean
  readonly onChange: () => OnChange
  readonly budget: () => WorkflowConfig["budget"]
  readonly view: () => WorkflowView
  /** Where a thread is among the others, for an explanation. */
  readonly situation: (threadId: ThreadId) => Situation
}

type Input = Admission.Input<ThreadId>
type Action = Admission.Action<ThreadId>

/** A thread that is active, queued or parked. */
interface Thread {
  readonly opened: RunOpened
  /** Set when its end is in the log; it keeps its slot until it has really stopped. */
  end: End["status"] | undefined
  /** What it waits for, since when. */
  wait: ThreadWait | undefined
  /** Why it holds still, or will once its round in flight is over. */
  paused: Pick<ThreadPause, "by" | "reason"> | undefined
  /** It had a slot before. */
  begun: boolean
  /** The place that it had in the queue when it was paused there. */
  place: Admission.Rank | undefined
  /** Done when it is neither active, queued nor parked any more. */
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
  /** Why nothing is started, when somebody asked for that. */
  let held: string | undefined
  /** Of the last arrival in the queue. Log ids at first, so that who is recovered goes before who comes. */
  let order = 0

  const hold = (): Admission.Hold => {
    if (givenUp !== undefined) return "given-up"
    if (held !== undefined) return "paused"
    return drain === undefined ? "none" : "drain"
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
    const entries = decision.actions.flatMap((action) => entryOf(action, input, more) ?? [])
    const isIn = decision.actions.some(({ _tag }) => _tag === "Start" || _tag === "Enqueue")
    const all = [...(more.first ?? []), ...entries, ...(isIn ? (more.copied ?? []) : [])]
    if (all.length > 0) yield* store.appendAll(all)
    state = decision.state
    if (more.fresh !== undefined && "id" in input) keep(input.id, more.fresh)
    if (input._tag === "Ended") forget(input.id)
    more.once?.()
    for (const action of decision.actions) yield* act(action, input, more)
    yield* settled
    return decision.actions
  })

  const entryOf = (action: Action, input: Input, more: More): LogInput | undefined => {
    const { id } = action
    const thread = known.get(id)
    const opened = more.fresh ?? thread?.opened
    switch (action._tag) {
      case "Start":
        return opened && RunLog.started(id, asSeen(opened, thread, more))
      case "Enqueue":
        return opened && RunLog.queued(id, asSeen(opened, thread, more))
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
        return endedBy(id, endOf(input, more))
      case "Stop":
        return thread?.end === undefined ? endedBy(id, endOf(input, more)) : undefined
      case "Resume":
        return undefined
    }
  }

  const act = (action: Action, input: Input, more: More): Effect.Effect<void> => {
    switch (action._tag) {
      case "Start":
      case "Resume":
        begin(action.id)
        return threads.run(action.id)
      case "Reject":
      case "Drop":
        return Effect.sync(() => forget(action.id))
      case "Withdraw": {
        const wait = known.get(action.id)?.wait
        forget(action.id)
        return wait === undefined ? Effect.void : options.withdrawn(action.id, wait)
      }
      case "Stop":
        return stopActive(action.id, endOf(input, more).status)
      case "Enqueue":
        return Effect.void
    }
  }

  const keep = (threadId: ThreadId, opened: RunOpened, run?: WorkflowRun) => {
    known.set(threadId, {
      opened,
      end: undefined,
      wait: run?.wait ?? undefined,
      paused: run?.paused ?? undefined,
      begun: run !== undefined && run.startedAt !== null,
      place: run === undefined ? undefined : placeOf(run),
      gone: Deferred.makeUnsafe()
    })
  }

  const begin = (threadId: ThreadId) => {
    const thread = known.get(threadId)
    if (thread !== undefined) thread.begun = true
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
      case "paused":
        return `the workflow is paused: ${held ?? ""}`
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
    switch (outcome._tag) {
      case "Stopped":
        return yield* locked(askAgain(threadId))
      case "Halted":
        return yield* untilStored(locked(halt(threadId)))
      case "Pauses":
        return yield* untilStored(locked(holdStill(threadId, outcome)))
      case "Waits":
        return yield* untilStored(locked(wait(threadId, outcome)))
    }
    const end = RunLog.ofOutcome(threadId, outcome)
    if (end === undefined) return
    // Known before the slot is free, so that nobody is started into a refusal.
    if (outcome._tag === "GivenUp" && givenUp === undefined && (yield* info).state === "given-up") {
      givenUp = outcome.reason
    }
    yield* untilStored(
      locked(
        Effect.suspend(() => (isLive(threadId) ? change({ _tag: "Ended", id: threadId }, { first: [end] }) : none))
      )
    )
  })

  /** Whoever has ended it meanwhile frees its slot, too. */
  const isLive = (threadId: ThreadId): boolean => known.has(threadId) && known.get(threadId)?.end === undefined

  /** Its worker was replaced under its round, which took longer than a drain waits: the next worker runs it. */
  const askAgain = (threadId: ThreadId) =>
    Effect.suspend(() => (isLive(threadId) && !removed ? threads.run(threadId) : Effect.void))

  // --- waits and pauses --------------------------------------------------------------------------

  const wait = Effect.fnUntraced(function* (
    threadId: ThreadId,
    { request, role, round, version }: Extract<ThreadOutcome, { readonly _tag: "Waits" }>
  ) {
    const thread = known.get(threadId)
    if (thread === undefined || thread.end !== undefined) return
    const since = yield* Clock.currentTimeMillis
    const recorded = { round, role, wait: dated(request, since), ...(version === null ? {} : { version }) }
    const waits = { round, role, wait: recorded.wait, since }
    yield* change(
      { _tag: "Parked", id: threadId },
      {
        first: [RunLog.waiting(threadId, recorded)],
        once: () => {
          thread.wait = waits
        }
      }
    )
    yield* options.waits(threadId, waits)
  })

  /** The thread's own reason to hold still. */
  const holdStill = Effect.fnUntraced(function* (
    threadId: ThreadId,
    { by, reason, rounds }: Extract<ThreadOutcome, { readonly _tag: "Pauses" }>
  ) {
    const thread = known.get(threadId)
    if (thread === undefined || thread.end !== undefined) return
    yield* change(
      { _tag: "Parked", id: threadId },
      {
        first: [RunLog.paused(threadId, { by, reason, ...(rounds === undefined ? {} : { rounds }) })],
        once: () => {
          thread.paused = { by, reason }
        }
      }
    )
  })

  /** It was asked to, and has finished its round. */
  const halt = Effect.fnUntraced(function* (threadId: ThreadId) {
    if (!isLive(threadId)) return
    // Resumed in between: it keeps its slot and goes on.
    if (known.get(threadId)?.paused === undefined) return yield* threads.run(threadId)
    yield* change({ _tag: "Parked", id: threadId })
  })

  const pause = (threadId: ThreadId, reason: string) =>
    locked(
      Effect.gen(function* (): Effect.fn.Return<Refusal, LogStoreError> {
        const thread = known.get(threadId)
        if (thread === undefined) return "unknown"
        if (thread.end !== undefined) return "ending"
        if (thread.paused !== undefined) return "paused"
        const first = [RunLog.paused(threadId, { by: "request", reason })]
        const place = state.queue.find(({ id }) => id === threadId)
        if (place === undefined) yield* store.appendAll(first)
        else yield* change({ _tag: "Parked", id: threadId }, { first })
        thread.place = place
        thread.paused = { by: "request", reason }
        return undefined
      })
    )

  const resume = (threadId: ThreadId, newCode: boolean) =>
    locked(
      Effect.gen(function* (): Effect.fn.Return<Refusal, LogStoreError> {
        const thread = known.get(threadId)
        if (thread === undefined) return "unknown"
        if (thread.end !== undefined) return "ending"
        if (thread.paused === undefined) return "not-paused"
        const adopts = newCode || thread.paused.by === "code"
        const first = [RunLog.resumed(threadId, { newCode: adopts, reason: thread.paused.reason })]
        const once = () => {
          thread.paused = undefined
          thread.place = undefined
        }
        // It still runs, or still waits: then there is no slot to ask for.
        if (state.active.has(threadId) || thread.wait !== undefined) {
          yield* store.appendAll(first)
          once()
        } else {
          yield* change({ _tag: "Returned", id: threadId, ...rankOf(thread) }, { first, once })
        }
        return undefined
      })
    )

  const settle = (threadId: ThreadId, round: number, recorded: RoundRecorded) =>
    locked(
      Effect.gen(function* () {
        const thread = known.get(threadId)
        if (thread === undefined || thread.end !== undefined || thread.wait?.round !== round) return false
        const first = [RunLog.message(threadId, round, recorded)]
        const once = () => {
          thread.wait = undefined
        }
        if (thread.paused === undefined) {
          yield* change({ _tag: "Returned", id: threadId, ...rankOf(thread) }, { first, once })
        } else {
          yield* store.appendAll(first)
          once()
        }
        return true
      })
    )

  const rankOf = ({ opened, place }: Pick<Thread, "opened" | "place">): Admission.Rank =>
    place ?? { priority: opened.priority ?? 0, returning: true, order: ++order }

  const retry = (threadId: ThreadId, opened: RunOpened) =>
    locked(
      Effect.suspend(() => {
        if (removed || known.has(threadId)) return Effect.succeed(false)
        const first = [RunLog.retried(threadId, { maxRounds: opened.maxRounds, reason: "on request" })]
        const rank = rankOf({ opened, place: undefined })
        return Effect.as(
          change({ _tag: "Returned", id: threadId, ...rank }, { first, fresh: opened, again: true }),
          true
        )
      })
    )

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
    if (confirm) yield* confirmStopped(threadId)
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
          keep(run.threadId, opened, run)
          order = Math.max(order, run.place?.id ?? run.createdId)
        }
        const [pausing] = yield* store.query({
          source: "kernel",
          refId: workflow,
          order: "desc",
          limit: 1,
          archived: false
        })
        if (pausing?.type === PAUSED) held = reasonOf(pausing.payload)
        const still = leftovers.filter(({ run }) => run.phase !== null)
        const going = leftovers.filter(({ run }) => run.phase === null)
        yield* change({
          _tag: "Recovered",
          started: going.filter(({ run }) => run.status === "started").map(({ run }) => run.threadId),
          queued: going
            .filter(({ run }) => run.status === "queued")
            .map(({ run }) => ({ id: run.threadId, ...(placeOf(run) ?? { ...unplaced, order: run.createdId }) })),
          parked: still.map(({ run }) => run.threadId)
        })
      })
    )

  /** One that is asked for while the workflow is paused waits; who is active goes on. */
  const holdStarts = (reason: string) =>
    locked(
      Effect.gen(function* () {
        const isNew = held === undefined
        if (isNew || held !== reason) yield* store.append(ofWorkflow(PAUSED, workflow, reason))
        held = reason
        options.changed()
        return isNew
      })
    )

  const release = locked(
    Effect.gen(function* () {
      if (held === undefined) return false
      const before = held
      yield* store.append(ofWorkflow(RESUMED, workflow, ""))
      held = undefined
      yield* Effect.onError(change({ _tag: "LimitsChanged" }), () => Effect.sync(() => (held = before)))
      return true
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
    if (running.length > 0) yield* store.appendAll(running.map((id) => endedBy(id, interruption(replacement))))
    for (const id of running) yield* stopActive(id, "interrupted", false)
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

  const replaceWorker = Effect.suspend(() =>
    givenUp === undefined ? runtime.drain(workflow, options.stop) : Effect.andThen(revive, Effect.asVoid(limitsChanged))
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
    waiting: state.parked.size,
    onChange: config.onChange,
    paused: held ?? null,
    roles: ready?.roles ?? [],
    problem:
      givenUp === undefined
        ? (ready?.problem ?? null)
        : {
            code: "worker-given-up",
            message: `the worker of workflow ${workflow} was given up: ${givenUp}`,
            file: null,
            hint: "mend the workflow's code: when it is saved, its worker gets another chance"
          }
  })

  return {
    admit,
    over,
    end,
    kill,
    pause,
    resume,
    retry,
    settle,
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
    hold: holdStarts,
    release,
    onEvent,
    has: (threadId) => known.has(threadId),
    isIdle: () => Admission.isIdle(state, hold()),
    onChange: () => config.onChange,
    budget: () => config.budget,
    view,
    situation: (threadId) => ({
      hold: hold(),
      holdReason: givenUp ?? held ?? "",
      active: state.active.size,
      concurrency: config.concurrency,
      ahead: state.queue.findIndex(({ id }) => id === threadId),
      stopping: known.get(threadId)?.end !== undefined,
      atWork: state.active.has(threadId)
    })
  }
}

/** What a change writes and does besides what follows from the decision. */
interface More {
  /** Entries before those of the decision. */
  readonly first?: ReadonlyArray<LogInput>
  /** What a thread that is new here is about. */
  readonly fresh?: RunOpened
  /** The thread that is new here had a slot in an earlier life. */
  readonly again?: boolean
  /** Entries after those of the decision, unless the thread is turned away. */
  readonly copied?: ReadonlyArray<LogInput>
  /** How a kill ends the thread. */
  readonly end?: End
  /** Run once it is in the log. */
  readonly once?: () => void
}

const none = Effect.succeed<ReadonlyArray<Action>>([])

/** Whether it goes on is part of what is told of a thread that is queued or started. */
const asSeen = (opened: RunOpened, thread: Thread | undefined, { again = false, fresh }: More): RunOpened =>
  again || (fresh === undefined && thread?.begun === true) ? { ...opened, again: true } : opened

const endOf = (input: Input, more: More): End =>
  more.end ?? (input._tag === "Removed" ? interruption(removal) : killedOnRequest)

const endedBy = (threadId: ThreadId, { exitCode, reason, status }: End): LogInput =>
  RunLog.ended(threadId, status, exitCode, reason)

/** What its worker asks to wait for, with the times that follow from now. */
const dated = (request: WaitRequest, now: number): Wait => {
  switch (request._tag) {
    case "Approval": {
      const { question, schema, timeoutMs } = request
      return { _tag: "Approval", question, schema, until: timeoutMs === null ? null : Math.round(now + timeoutMs) }
    }
    case "Sleep":
      return { _tag: "Sleep", until: Math.round(request.until ?? now + (request.durationMs ?? 0)) }
    case "Child":
      return request
  }
}

/** What a run that was queued before there were places goes by. */
const unplaced = { priority: 0, returning: false } as const

const placeOf = ({ place, priority, status }: WorkflowRun): Admission.Rank | undefined =>
  place === null || status !== "queued" ? undefined : { priority, returning: place.returning, order: place.id }

/** Types of the entries that say whether a workflow is paused; source `kernel`, about the workflow. */
const PAUSED = "workflow-paused"
const RESUMED = "workflow-resumed"

const ofWorkflow = (type: string, workflow: WorkflowName, reason: string): LogInput => ({
  source: "kernel",
  type,
  refId: workflow,
  payload: { reason }
})

const reasonOf = (payload: Schema.Json): string =>
  typeof payload === "object" && payload !== null && "reason" in payload && typeof payload.reason === "string"
    ? payload.reason
    : ""

const decodeReady = Schema.decodeUnknownOption(Schema.toCodecJson(WorkflowWorkerReady))

const removal = "the workflow left the config"

const replacement = "the workflow's worker was replaced"

/** The worker was replaced, or the workflow left the config. */
export const interruption = (reason: string): End => ({
  status: "interrupted",
  exitCode: ExitCode.interrupted,
  reason
})

/** On request. */
export const killing = (reason: string): End => ({ status: "killed", exitCode: ExitCode.killed, reason })

const killedOnRequest = killing("killed on request")
