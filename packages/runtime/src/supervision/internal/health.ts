/**
 * Whether an incarnation still works, and how much memory it takes: its heartbeat and the watch over its
 * memory, with what follows when either says that it must go. It decides nothing itself: it posts inputs.
 */
import type * as Heartbeat from "@nerve/core/supervision/Heartbeat"
import type * as WorkerMachine from "@nerve/core/supervision/WorkerMachine"
import * as Effect from "effect/Effect"
import type { WorkerEvent } from "../WorkerEvent.ts"
import type { WorkerMetrics } from "../WorkerMetrics.ts"
import * as faults from "./faults.ts"
import type { Incarnation } from "./incarnation.ts"
import * as memoryWatch from "./memoryWatch.ts"
import * as pulse from "./pulse.ts"

export interface Host<K> {
  readonly key: K
  /** Undefined: it is not asked whether it is alive. */
  readonly heartbeat: Heartbeat.Settings | undefined
  /** Undefined: nobody looks at its memory. */
  readonly memory: memoryWatch.Limits | undefined
  /** In place of a drain, when it passes its soft limit. */
  readonly onMemoryHigh: (() => void) | undefined
  readonly metrics: WorkerMetrics
  readonly emit: (event: WorkerEvent<K>) => Effect.Effect<void>
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
  readonly state: () => WorkerMachine.WorkerState
  readonly hasCalls: () => boolean
  /** Told what is to happen to the incarnation. */
  readonly drain: () => void
  readonly kill: (incarnation: number, doom: WorkerMachine.Doom) => void
}

export interface Health {
  /** The heartbeat of an incarnation that answers pings; undefined where nobody asks. */
  readonly pulseOf: (incarnation: Incarnation) => pulse.Pulse | undefined
  /** Run beside an incarnation from its `ready` on, until it is interrupted. */
  readonly watch: (incarnation: Incarnation) => Effect.Effect<void>
}

export const make = <K>(host: Host<K>): Health => {
  const { emit, heartbeat, key, memory, metrics } = host

  /** From here on the stop ladder bounds it. */
  const isStopping = () => {
    const state = host.state()
    return state._tag === "Draining" && state.asked
  }

  const hung = Effect.fnUntraced(function* ({ number }: Incarnation, silentMs: number) {
    metrics.hung()
    yield* emit({ _tag: "WorkerHung", key, incarnation: number, silentMs })
    host.kill(number, { cause: "hung", reason: faults.hung(silentMs) })
  })

  const pulseOf = (incarnation: Incarnation): pulse.Pulse | undefined => {
    if (heartbeat === undefined) return undefined
    return pulse.make({
      settings: heartbeat,
      now: host.now,
      ask: (n) => void incarnation.child.channel.sendUnsafe({ t: "ping", n }),
      isExcused: () => isStopping() || incarnation.source.isPaused() || (heartbeat.while === "idle" && host.hasCalls()),
      hung: (silentMs) => hung(incarnation, silentMs),
      measured: (delayMs, bytes) => {
        incarnation.loopDelayMs = delayMs
        incarnation.memoryBytes = bytes ?? incarnation.memoryBytes
        metrics.loopDelayMs(delayMs)
      }
    })
  }

  const memoryHigh = Effect.fnUntraced(function* (incarnation: number, limit: "soft" | "hard", bytes: number) {
    const state = host.state()
    // What drains or is told to die already is on its way out.
    if (state._tag !== "Ready" || state.doomed !== null) return
    if (limit === "soft" && host.onMemoryHigh !== undefined) return host.onMemoryHigh()
    yield* emit({ _tag: "MemoryLimitPassed", key, incarnation, limit, bytes })
    if (limit === "soft") host.drain()
    else host.kill(incarnation, { cause: "memory", reason: faults.tooMuchMemory(bytes) })
  })

  const watchMemory = (incarnation: Incarnation, limits: memoryWatch.Limits): Effect.Effect<never> => {
    const { child, number } = incarnation
    const read = memoryWatch.readOf(limits, child, () => incarnation.memoryBytes)
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

  return {
    pulseOf,
    watch: (incarnation) =>
      Effect.all(
        [incarnation.pulse?.run ?? Effect.void, memory === undefined ? Effect.void : watchMemory(incarnation, memory)],
        { concurrency: "unbounded", discard: true }
      )
  }
}
