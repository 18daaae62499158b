/**
 * One key's worker: the effectful shell around `WorkerMachine`. It owns the process, the channel, the
 * timers and the calls of that key, and nothing else.
 *
 * One fiber takes inputs from an inbox, decides, and carries the actions out in order. What takes time
 * (an incarnation, a delay, the stop ladder) runs in fibers of its own that report back as inputs. So
 * nothing here waits while holding anything, and every input is handled in the order it came.
 */
import type { WorkerStateName } from "@nerve/core/wire/ControlRpcs"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Heartbeat from "@nerve/core/supervision/Heartbeat"
import * as WorkerMachine from "@nerve/core/supervision/WorkerMachine"
import { type ExitCause, format, type WorkerExit } from "@nerve/core/domain/WorkerExit"
import * as Frame from "@nerve/core/wire/Frame"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberHandle from "effect/FiberHandle"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { handoverText } from "@nerve/core/supervision/LifecycleState"
import type { ChannelEnd } from "../ipc/Channel.ts"
import { CallTable } from "./CallTable.ts"
import * as memoryWatch from "./internal/memoryWatch.ts"
import type { Source } from "./internal/outputQueue.ts"
import * as pulse from "./internal/pulse.ts"
import { handoverEnvironment, newResumeId } from "./Lifecycle.ts"
import type { Child, Spawner } from "./Spawner.ts"
import { RespawnLimitReached, WorkerDied, WorkerStopped } from "./WorkerError.ts"
import type { WorkerEvent } from "./WorkerEvent.ts"
import type { WorkerMetrics } from "./WorkerMetrics.ts"
import type { WorkerSpec } from "./WorkerSpec.ts"

/** What is known of one key. */
export interface WorkerInfo {
  readonly state: WorkerStateName
  /** Null unless a process lives. */
  readonly pid: number | null
  /** 0 when it was never started. */
  readonly incarnation: number
  /** Crashes since the first start or the last reset. */
  readonly crashes: number
  /** The last 2048 characters of what the present or last incarnation wrote to stderr. */
  readonly stderrTail: string
  /** How long its event loop was held up at the last heartbeat, in milliseconds; null before the first. */
  readonly loopDelayMs: number | null
  /** Its resident memory in bytes, when that was last told or looked at; null before. */
  readonly memoryBytes: number | null
}

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

/** After a worker has closed its channel, how long it may take to exit before it is killed. */
const channelClosedGraceMs = 1000

/** The output of an incarnation. While it is paused nothing is heard of it, and that is not its fault. */
interface OutputSource extends Source {
  isPaused: boolean
}

/** The present incarnation, as far as it has come. */
interface Incarnation {
  readonly number: number
  readonly child: Child
  readonly source: OutputSource
  channelAlive: boolean
  /** Open once it has said `ready`. */
  readonly greeting: Latch.Latch
  greeted: boolean
  /** What it reported with its `ready`. */
  info: Schema.Json
  /** Told of its signs of life, once it is ready, where it answers pings. */
  pulse: pulse.Pulse | undefined
  loopDelayMs: number | null
  memoryBytes: number | null
}

/** The stop ladder that an incarnation is being taken down. */
interface RunningLadder {
  readonly incarnation: number
  readonly policy: StopPolicy.StopPolicy
}

type Waiters<E> = Set<Deferred.Deferred<void, E>>

