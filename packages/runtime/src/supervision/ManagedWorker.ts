/**
 * One key's worker: the effectful shell around `WorkerMachine`. It owns the process, the channel and the
 * calls of that key, and has its health, its stop ladder and its respawning beside it.
 *
 * One fiber takes inputs from an inbox, decides, and carries the actions out in order. What takes time
 * (an incarnation, a delay, the stop ladder) runs in fibers of its own that report back as inputs. So
 * nothing here waits while holding anything, and every input is handled in the order it came.
 */
import type { WorkerStateName } from "@nerve/core/wire/ControlRpcs"
import type * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type * as Heartbeat from "@nerve/core/supervision/Heartbeat"
import * as WorkerMachine from "@nerve/core/supervision/WorkerMachine"
import { type ExitCause, explain, format, type WorkerExit } from "@nerve/core/domain/WorkerExit"
import * as Frame from "@nerve/core/wire/Frame"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberHandle from "effect/FiberHandle"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { handoverText } from "@nerve/core/supervision/LifecycleState"
import type { ChannelEnd } from "../ipc/Channel.ts"
import { CallTable } from "./CallTable.ts"
import * as faults from "./internal/faults.ts"
import * as health from "./internal/health.ts"
import * as incarnations from "./internal/incarnation.ts"
import type * as memoryWatch from "./internal/memoryWatch.ts"
import * as monotonic from "./internal/monotonic.ts"
import type { Source } from "./internal/outputQueue.ts"
import * as readyTimeout from "./internal/readyTimeout.ts"
import * as respawning from "./internal/respawning.ts"
import * as stopLadder from "./internal/stopLadder.ts"
import * as waiters from "./internal/waiters.ts"
import { handoverEnvironment, newResumeId } from "./Handover.ts"
import type { Child, Spawner } from "./Spawner.ts"
import { RespawnLimitReached, WorkerDied, WorkerStopped } from "./WorkerError.ts"
import type { WorkerEvent } from "./WorkerEvent.ts"
import { stateName, type WorkerInfo } from "./WorkerInfo.ts"
import type { WorkerMetrics } from "./WorkerMetrics.ts"
import type { WorkerSpec } from "./WorkerSpec.ts"

export interface Options<K> {
  readonly key: K
  /** The key as text, for logs, errors and the child's environment. */
  readonly name: string
  readonly spawner: Spawner["Service"]
  readonly worker: () => WorkerSpec
  readonly respawn: RespawnPolicy.RespawnPolicy
  readonly shouldRespawn: () => boolean
  readonly readyTimeoutMs: number
  readonly stop: StopPolicy.StopPolicy
  readonly mailbox: number
  /** Undefined: it is not asked whether it is alive. */
  readonly heartbeat: Heartbeat.Settings | undefined
  /** Undefined: nobody looks at its memory. */
  readonly memory: memoryWatch.Limits | undefined
  /** In place of a drain, when it passes its soft limit. */
  readonly onMemoryHigh?: (() => void) | undefined
  /** Whether its incarnations are told of one another (L5). */
  readonly handover: boolean
  readonly metrics: WorkerMetrics
  /** Told of every event but output, in order, before anything follows from it. */
  readonly emit: (event: WorkerEvent<K>) => Effect.Effect<void>
  /** Told of output and protocol violations as they come, from outside any fiber; the source may be paused. */
  readonly emitUnsafe: (event: WorkerEvent<K>, source?: Source) => void
  /** Told when the info has changed. */
  readonly changed: () => void
  /** Awaited before the first start: the key's previous worker may still be going. */
  readonly after: Effect.Effect<void>
}

export interface ManagedWorker {
  readonly calls: CallTable
  readonly info: () => WorkerInfo
  /** Waits until an incarnation is ready, starting one if need be. */
  readonly start: Effect.Effect<void, RespawnLimitReached | WorkerStopped>
  /** Stops it for good. Any number may call; all wait for the end. */
  readonly stop: (policy: StopPolicy.StopPolicy) => Effect.Effect<void>
  readonly drain: (policy: StopPolicy.StopPolicy) => Effect.Effect<void>
  readonly kill: (reason: string) => Effect.Effect<void>
  readonly reset: Effect.Effect<void>
}

/** Characters of stderr kept per incarnation (R10). */
const stderrTailLength = 2048

type Incarnation = incarnations.Incarnation

const messageOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}

