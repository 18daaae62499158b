/**
 * What the respawn policy of a pool says about the end of a member. Each slot has its own account of its crashes.
 */
import type { Action, Input } from "@nerve/core/supervision/PoolMachine"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as Effect from "effect/Effect"
import * as monotonic from "./monotonic.ts"

type Asked = Extract<Action, { readonly _tag: "AskPolicy" }>
type Answer = Extract<Input, { readonly _tag: "RespawnDecided" | "GiveUpDecided" }>

export interface PoolRespawn {
  /** A policy that fails itself gives up, and is named as the reason. */
  readonly ask: (action: Asked) => Effect.Effect<Answer>
  /** The slot's crashes are forgotten. */
  readonly forget: (slot: number) => void
}

export const make = (policy: RespawnPolicy.RespawnPolicy): PoolRespawn => {
  const slots = new Map<number, Effect.Success<ReturnType<typeof RespawnPolicy.toDecide>>>()
  const ask = Effect.fnUntraced(function* ({ exit, member, reason, slot, uptimeMs }: Asked) {
    const decide = slots.get(slot) ?? (yield* RespawnPolicy.toDecide(policy))
    slots.set(slot, decide)
    const decision = yield* decide(yield* monotonic.now, { exit, uptimeMs })
    const answer: Answer =
      decision._tag === "GiveUp"
        ? { _tag: "GiveUpDecided", member, reason: decision.failure ?? reason }
        : { _tag: "RespawnDecided", member, delayMs: decision.delayMs }
    return answer
  })
  return {
    ask,
    forget: (slot) => {
      slots.delete(slot)
    }
  }
}
