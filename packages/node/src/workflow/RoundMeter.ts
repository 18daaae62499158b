/**
 * Measures one round: how long it took, and what asking models took, added up from what adapters tell.
 */
import { RoundListener, type RoundHearing } from "@nerve/core/authoring/Conversation"
import * as Usage from "@nerve/core/domain/Usage"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** What a round took so far: fields of a recorded round. */
export interface Cost {
  /** Milliseconds. */
  readonly durationMs: number
  /** Absent when no model was asked. */
  readonly usage?: Usage.Usage
}

export interface RoundMeter {
  /** Counts what is asked inside. */
  readonly listen: <A, E, R>(round: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly cost: Effect.Effect<Cost>
}

/** Starts to measure. */
export const make: Effect.Effect<RoundMeter> = Effect.gen(function* () {
  const { heard } = yield* RoundListener
  const startedAt = yield* Clock.currentTimeNanos
  // By identity: an adapter made of others passes on what they have told already.
  const told = new Set<Usage.Usage>()
  const hearing: RoundHearing = { heard, spent: (usage) => void told.add(usage) }
  return {
    listen: Effect.provideService(RoundListener, hearing),
    cost: Effect.map(Clock.currentTimeNanos, (now) => ({
      durationMs: Number((now - startedAt) / 1_000_000n),
      ...(told.size === 0 ? {} : { usage: Usage.sum(told) })
    }))
  }
})