/** Starts supervising a key. Nothing is spawned before the first demand. Lives as long as its scope. */
export const make = Effect.fnUntraced(function* <K>(
  options: Options<K>
): Effect.fn.Return<ManagedWorker, never, Scope.Scope> {
  const { key, name } = options
  const inbox = yield* Queue.unbounded<WorkerMachine.Input>()
  const post = (input: WorkerMachine.Input) => {
    Queue.offerUnsafe(inbox, input)
  }

  const monotonicMs = monotonic.of(yield* Clock.Clock)

  let machine = WorkerMachine.initial
  let current: Incarnation | undefined
  let stopPolicy = options.stop
  let stderrTail = ""
  /** A demand is in the inbox: one is enough for all calls that wait. */
  let demanded = false
  /** Told to stop for good. */
  let stopped = false
  /** Its scope has closed: nobody takes from the inbox any more. */
  let over = false
  const ready = waiters.make<RespawnLimitReached | WorkerStopped>()
  const stops = waiters.make()
  const drains = waiters.make()
  const resets = waiters.make()

  /** The state that the metrics have it in; none before the first input, nor after the end. */
  let meteredAs: WorkerStateName | null = null
  const metered = (state: WorkerStateName | null) => {
    if (state === meteredAs) return
    options.metrics.state(meteredAs, state)
    meteredAs = state
  }

  // The first finalizer is the last to run: whoever still waits must not wait for ever.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      stopped = true
      over = true
      metered(null)
      calls.refuse(stoppedError())
      calls.failInFlight(stoppedError())
      calls.failWaiting(stoppedError())
      ready.settle(Effect.fail(stoppedError()))
      for (const waiting of [stops, drains, resets]) waiting.settle(Effect.void)
    })
  )

  const life = yield* FiberHandle.make()
  const ladder = yield* stopLadder.make({
    current: () => current,
    policy: () => stopPolicy,
    inFlight: () => calls.inFlight,
    begun: (incarnation) => post({ _tag: "LadderBegun", incarnation })
  })
  const respawn = yield* respawning.make({
    policy: options.respawn,
    shouldRespawn: options.shouldRespawn,
    now: monotonicMs,
    scheduled: (delayMs) => {
      options.metrics.respawn()
      return options.emit({ _tag: "RespawnScheduled", key, delayMs, crashes: machine.crashes })
    },
    post
  })
  /** Open when calls wait that a full channel has left behind. */
  const behind = Latch.makeUnsafe(false)

  /** In every other state a worker is there or on its way, or will be when the policy says so. */
  const demand = () => {
    if (demanded || machine.state._tag !== "Stopped") return
    demanded = true
    post({ _tag: "Demand" })
  }

  const calls = new CallTable({
    key: name,
    capacity: options.mailbox,
    onDemand: () => {
      if (calls.attached) behind.openUnsafe()
      else demand()
    },
    onIdle: () => {
      // Where a call excuses silence, what follows it is counted from its end.
      if (options.heartbeat?.while === "idle") current?.pulse?.heard()
      ladder.idle()
    }
  })

  const { pulseOf, watch } = health.make<K>({
    key,
    heartbeat: options.heartbeat,
    memory: options.memory,
    onMemoryHigh: options.onMemoryHigh,
    metrics: options.metrics,
    emit: options.emit,
    now: monotonicMs,
    state: () => machine.state,
    hasCalls: () => calls.inFlight > 0,
    drain: () => {
      // By the runtime's bounds, and not by those that somebody gave to a drain before.
      if (!stopped) stopPolicy = options.stop
      post({ _tag: "DrainAsked" })
    },
    kill: (incarnation, doom) => post({ _tag: "KillAsked", incarnation, doom })
  })

  // --- one incarnation: spawn, handshake, serve, exit -------------------------------------------

  /** Whatever a worker sends, it must not take the daemon down: what goes wrong here is its fault. */
  const onFrame = (incarnation: Incarnation, raw: unknown, characters: number | undefined) => {
    // A process that outlived its incarnation's exit may still hold the channel.
    if (current !== incarnation) return
    try {
      receive(incarnation, raw, characters)
    } catch (error) {
      broke(incarnation, `a frame that cannot be handled: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  const receive = (incarnation: Incarnation, raw: unknown, characters = 0) => {
    const { number } = incarnation
    incarnation.pulse?.heard()
    const frame = Frame.fromWorker(raw)
    if (typeof frame === "string") return malformed(number, frame, Frame.callOf(raw))
    switch (frame.t) {
      case "done":
      case "fail":
      case "die":
      case "interrupted":
      case "reject":
        if (!calls.settle(frame) && !calls.wasAsked(frame.id))
          violated(number, `an answer that nobody asked for: id ${frame.id}`)
        return
      case "chunk":
        if (!calls.chunk(frame.id, frame.values, characters) && !calls.wasAsked(frame.id)) {
          violated(number, `items of a stream that nobody asked for: id ${frame.id}`)
        }
        return
      case "log":
        return options.emitUnsafe(
          {
            _tag: "WorkerOutput",
            key,
            incarnation: number,
            stream: "log",
            line: frame.message,
            fields: { ...frame.fields, level: frame.level }
          },
          incarnation.source
        )
      case "ready":
        return onReady(incarnation, frame)
      case "pong":
        return incarnation.pulse?.pong(frame)
    }
  }

  /** A call whose answer cannot be read will get no other one. */
  const malformed = (number: number, detail: string, id: number | undefined) => {
    violated(number, detail)
    if (id !== undefined) calls.violate(id, detail)
  }

  const onReady = (incarnation: Incarnation, frame: Extract<Frame.FromWorker, { readonly t: "ready" }>) => {
    const { number } = incarnation
    if (frame.v !== Frame.protocolVersion) {
      return kill(number, "protocol", faults.otherVersion(frame.v))
    }
    if (incarnation.greeted) return violated(number, "a second ready")
    incarnation.greeted = true
    incarnation.info = frame.info
    if (frame.ping) incarnation.pulse = pulseOf(incarnation)
    incarnation.greeting.openUnsafe()
    post({ _tag: "Ready", incarnation: number, now: monotonicMs() })
  }

  const kill = (incarnation: number, cause: ExitCause, reason: string) =>
    post({ _tag: "KillAsked", incarnation, doom: { cause, reason } })

  const violated = (number: number, detail: string) =>
    options.emitUnsafe({ _tag: "ProtocolViolated", key, incarnation: number, detail }, current?.source)

  const onLine = (number: number) => (stream: "stdout" | "stderr", line: string) => {
    // What a dead one's children still write is told, and is not its successor's.
    if (stream === "stderr" && number === machine.incarnation)
      stderrTail = `${stderrTail}${line}\n`.slice(-stderrTailLength)
    options.emitUnsafe({ _tag: "WorkerOutput", key, incarnation: number, stream, line, fields: null }, current?.source)
  }

  const broke = ({ number }: Incarnation, detail: string) => {
    violated(number, detail)
    kill(number, "protocol", faults.brokeProtocol(detail))
  }

  const onEnd = (incarnation: Incarnation, end: ChannelEnd) => {
    incarnation.channelAlive = false
    if (current !== incarnation) return
    // What has not been sent waits for the next one, rather than to be counted as lost with this one.
    calls.detach()
    if (end._tag === "Broken") broke(incarnation, end.message)
  }

  const flushWhenDrained = Effect.fnUntraced(function* ({ channel }: Child) {
    yield* behind.await
    yield* channel.drained
    behind.closeUnsafe()
    calls.flush()
    if (calls.waiting > 0 && calls.attached) behind.openUnsafe()
  })

  /** What was decided while the spawn was under way had no process to act on: act on it now. */
  const catchUp = ({ child, number }: Incarnation): Effect.Effect<unknown> => {
    const { state } = machine
    if (state._tag === "Draining") return ladder.run(number, { afterInFlight: false })
    return state._tag === "Starting" && state.doomed !== null ? child.kill("SIGKILL") : Effect.void
  }

  /** A worker that was asked to stop may close its channel first: the stop ladder bounds it. */
  const channelClosed = (number: number) => {
    if (machine.state._tag === "Draining" && machine.state.asked) return
    kill(number, "protocol", faults.channelClosed)
  }

  const resumeId = newResumeId()
  let previousExit: string | null = null

  const withHandover = (spec: WorkerSpec): WorkerSpec => {
    if (!options.handover) return spec
    const handover = handoverEnvironment({ id: name, resumeId, incarnation: machine.incarnation, previousExit })
    return { ...spec, options: { ...spec.options, env: { ...spec.options.env, ...handover } } }
  }

  const serve = Effect.fnUntraced(function* (number: number) {
    const child = yield* options.spawner.spawn(withHandover(options.worker()), {
      key: name,
      incarnation: number,
      output: { line: onLine(number) }
    })
    // One that is to go is read: what it is still at must not wait for whoever reads its output.
    const incarnation = incarnations.make(number, child, () => machine.state._tag !== "Draining")
    current = incarnation
    const ended = Latch.makeUnsafe(false)
    child.channel.onFrameUnsafe((frame, characters) => onFrame(incarnation, frame, characters))
    child.channel.onEndUnsafe((end) => {
      onEnd(incarnation, end)
      ended.openUnsafe()
    })
    yield* catchUp(incarnation)
    yield* Effect.forkScoped(Effect.forever(flushWhenDrained(child)))
    yield* Effect.forkScoped(
      Effect.andThen(
        readyTimeout.passed(options.readyTimeoutMs),
        Effect.sync(() => post({ _tag: "ReadyTimedOut", incarnation: number, afterMs: options.readyTimeoutMs }))
      )
    )
    yield* Effect.forkScoped(
      Effect.andThen(
        incarnation.greeting.await,
        Effect.suspend(() => watch(incarnation))
      )
    )
    yield* Effect.forkScoped(
      ended.await.pipe(
        Effect.andThen(Effect.sleep(faults.channelClosedGraceMs)),
        Effect.andThen(Effect.sync(() => channelClosed(number)))
      )
    )
    return yield* child.exit
  }, Effect.scoped)

  /** One that ends in order before it is ready has not served: a module that does not, a command of another kind. */
  const endedBy = (exit: WorkerExit): string =>
    exit.code === 0 && machine.state._tag === "Starting"
      ? `${format(exit)} before it was ready`
      : explain(exit, stderrTail)

  /**
   * Reports the exit only when the scope has closed: by then the whole process group was killed. A
   * defect counts as well (the function that names the worker is the user's): whatever happens, an
   * incarnation that was started is reported as ended.
   */
  const runIncarnation = Effect.fnUntraced(function* (number: number) {
    const result = yield* Effect.exit(serve(number))
    const now = monotonicMs()
    post(
      Exit.isSuccess(result)
        ? { _tag: "Exited", incarnation: number, now, exit: result.value, failure: endedBy(result.value) }
        : { _tag: "Exited", incarnation: number, now, exit: null, failure: `cannot start: ${messageOf(result.cause)}` }
    )
  })

  // --- carrying out what was decided -------------------------------------------------------------

  const died = (incarnation: number, exit: WorkerExit | null, reason: string) =>
    new WorkerDied({
      key: name,
      incarnation,
      exit: exit ?? { code: null, signal: null },
      stderrTail,
      reason
    })

  const reportExit = Effect.fnUntraced(function* (
    action: Extract<WorkerMachine.Action, { readonly _tag: "ReportExit" }>
  ) {
    const pid = current?.child.pid ?? null
    const ladderStep = ladder.stepOf(action.incarnation)
    current = undefined
    previousExit = handoverText({ ...(action.exit ?? { code: null, signal: null }), error: null })
    options.metrics.exited(action.cause)
    calls.failInFlight(action.expected ? stoppedError() : died(action.incarnation, action.exit, action.reason))
    yield* options.emit({
      _tag: "WorkerExited",
      key,
      incarnation: action.incarnation,
      pid,
      exit: action.exit ?? { code: null, signal: null },
      expected: action.expected,
      cause: action.cause,
      reason: action.expected && ladderStep !== undefined ? `${ladderStep}: ${action.reason}` : action.reason,
      uptimeMs: action.uptimeMs,
      stderrTail
    })
  })

  /** Who has stopped refuses for good. */
  const refuse = (error: RespawnLimitReached | WorkerStopped | undefined) => {
    if (!stopped) calls.refuse(error)
  }

  const stoppedError = () => new WorkerStopped({ key: name })

  const carryOut = Effect.fnUntraced(function* (action: WorkerMachine.Action) {
    switch (action._tag) {
      case "Spawn": {
        stderrTail = ""
        yield* options.emit({ _tag: "WorkerStarting", key, incarnation: action.incarnation })
        yield* FiberHandle.run(life, runIncarnation(action.incarnation))
        return
      }
      case "Attach": {
        if (current === undefined) return
        const incarnation = current
        const { child, info, number } = incarnation
        yield* options.emit({ _tag: "WorkerReady", key, incarnation: number, pid: child.pid, info })
        // The channel may have ended while the event was told.
        if (incarnation.channelAlive) calls.attach(child.channel)
        ready.settle(Effect.void)
        if (calls.waiting > 0) behind.openUnsafe()
        return
      }
      case "Detach":
        return calls.detach()
      case "Kill": {
        const incarnation = current
        if (incarnation !== undefined) yield* incarnation.child.kill("SIGKILL")
        return
      }
      case "RunLadder":
        return yield* ladder.run(machine.incarnation, action)
      case "ReportExit":
        return yield* reportExit(action)
      case "AskPolicy":
        return yield* respawn.ask(machine.incarnation, action)
      case "StartDelay":
        return yield* respawn.startDelay(machine.incarnation, action.delayMs)
      case "CancelDelay":
        return yield* respawn.cancel
      case "FailWaiting":
        calls.failWaiting(stoppedError())
        ready.settle(Effect.fail(stoppedError()))
        return
      case "GiveUp": {
        const error = new RespawnLimitReached({ key: name, crashes: machine.crashes, lastFailure: action.reason })
        yield* options.emit({ _tag: "WorkerGivenUp", key, crashes: machine.crashes, reason: action.reason })
        // Only now: whoever is refused finds the event told. What has come meanwhile waits, and fails with the rest.
        refuse(error)
        calls.failWaiting(error)
        ready.settle(Effect.fail(error))
        return
      }
      case "Revive":
        yield* respawn.forget
        return refuse(undefined)
      case "DrainDone":
        drains.settle(Effect.void)
        return
      case "StopDone":
        stops.settle(Effect.void)
        return
    }
  })

  const step = Effect.fnUntraced(function* (input: WorkerMachine.Input) {
    if (input._tag === "Demand") demanded = false
    // The stop is in the inbox already: what would be started now would only be stopped again.
    if (stopped && (input._tag === "Demand" || input._tag === "DelayOver")) return
    const decision = WorkerMachine.decide(machine, input)
    metered(stateName(decision.machine.state))
    machine = decision.machine
    if (decision.actions.length > 0) {
      options.changed()
      for (const action of decision.actions) yield* carryOut(action)
      options.changed()
    }
    if (input._tag === "ResetAsked") resets.settle(Effect.void)
  })

  /** One input that cannot be carried out must not end the supervision of its key. */
  const carefully = (input: WorkerMachine.Input) =>
    Effect.catchDefect(step(input), (defect) =>
      Effect.annotateLogs(Effect.logError("a worker's supervisor died of an input, and goes on", defect), {
        worker: name,
        input: input._tag
      })
    )

  yield* Effect.forkScoped(Effect.andThen(options.after, Effect.forever(Effect.flatMap(Queue.take(inbox), carefully))))

  // --- what the runtime asks ---------------------------------------------------------------------

  const start = Effect.suspend(() => {
    if (stopped) return Effect.fail(stoppedError())
    // One that is doomed is on its way out: wait for the next.
    if (machine.state._tag === "Ready" && machine.state.doomed === null) return Effect.void
    if (machine.state._tag === "GivenUp") {
      return Effect.fail(
        new RespawnLimitReached({ key: name, crashes: machine.crashes, lastFailure: machine.state.reason })
      )
    }
    return ready.ask(demand)
  })

  const stop = (policy: StopPolicy.StopPolicy) =>
    Effect.suspend(() => {
      if (over) return Effect.void
      if (!stopped || StopPolicy.isShorter(policy, stopPolicy)) stopPolicy = policy
      refuse(stoppedError())
      stopped = true
      return stops.ask(() => post({ _tag: "StopAsked" }))
    })

  const drain = (policy: StopPolicy.StopPolicy) =>
    Effect.suspend(() => {
      if (over) return Effect.void
      if (!stopped) stopPolicy = policy
      return drains.ask(() => post({ _tag: "DrainAsked" }))
    })

  return {
    calls,
    info: () => ({
      state: stateName(machine.state),
      pid: current?.child.pid ?? null,
      incarnation: machine.incarnation,
      crashes: machine.crashes,
      stderrTail,
      loopDelayMs: current?.loopDelayMs ?? null,
      memoryBytes: current?.memoryBytes ?? null
    }),
    start,
    stop,
    drain,
    // Meant is the one that lives now, not its successor should it die before this is taken from the inbox.
    kill: (reason) => Effect.sync(() => kill(machine.incarnation, "killed", reason)),
    reset: Effect.suspend(() => (over ? Effect.void : resets.ask(() => post({ _tag: "ResetAsked" }))))
  }
})