const stateName = (state: WorkerMachine.WorkerState): WorkerStateName => {
  switch (state._tag) {
    case "Stopped":
      return "stopped"
    case "Starting":
      return "starting"
    case "Ready":
      return "ready"
    case "Draining":
      return "draining"
    case "Backoff":
      return "backoff"
    case "GivenUp":
      return "given-up"
  }
}

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

  const clock = yield* Clock.Clock
  /** Time that nobody sets: neither uptimes nor the crash window may depend on the wall clock. */
  const monotonicMs = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)

  let machine = WorkerMachine.initial
  let current: Incarnation | undefined
  let decidePolicy = yield* RespawnPolicy.toDecide(options.respawn)
  let stopPolicy = options.stop
  let stderrTail = ""
  /** How far down the stop ladder the present incarnation is; names the reason of its exit. */
  let ladderStep: string | undefined
  let runningLadder: RunningLadder | undefined
  /** A demand is in the inbox: one is enough for all calls that wait. */
  let demanded = false
  /** Told to stop for good. */
  let stopped = false
  /** Its scope has closed: nobody takes from the inbox any more. */
  let over = false
  const readyWaiters: Waiters<RespawnLimitReached | WorkerStopped> = new Set()
  const stopWaiters: Waiters<never> = new Set()
  const drainWaiters: Waiters<never> = new Set()
  const resetWaiters: Waiters<never> = new Set()

  const settle = <E>(waiters: Waiters<E>, exit: Effect.Effect<void, E>) => {
    const all = [...waiters]
    waiters.clear()
    for (const waiter of all) Deferred.doneUnsafe(waiter, exit)
  }

  /** Posts the input and waits to be settled. */
  const ask = <E>(waiters: Waiters<E>, input: () => void): Effect.Effect<void, E> =>
    Effect.suspend(() => {
      const waiter = Deferred.makeUnsafe<void, E>()
      waiters.add(waiter)
      input()
      return Effect.ensuring(
        Deferred.await(waiter),
        Effect.sync(() => waiters.delete(waiter))
      )
    })

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
      settle(readyWaiters, Effect.fail(stoppedError()))
      for (const waiters of [stopWaiters, drainWaiters, resetWaiters]) settle(waiters, Effect.void)
    })
  )

  const idle = Latch.makeUnsafe(true)
  const incarnations = yield* FiberHandle.make()
  const ladder = yield* FiberHandle.make()
  const delay = yield* FiberHandle.make()
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
      idle.openUnsafe()
    }
  })

  // --- one incarnation: spawn, handshake, serve, exit -------------------------------------------

  /** Whatever a worker sends, it must not take the daemon down: what goes wrong here is its fault. */
  const onFrame = (incarnation: Incarnation, raw: unknown) => {
    // A process that outlived its incarnation's exit may still hold the channel.
    if (current !== incarnation) return
    try {
      receive(incarnation, raw)
    } catch (error) {
      broke(incarnation, `a frame that cannot be handled: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  const receive = (incarnation: Incarnation, raw: unknown) => {
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
        if (!calls.chunk(frame.id, frame.values) && !calls.wasAsked(frame.id)) {
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
      return kill(number, "protocol", `it speaks version ${frame.v} of the protocol, not ${Frame.protocolVersion}`)
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

  // --- whether it still works ----------------------------------------------------------------------

  const pulseOf = (incarnation: Incarnation): pulse.Pulse | undefined => {
    const { heartbeat } = options
    if (heartbeat === undefined) return undefined
    return pulse.make({
      settings: heartbeat,
      now: monotonicMs,
      ask: (n) => void incarnation.child.channel.sendUnsafe({ t: "ping", n }),
      isExcused: () =>
        isStopping() || incarnation.source.isPaused || (heartbeat.while === "idle" && calls.inFlight > 0),
      hung: (silentMs) => hung(incarnation, silentMs),
      measured: (delayMs, memory) => {
        incarnation.loopDelayMs = delayMs
        incarnation.memoryBytes = memory ?? incarnation.memoryBytes
        options.metrics.loopDelayMs(delayMs)
      }
    })
  }

  const watchMemory = (incarnation: Incarnation, limits: memoryWatch.Limits): Effect.Effect<never> => {
    const { child, number } = incarnation
    const told = Effect.suspend(() =>
      incarnation.memoryBytes === null ? Effect.fail("it does not tell") : Effect.succeed(incarnation.memoryBytes)
    )
    const looked = Effect.suspend(() => limits.rss?.(child.pid) ?? child.memory ?? told)
    const read = Effect.catch(looked, () => told)
    return memoryWatch.watch({
      limits,
      read: Effect.tap(read, (bytes) =>
        Effect.sync(() => {
          incarnation.memoryBytes = bytes
        })
      ),
      high: (limit, bytes) => memoryHigh(number, limit, bytes)
    })
  }

  const memoryHigh = Effect.fnUntraced(function* (incarnation: number, limit: "soft" | "hard", bytes: number) {
    // What drains or is told to die already is on its way out.
    if (machine.state._tag !== "Ready" || machine.state.doomed !== null) return
    if (limit === "soft" && options.onMemoryHigh !== undefined) return options.onMemoryHigh()
    yield* options.emit({ _tag: "MemoryLimitPassed", key, incarnation, limit, bytes })
    if (limit === "soft") post({ _tag: "DrainAsked" })
    else kill(incarnation, "memory", `memory: ${bytes} bytes are above its limit`)
  })

  /** From here on the stop ladder bounds it. */
  const isStopping = () => machine.state._tag === "Draining" && machine.state.asked

  const hung = Effect.fnUntraced(function* ({ number }: Incarnation, silentMs: number) {
    options.metrics.hung()
    yield* options.emit({ _tag: "WorkerHung", key, incarnation: number, silentMs })
    kill(number, "hung", `hung: no answer for ${Math.round(silentMs)} ms`)
  })

  const violated = (number: number, detail: string) =>
    options.emitUnsafe({ _tag: "ProtocolViolated", key, incarnation: number, detail }, current?.source)

  const onLine = (number: number) => (stream: "stdout" | "stderr", line: string) => {
    if (stream === "stderr") stderrTail = `${stderrTail}${line}\n`.slice(-stderrTailLength)
    options.emitUnsafe({ _tag: "WorkerOutput", key, incarnation: number, stream, line, fields: null }, current?.source)
  }

  /** One that is to go is read: what it is still at must not wait for whoever reads its output. */
  const sourceOf = ({ reading }: Child): OutputSource => {
    const source: OutputSource = {
      isPaused: false,
      pauseUnsafe: () => {
        if (reading === undefined || machine.state._tag === "Draining") return
        source.isPaused = true
        reading.pauseUnsafe()
      },
      resumeUnsafe: () => {
        source.isPaused = false
        reading?.resumeUnsafe()
      }
    }
    return source
  }

  const broke = ({ number }: Incarnation, detail: string) => {
    violated(number, detail)
    kill(number, "protocol", `it broke the protocol: ${detail}`)
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
    if (state._tag === "Draining") return FiberHandle.run(ladder, runLadder(number, false))
    return state._tag === "Starting" && state.doomed !== null ? child.kill("SIGKILL") : Effect.void
  }

  /** A worker that was asked to stop may close its channel first: the stop ladder bounds it. */
  const channelClosed = (number: number) => {
    if (machine.state._tag === "Draining" && machine.state.asked) return
    kill(number, "protocol", "it closed its channel and did not exit")
  }

  /** A bound that passed while this process stood still says nothing: it begins anew. */
  const untilReadyTimeout: Effect.Effect<void> = Effect.suspend(() => {
    const due = monotonicMs() + options.readyTimeoutMs
    return Effect.andThen(
      Effect.sleep(options.readyTimeoutMs),
      Effect.suspend(() => (monotonicMs() > due + Heartbeat.stallMs ? untilReadyTimeout : Effect.void))
    )
  })

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
    const incarnation: Incarnation = {
      number,
      child,
      source: sourceOf(child),
      channelAlive: true,
      greeting: Latch.makeUnsafe(false),
      greeted: false,
      info: null,
      pulse: undefined,
      loopDelayMs: null,
      memoryBytes: null
    }
    current = incarnation
    const ended = Latch.makeUnsafe(false)
    child.channel.onFrameUnsafe((frame) => onFrame(incarnation, frame))
    child.channel.onEndUnsafe((end) => {
      onEnd(incarnation, end)
      ended.openUnsafe()
    })
    yield* catchUp(incarnation)
    yield* Effect.forkScoped(Effect.forever(flushWhenDrained(child)))
    yield* Effect.forkScoped(
      Effect.andThen(
        untilReadyTimeout,
        Effect.sync(() => post({ _tag: "ReadyTimedOut", incarnation: number, afterMs: options.readyTimeoutMs }))
      )
    )
    yield* Effect.forkScoped(
      Effect.andThen(
        incarnation.greeting.await,
        Effect.suspend(() => incarnation.pulse?.run ?? Effect.void)
      )
    )
    const { memory } = options
    if (memory !== undefined) {
      yield* Effect.forkScoped(Effect.andThen(incarnation.greeting.await, watchMemory(incarnation, memory)))
    }
    yield* Effect.forkScoped(
      ended.await.pipe(
        Effect.andThen(Effect.sleep(channelClosedGraceMs)),
        Effect.andThen(Effect.sync(() => channelClosed(number)))
      )
    )
    return yield* child.exit
  }, Effect.scoped)

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
        ? { _tag: "Exited", incarnation: number, now, exit: result.value, failure: null }
        : { _tag: "Exited", incarnation: number, now, exit: null, failure: `cannot start: ${messageOf(result.cause)}` }
    )
  })

  // --- the stop ladder ---------------------------------------------------------------------------

  const takeStep = (incarnation: Incarnation, step: StopPolicy.Step): Effect.Effect<unknown> => {
    ladderStep = step._tag
    const { child } = incarnation
    switch (step._tag) {
      case "Ask":
        child.channel.sendUnsafe({ t: "stop" })
        return Effect.timeoutOption(child.exit, step.waitMs)
      case "Terminate":
        return Effect.andThen(child.kill("SIGTERM"), Effect.timeoutOption(child.exit, step.waitMs))
      case "Kill":
        return Effect.andThen(child.kill("SIGKILL"), child.exit)
    }
  }

  const runLadder = Effect.fnUntraced(function* (number: number, afterInFlight: boolean) {
    current?.source.resumeUnsafe()
    if (afterInFlight && calls.inFlight > 0) {
      idle.closeUnsafe()
      yield* Effect.timeoutOption(idle.await, stopPolicy.drainMs)
    }
    post({ _tag: "LadderBegun", incarnation: number })
    const incarnation = current
    if (incarnation === undefined || incarnation.number !== number) return
    runningLadder = { incarnation: number, policy: stopPolicy }
    for (const step of StopPolicy.steps(stopPolicy, incarnation.channelAlive)) {
      const exited = yield* takeStep(incarnation, step)
      if (step._tag === "Kill" || isSome(exited)) return
    }
  })

  /** Whoever asks again, and for nothing faster, does not make it begin anew. */
  const isUnderWay = (number: number): boolean =>
    runningLadder?.incarnation === number && !StopPolicy.isShorter(stopPolicy, runningLadder.policy)

  const isSome = (value: unknown): boolean =>
    typeof value === "object" && value !== null && "_tag" in value && value._tag === "Some"

  // --- carrying out what was decided -------------------------------------------------------------

  const died = (incarnation: number, exit: WorkerExit | null) =>
    new WorkerDied({
      key: name,
      incarnation,
      exit: exit ?? { code: null, signal: null },
      stderrTail
    })

  const reportExit = Effect.fnUntraced(function* (
    action: Extract<WorkerMachine.Action, { readonly _tag: "ReportExit" }>
  ) {
    const pid = current?.child.pid ?? null
    current = undefined
    previousExit = handoverText({ ...(action.exit ?? { code: null, signal: null }), error: null })
    options.metrics.exited(action.cause)
    calls.failInFlight(action.expected ? stoppedError() : died(action.incarnation, action.exit))
    yield* options.emit({
      _tag: "WorkerExited",
      key,
      incarnation: action.incarnation,
      pid,
      exit: action.exit ?? { code: null, signal: null },
      expected: action.expected,
      cause: action.cause,
      reason:
        action.expected && ladderStep !== undefined ? `${ladderStep.toLowerCase()}: ${action.reason}` : action.reason,
      uptimeMs: action.uptimeMs,
      stderrTail
    })
    ladderStep = undefined
  })

  const askPolicy = Effect.fnUntraced(function* (
    action: Extract<WorkerMachine.Action, { readonly _tag: "AskPolicy" }>
  ) {
    const incarnation = machine.incarnation
    const objection = objectionTo(incarnation)
    if (objection !== undefined) return post(objection)
    const decision = yield* decidePolicy(monotonicMs(), { exit: action.exit, uptimeMs: action.uptimeMs })
    if (decision._tag === "GiveUp") return post({ _tag: "GiveUpDecided", incarnation, reason: action.reason })
    options.metrics.respawn()
    yield* options.emit({ _tag: "RespawnScheduled", key, delayMs: decision.delayMs, crashes: machine.crashes })
    post({ _tag: "RespawnDecided", incarnation, delayMs: decision.delayMs })
  })

  /** The veto against a respawn, if any. The predicate is the user's: one that throws gives the key up. */
  const objectionTo = (incarnation: number): WorkerMachine.Input | undefined => {
    try {
      return options.shouldRespawn() ? undefined : { _tag: "Vetoed", incarnation }
    } catch (error) {
      return { _tag: "GiveUpDecided", incarnation, reason: `shouldRespawn threw: ${String(error)}` }
    }
  }

  const afterDelay = (incarnation: number) =>
    Effect.sync(() => post(objectionTo(incarnation) ?? { _tag: "DelayOver", incarnation }))

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
        yield* FiberHandle.run(incarnations, runIncarnation(action.incarnation))
        return
      }
      case "Attach": {
        if (current === undefined) return
        const incarnation = current
        const { child, info, number } = incarnation
        yield* options.emit({ _tag: "WorkerReady", key, incarnation: number, pid: child.pid, info })
        // The channel may have ended while the event was told.
        if (incarnation.channelAlive) calls.attach(child.channel)
        settle(readyWaiters, Effect.void)
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
        if (isUnderWay(machine.incarnation)) return
        yield* FiberHandle.run(ladder, runLadder(machine.incarnation, action.afterInFlight))
        return
      case "ReportExit":
        return yield* reportExit(action)
      case "AskPolicy":
        return yield* askPolicy(action)
      case "StartDelay":
        if (action.delayMs <= 0) return yield* afterDelay(machine.incarnation)
        yield* FiberHandle.run(delay, Effect.andThen(Effect.sleep(action.delayMs), afterDelay(machine.incarnation)))
        return
      case "CancelDelay":
        return yield* FiberHandle.clear(delay)
      case "FailWaiting":
        calls.failWaiting(stoppedError())
        settle(readyWaiters, Effect.fail(stoppedError()))
        return
      case "GiveUp": {
        const error = new RespawnLimitReached({ key: name, crashes: machine.crashes, lastFailure: action.reason })
        refuse(error)
        yield* options.emit({ _tag: "WorkerGivenUp", key, crashes: machine.crashes, reason: action.reason })
        calls.failWaiting(error)
        settle(readyWaiters, Effect.fail(error))
        return
      }
      case "Revive":
        decidePolicy = yield* RespawnPolicy.toDecide(options.respawn)
        return refuse(undefined)
      case "DrainDone":
        settle(drainWaiters, Effect.void)
        return
      case "StopDone":
        settle(stopWaiters, Effect.void)
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
    if (input._tag === "ResetAsked") settle(resetWaiters, Effect.void)
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
    return ask(readyWaiters, demand)
  })

  const stop = (policy: StopPolicy.StopPolicy) =>
    Effect.suspend(() => {
      if (over) return Effect.void
      if (!stopped || StopPolicy.isShorter(policy, stopPolicy)) stopPolicy = policy
      refuse(stoppedError())
      stopped = true
      return ask(stopWaiters, () => post({ _tag: "StopAsked" }))
    })

  const drain = (policy: StopPolicy.StopPolicy) =>
    Effect.suspend(() => {
      if (over) return Effect.void
      if (!stopped) stopPolicy = policy
      return ask(drainWaiters, () => post({ _tag: "DrainAsked" }))
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
    reset: Effect.suspend(() => (over ? Effect.void : ask(resetWaiters, () => post({ _tag: "ResetAsked" }))))
  }
})

/** How an exit reads in a log line. */
export const describeExit = (event: Extract<WorkerEvent<unknown>, { readonly _tag: "WorkerExited" }>): string =>
  `${event.expected ? "stopped" : "died"} (${event.reason}${event.reason.includes(format(event.exit)) ? "" : `, ${format(event.exit)}`})`
