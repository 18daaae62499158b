/**
 * The heartbeat of one incarnation: the shell around `Heartbeat`. It asks, listens, and tells of a worker
 * that hangs; what becomes of that one is not its business.
 */
import * as Heartbeat from "@nerve/core/supervision/Heartbeat"
import type * as Frame from "@nerve/core/wire/Frame"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** As `WorkerRuntime` and `WorkerPool` take it. */
export interface Options {
  /** Between two beats; 5 seconds unless told. */
  readonly interval?: Duration.Input | undefined
  /** How long a worker may be silent after it was asked; 30 seconds unless told. `"Infinity"` only measures. */
  readonly timeout?: Duration.Input | undefined
  /** `idle`: a worker with a call in flight may be silent, and only the bounds of its calls judge it. */
  readonly while?: "always" | "idle" | undefined
}

/** What a runtime was told, or what it does unless told. */
export const settingsOf = (
  options: Options | false | undefined,
  otherwise: "always" | "idle"
): Heartbeat.Settings | undefined =>
  options === false
    ? undefined
    : {
        intervalMs: Math.max(1, Duration.toMillis(Duration.fromInputUnsafe(options?.interval ?? "5 seconds"))),
        timeoutMs: Duration.toMillis(Duration.fromInputUnsafe(options?.timeout ?? "30 seconds")),
        while: options?.while ?? otherwise
      }

export interface Host {
  readonly settings: Heartbeat.Settings
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
  readonly ask: (ping: number) => void
  /** Whether its silence means nothing now. */
  readonly isExcused: () => boolean
  readonly hung: (silentMs: number) => Effect.Effect<void>
  /** What a pong told: how long the event loop was held up, by the worker's own account or as seen from here. */
  readonly measured: (delayMs: number, memory: number | null) => void
}

export interface Pulse {
  /** A frame has come. */
  readonly heard: () => void
  readonly pong: (frame: Extract<Frame.FromWorker, { readonly t: "pong" }>) => void
  /** Beats until it is interrupted, or the worker hangs. */
  readonly run: Effect.Effect<void>
}

export const make = (host: Host): Pulse => {
  const { settings } = host
  let state = Heartbeat.start(host.now())
  let heard = false

  const beat = Effect.suspend((): Effect.Effect<boolean> => {
    const observed = { now: host.now(), heard, excused: host.isExcused() }
    heard = false
    const { state: next, verdict } = Heartbeat.beat(state, observed, settings)
    state = next
    switch (verdict._tag) {
      case "Alive":
        return Effect.succeed(false)
      case "Ask":
        host.ask(verdict.ping)
        return Effect.succeed(false)
      case "Hung":
        return Effect.as(host.hung(verdict.silentMs), true)
    }
  })

  return {
    heard: () => {
      heard = true
    },
    pong: (frame) => {
      const answered = Heartbeat.pong(state, frame.n, host.now())
      state = answered.state
      if (answered.tookMs !== null) host.measured(frame.delayMs ?? answered.tookMs, frame.memory)
    },
    run: Effect.suspend(() => {
      state = Heartbeat.start(host.now())
      return Effect.andThen(Effect.sleep(settings.intervalMs), beat).pipe(
        Effect.repeat({ until: (isOver: boolean) => isOver }),
        Effect.asVoid
      )
    })
  }
}
