/**
 * Those who wait for one thing to happen to a worker: that it is ready, stopped, drained, reset.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

export interface Waiters<E> {
  /** Asks for it, by posting an input for instance, and waits to be settled. */
  readonly ask: (post: () => void) => Effect.Effect<void, E>
  /** All that wait now go on with this. */
  readonly settle: (exit: Effect.Effect<void, E>) => void
}

export const make = <E = never>(): Waiters<E> => {
  const waiting = new Set<Deferred.Deferred<void, E>>()
  return {
    ask: (post) =>
      Effect.suspend(() => {
        const waiter = Deferred.makeUnsafe<void, E>()
        waiting.add(waiter)
        post()
        return Effect.ensuring(
          Deferred.await(waiter),
          Effect.sync(() => waiting.delete(waiter))
        )
      }),
    settle: (exit) => {
      const all = [...waiting]
      waiting.clear()
      for (const waiter of all) Deferred.doneUnsafe(waiter, exit)
    }
  }
}
