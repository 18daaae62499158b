/**
 * The state of a pool, and the only place where it changes. Inputs are decided and carried out one after the other,
 * synchronously, wherever they come from; one that comes while another is carried out has its turn when that is done.
 */
import * as Heartbeat from "@nerve/core/supervision/Heartbeat"
import * as PoolMachine from "@nerve/core/supervision/PoolMachine"
import * as PoolState from "@nerve/core/supervision/PoolState"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import { stallGraceMs } from "./callBound.ts"
import { PoolTimer } from "./poolTimer.ts"

/** What the pool does about what was decided. */
export interface Host {
  readonly carryOut: (action: PoolMachine.Action) => void
  /** More than calls has changed. */
  readonly changed: () => void
  /** Something may be due: the last moment to ask for more time. */
  readonly beforeTick: (now: number) => void
}

export class PoolEngine {
  state: PoolState.PoolState
  readonly #clock: Clock.Clock
  readonly #host: Host
  readonly #timer: PoolTimer
  #inbox: Array<PoolMachine.Input> = []
  #stepping = false
  #decidedAt = 0

  constructor(settings: PoolState.Settings, clock: Clock.Clock, context: Context.Context<never>, host: Host) {
    this.state = PoolState.make(settings)
    this.#clock = clock
    this.#host = host
    this.#timer = new PoolTimer(
      () => this.now(),
      context,
      (at, lateMs) => this.#onTimer(at, lateMs)
    )
  }

  /** Milliseconds on a clock that never goes back. */
  now(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1e6
  }

  step(input: PoolMachine.Input): void {
    if (this.#stepping) return void this.#inbox.push(input)
    this.#stepping = true
    this.#take(input)
    while (this.#inbox.length > 0) {
      const inputs = this.#inbox
      this.#inbox = []
      for (const next of inputs) this.#take(next)
    }
    this.#stepping = false
  }

  /** Nothing is due any more. */
  stop(): void {
    this.#timer.stop()
  }

  #take(input: PoolMachine.Input): void {
    if (PoolMachine.isTimed(this.state, input)) this.#decidedAt = this.now()
    const { actions, state, structural, wakeAt } = PoolMachine.decide(this.state, input, this.#decidedAt)
    this.state = state
    for (const action of actions) this.#host.carryOut(action)
    this.#timer.set(wakeAt)
    if (structural) this.#host.changed()
  }

  #onTimer(at: number, lateMs: number): void {
    if (lateMs > Heartbeat.stallMs) this.step({ _tag: "Stalled", forMs: lateMs + stallGraceMs })
    this.#host.beforeTick(at)
    this.step({ _tag: "Tick" })
  }
}
