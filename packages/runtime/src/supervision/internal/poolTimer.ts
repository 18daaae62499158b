/**
 * One timer for all that is due in a pool. It is set to the earliest time that was asked for, and says by how much it
 * came late: then this process itself stood still, and nobody else is to blame.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

export class PoolTimer {
  readonly #now: () => number
  readonly #due: (at: number, lateMs: number) => void
  readonly #runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  #at = Infinity
  #fiber: Fiber.Fiber<void> | undefined

  constructor(
    now: () => number,
    context: Context.Context<never>,
    /** Told once for each time that it was set to, and has to set it again. */
    due: (at: number, lateMs: number) => void
  ) {
    this.#now = now
    this.#due = due
    this.#runFork = Effect.runForkWith(context)
  }

  /** Due at this time at the latest. */
  set(at: number): void {
    if (at >= this.#at) return
    this.stop()
    this.#at = at
    const ms = Math.max(0, Math.ceil(at - this.#now()))
    this.#fiber = this.#runFork(
      Effect.andThen(
        Effect.sleep(ms),
        Effect.sync(() => this.#ring())
      )
    )
  }

  stop(): void {
    this.#fiber?.interruptUnsafe()
    this.#fiber = undefined
    this.#at = Infinity
  }

  #ring(): void {
    const at = this.#now()
    const late = at - this.#at
    this.#fiber = undefined
    this.#at = Infinity
    this.#due(at, late)
  }
}
