/**
 * Watches over a process that speaks the protocol, for a worker whose work is to be there: that it becomes
 * ready in time, keeps its channel and its word, answers the heartbeat, and stays within its memory. One that
 * does not is killed, and why is told; what follows is its supervisor's business.
 */
import type * as Heartbeat from "@nerve/core/supervision/Heartbeat"
import * as Frame from "@nerve/core/wire/Frame"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { ChannelEnd } from "../../ipc/Channel.ts"
import type { Port } from "../Lifecycle.ts"
import type { Child } from "../Spawner.ts"
import * as faults from "./faults.ts"
import * as memoryWatch from "./memoryWatch.ts"
import * as monotonic from "./monotonic.ts"
import * as pulse from "./pulse.ts"
import * as readyTimeout from "./readyTimeout.ts"

export interface Settings {
  /** Milliseconds from the spawn to `ready`. */
  readonly readyTimeoutMs: number
  /** Undefined: it is not asked whether it is alive. */
  readonly heartbeat: Heartbeat.Settings | undefined
  /** Undefined: nobody looks at its memory. */
  readonly memory: memoryWatch.Limits | undefined
}

/** Watches as long as the scope lives, and hands on what the worker logs. Gives why the process was killed, null while it was not. */
export const make = Effect.fnUntraced(function* (
  port: Port,
  child: Child,
  settings: Settings,
  onLog: (frame: Extract<Frame.FromWorker, { readonly t: "log" }>) => void
): Effect.fn.Return<() => string | null, never, Scope.Scope> {
  const now = monotonic.of(yield* Clock.Clock)
  const greeting = Latch.makeUnsafe(false)
  const doomed = Latch.makeUnsafe(false)
  let failure: string | null = null
  let heart: pulse.Pulse | undefined
  let memoryTold: number | null = null

  /** From here on the stop ladder bounds it. */
  const isStopping = () => port.stateUnsafe() === "Stopping"

  const fail = (reason: string) => {
    failure ??= reason
    doomed.openUnsafe()
  }

  const makeHeart = (heartbeat: Heartbeat.Settings): pulse.Pulse =>
    pulse.make({
      settings: heartbeat,
      now,
      ask: (n) => void child.channel.sendUnsafe({ t: "ping", n }),
      // Suspended, it cannot answer; told to stop, the stop ladder bounds it.
      isExcused: () => port.stateUnsafe() !== "Running",
      hung: (silentMs) => Effect.sync(() => fail(faults.hung(silentMs))),
      measured: (_delayMs, memory) => (memoryTold = memory ?? memoryTold)
    })

  const onReady = (frame: Extract<Frame.FromWorker, { readonly t: "ready" }>) => {
    if (frame.v !== Frame.protocolVersion) {
      return fail(faults.otherVersion(frame.v))
    }
    if (frame.ping && settings.heartbeat !== undefined) heart = makeHeart(settings.heartbeat)
    port.started()
    greeting.openUnsafe()
  }

  const onFrame = (raw: unknown) => {
    heart?.heard()
    const frame = Frame.fromWorker(raw)
    if (typeof frame === "string") return
    if (frame.t === "log") onLog(frame)
    if (frame.t === "pong") heart?.pong(frame)
    if (frame.t === "ready" && !greeting.isOpen()) onReady(frame)
  }

  const ended = Latch.makeUnsafe(false)
  const onEnd = (end: ChannelEnd) => {
    if (end._tag === "Broken") fail(faults.brokeProtocol(end.message))
    ended.openUnsafe()
  }

  child.channel.onFrameUnsafe(onFrame)
  child.channel.onEndUnsafe(onEnd)
  yield* Effect.forkScoped(Effect.andThen(doomed.await, child.kill("SIGKILL")))
  yield* Effect.forkScoped(
    Effect.map(readyTimeout.passed(settings.readyTimeoutMs), () => {
      if (!greeting.isOpen() && !isStopping()) fail(`not ready within ${settings.readyTimeoutMs} ms`)
    })
  )
  yield* Effect.forkScoped(
    Effect.andThen(
      greeting.await,
      Effect.suspend(() => heart?.run ?? Effect.void)
    )
  )
  yield* Effect.forkScoped(
    Effect.map(Effect.andThen(ended.await, Effect.sleep(faults.channelClosedGraceMs)), () => {
      if (!isStopping()) fail(faults.channelClosed)
    })
  )
  const { memory: limits } = settings
  if (limits !== undefined) {
    const read = memoryWatch.readOf(limits, child, () => memoryTold)
    const high = (_limit: "soft" | "hard", bytes: number) =>
      Effect.sync(() => {
        if (!isStopping()) fail(faults.tooMuchMemory(bytes))
      })
    yield* Effect.forkScoped(Effect.andThen(greeting.await, memoryWatch.watch({ limits, read, high })))
  }
  return () => failure
})
