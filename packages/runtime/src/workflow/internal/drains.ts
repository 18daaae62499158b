/**
 * Replaces the worker of a lane when none of its threads is active (M9). Nothing is started meanwhile; a
 * drain that waits is over when the worker crashes, for that replaces it as well.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** A drain that waits for the active threads, or runs. */
interface Drain {
  readonly done: Deferred.Deferred<void>
  running: boolean
}

export interface Options {
  readonly isActive: () => boolean
  /** Replaces the worker. */
  readonly replace: Effect.Effect<void>
  /** Nothing is held back any more. */
  readonly over: Effect.Effect<void>
  readonly scope: Scope.Scope
}

export interface Drains {
  /** Whether one waits or runs. */
  readonly isPending: () => boolean
  /** A drain, that begins by itself with `settled`; what is yielded waits for its end. */
  readonly begin: Effect.Effect<Effect.Effect<void>>
  /** Begins the drain that has waited for the last thread to go. */
  readonly settled: Effect.Effect<void>
  /** The worker is another one: a drain that waits has nothing left to do. */
  readonly crashed: Effect.Effect<void>
}

export const make = ({ isActive, over, replace, scope }: Options): Drains => {
  let drain: Drain | undefined

  /** One that runs already may have started the worker too early for this one. */
  const begin: Drains["begin"] = Effect.suspend(() => {
    if (drain?.running === true) return Effect.andThen(Deferred.await(drain.done), begin)
    drain ??= { done: Deferred.makeUnsafe(), running: false }
    return Effect.succeed(Deferred.await(drain.done))
  })

  const run = (current: Drain) => Effect.andThen(replace, end(current))

  const end = Effect.fnUntraced(function* (current: Drain) {
    if (drain !== current) return
    drain = undefined
    yield* over
    yield* Deferred.succeed(current.done, undefined)
  })

  const inScope = (effect: Effect.Effect<void>) => Effect.asVoid(Effect.forkIn(effect, scope))

  return {
    isPending: () => drain !== undefined,
    begin,
    settled: Effect.suspend(() => {
      if (drain === undefined || drain.running || isActive()) return Effect.void
      drain.running = true
      return inScope(run(drain))
    }),
    crashed: Effect.suspend(() => (drain === undefined || drain.running ? Effect.void : inScope(end(drain))))
  }
}
