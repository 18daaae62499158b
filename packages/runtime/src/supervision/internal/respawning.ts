/**
 * What follows a crash: the veto, the policy, the delay, the veto again (R5, R6, R7). Predicate and policy are the
 * user's: what throws gives the key up, with what it said as the reason.
 */
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import type * as WorkerMachine from "@nerve/core/supervision/WorkerMachine"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import type * as Scope from "effect/Scope"

export interface Host {
  readonly policy: RespawnPolicy.RespawnPolicy
  readonly shouldRespawn: () => boolean
  /** Milliseconds of a clock that nobody sets. */
  readonly now: () => number
  /** Told of a respawn before it is scheduled. */
  readonly scheduled: (delayMs: number) => Effect.Effect<void>
  readonly post: (input: WorkerMachine.Input) => void
}

export interface Respawning {
  /** Asks predicate and policy, and posts what they say. */
  readonly ask: (incarnation: number, crash: Action<"AskPolicy">) => Effect.Effect<void>
  /** Posts when it is over, unless it is cancelled before. */
  readonly startDelay: (incarnation: number, delayMs: number) => Effect.Effect<void>
  readonly cancelDelay: Effect.Effect<void>
  /** Forgets all crashes. */
  readonly forget: Effect.Effect<void>
}

type Action<Tag extends WorkerMachine.Action["_tag"]> = Extract<WorkerMachine.Action, { readonly _tag: Tag }>

/** Of one key. A delay lives no longer than the scope. */
export const make = Effect.fnUntraced(function* (host: Host): Effect.fn.Return<Respawning, never, Scope.Scope> {
  const { post } = host
  const delay = yield* FiberHandle.make()
  let decide = yield* RespawnPolicy.toDecide(host.policy)

  /** The veto against a respawn, if any. */
  const objectionTo = (incarnation: number): WorkerMachine.Input | undefined => {
    try {
      return host.shouldRespawn() ? undefined : { _tag: "Vetoed", incarnation }
    } catch (error) {
      return { _tag: "GiveUpDecided", incarnation, reason: `shouldRespawn threw: ${String(error)}` }
    }
  }

  const afterDelay = (incarnation: number) =>
    Effect.sync(() => post(objectionTo(incarnation) ?? { _tag: "DelayOver", incarnation }))

  return {
    ask: Effect.fnUntraced(function* (incarnation: number, { exit, reason, uptimeMs }: Action<"AskPolicy">) {
      const objection = objectionTo(incarnation)
      if (objection !== undefined) return post(objection)
      const decision = yield* decide(host.now(), { exit, uptimeMs })
      if (decision._tag === "GiveUp") return post({ _tag: "GiveUpDecided", incarnation, reason })
      yield* host.scheduled(decision.delayMs)
      post({ _tag: "RespawnDecided", incarnation, delayMs: decision.delayMs })
    }),
    startDelay: (incarnation, delayMs) =>
      delayMs <= 0
        ? afterDelay(incarnation)
        : Effect.asVoid(FiberHandle.run(delay, Effect.andThen(Effect.sleep(delayMs), afterDelay(incarnation)))),
    cancelDelay: FiberHandle.clear(delay),
    forget: Effect.map(RespawnPolicy.toDecide(host.policy), (fresh) => {
      decide = fresh
    })
  }
})
