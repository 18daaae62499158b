/**
 * Who waits for a pool to come somewhere: to have booted, to be reloaded, to be closed. Each is told when it has, or
 * that it will not.
 */
import type { Input } from "@nerve/core/supervision/PoolMachine"
import * as PoolState from "@nerve/core/supervision/PoolState"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { RespawnLimitReached, WorkerStopped } from "../WorkerError.ts"
import type { PoolEngine } from "./poolEngine.ts"

type Failure = RespawnLimitReached | WorkerStopped

interface Waiter {
  readonly until: "booted" | "reloaded" | "closed"
  /** Of which workers must be; the reload that asks for it may still be on its way. */
  readonly generation: number
  readonly done: Deferred.Deferred<void, Failure>
}

const has = { booted: PoolState.isBooted, reloaded: PoolState.isReloaded, closed: PoolState.isClosed }

export class PoolWaiters {
  readonly #name: string
  readonly #engine: PoolEngine
  #waiters: ReadonlyArray<Waiter> = []

  constructor(name: string, engine: PoolEngine) {
    this.#name = name
    this.#engine = engine
  }

  /** Hands in the input, and waits. */
  wait(until: Waiter["until"], input: Input): Effect.Effect<void, Failure> {
    return Effect.suspend(() => {
      const generation = until === "reloaded" ? this.#engine.state.generation + 1 : 0
      const waiter: Waiter = { until, generation, done: Deferred.makeUnsafe() }
      this.#waiters = [...this.#waiters, waiter]
      this.#engine.step(input)
      return Effect.onInterrupt(Deferred.await(waiter.done), () =>
        Effect.sync(() => {
          this.#waiters = this.#waiters.filter((one) => one !== waiter)
        })
      )
    })
  }

  /** Tells those who have not waited in vain; of a pool that is closed nobody else has anything to expect. */
  settle(): void {
    if (this.#waiters.length === 0) return
    const { state } = this.#engine
    this.#end(Effect.void, ({ generation, until }) => generation <= state.generation && has[until](state))
    if (state.closing === null) return
    this.#end(Effect.fail(new WorkerStopped({ key: this.#name })), ({ until }) => until !== "closed")
  }

  /** Some slot will not be served: nobody waits for that in vain. */
  giveUp(slot: number, crashes: number, reason: string): void {
    this.#end(Effect.fail(this.#limit(slot, crashes, reason)), ({ until }) => until !== "closed")
  }

  /** Of a slot that was given up already nothing is to be expected. */
  get booted(): Effect.Effect<void, Failure> {
    return Effect.suspend(() => {
      const { state } = this.#engine
      for (const { crashes, pause, slot } of PoolState.isBooted(state) ? [] : state.slots) {
        if (pause?._tag === "GivenUp") return Effect.fail(this.#limit(slot, crashes, pause.reason))
      }
      return this.wait("booted", { _tag: "Tick" })
    })
  }

  #limit(slot: number, crashes: number, lastFailure: string): RespawnLimitReached {
    return new RespawnLimitReached({ key: `${this.#name}/${slot}`, crashes, lastFailure })
  }

  #end(exit: Effect.Effect<void, Failure>, which: (waiter: Waiter) => boolean): void {
    const ending = this.#waiters.filter(which)
    if (ending.length === 0) return
    this.#waiters = this.#waiters.filter((waiter) => !which(waiter))
    for (const { done } of ending) Deferred.doneUnsafe(done, exit)
  }
}
