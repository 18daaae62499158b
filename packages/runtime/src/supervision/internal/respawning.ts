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
  /** Asks predicate and policy, and posts what they say; what the policy takes its time for may be cancelled. */
  readonly ask: (incarnation: number, crash: Action<"AskPolicy">) => Effect.Effect<void>
  /** Posts when it is over, unless it is cancelled before. */
  readonly startDelay: (incarnation: number, delayMs: number) => Effect.Effect<void>
  /** Nothing more is posted for the crash before. */
  readonly cancel: Effect.Effect<void>
  /** Forgets all crashes. */
  readonly forget: Effect.Effect<void>
}

type Action<Tag extends WorkerMachine.Action["_tag"]> = Extract<WorkerMachine.Action, { readonly _tag: Tag }>

/** Of one key. What is pending lives no longer than the scope. */
export const make = Effect.fnUntraced(function* (host: Host): Effect.fn.Return<Respawning, never, Scope.Scope> {
  const { post } = host
  /** The policy while it is asked, then the delay: both may take time, and are over when the key is stopped. */
  const pending = yield* FiberHandle.make()
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

  const consult = Effect.fnUntraced(function* (incarnation: number, { exit, reason, uptimeMs }: Action<"AskPolicy">) {
    const decision = yield* decide(host.now(), { exit, uptimeMs })
    if (decision._tag === "GiveUp")
      return post({ _tag: "GiveUpDecided", incarnation, reason: decision.failure ?? reason })
    yield* Effect.uninterruptible(host.scheduled(decision.delayMs))
    post({ _tag: "RespawnDecided", incarnation, delayMs: decision.delayMs })
  })

  return {
    ask: (incarnation, crash) =>
      Effect.suspend(() => {
        const objection = objectionTo(incarnation)
        return objection === undefined
          ? Effect.asVoid(FiberHandle.run(pending, consult(incarnation, crash)))
          : Effect.sync(() => post(objection))
      }),
    startDelay: (incarnation, delayMs) =>
      delayMs <= 0
        ? afterDelay(incarnation)
        : Effect.asVoid(FiberHandle.run(pending, Effect.andThen(Effect.sleep(delayMs), afterDelay(incarnation)))),
    cancel: FiberHandle.clear(pending),
    forget: Effect.map(RespawnPolicy.toDecide(host.policy), (fresh) => {
      decide = fresh
    })
  }
})
