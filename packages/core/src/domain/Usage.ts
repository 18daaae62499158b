/**
 * What asking models has taken: calls, tokens and money. Adapters report it, a round adds it up, the
 * log keeps it, and a workflow's budget is held against it.
 */
import * as Schema from "effect/Schema"

/** Beyond what any call takes, and small enough that sums stay exact and finite. */
const MOST = 1e12

const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: MOST }))

/** Wire format: part of a recorded round. */
export const Usage = Schema.Struct({
  /** How often a model was asked. */
  calls: Count,
  inputTokens: Count,
  outputTokens: Count,
  /** US dollars. Null when nobody said what it costs. */
  costUsd: Schema.NullOr(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: MOST })))
})
export type Usage = typeof Usage.Type

/** What one million tokens cost, in US dollars. */
export interface Price {
  readonly inputPerMillion: number
  readonly outputPerMillion: number
}

/** Nothing was asked. */
export const none: Usage = { calls: 0, inputTokens: 0, outputTokens: 0, costUsd: null }

/** Both together. A cost that is not known counts as nothing beside one that is. */
export const add = (left: Usage, right: Usage): Usage => ({
  calls: left.calls + right.calls,
  inputTokens: left.inputTokens + right.inputTokens,
  outputTokens: left.outputTokens + right.outputTokens,
  costUsd: left.costUsd === null ? right.costUsd : right.costUsd === null ? left.costUsd : left.costUsd + right.costUsd
})

/** The sum of many. */
export const sum = (all: Iterable<Usage>): Usage => [...all].reduce(add, none)

/** Input and output together: what a budget of tokens counts. */
export const tokens = (usage: Usage): number => usage.inputTokens + usage.outputTokens

/** Whether it can be what something took: providers and adapters of one's own say what they like. */
const isAmount = (value: number | undefined): value is number => value !== undefined && value >= 0 && value <= MOST

const count = (value: number): number => (isAmount(value) ? Math.round(value) : 0)

/**
 * One call, by the tokens that it took. `costUsd` as the provider told it, else by `price`. A number that
 * is none, or below zero, counts as not told.
 */
export const ofCall = (call: {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costUsd?: number | undefined
  readonly price?: Price | undefined
}): Usage => {
  const { costUsd, price } = call
  const inputTokens = count(call.inputTokens)
  const outputTokens = count(call.outputTokens)
  const priced =
    price === undefined
      ? undefined
      : (inputTokens * price.inputPerMillion + outputTokens * price.outputPerMillion) / 1e6
  return { calls: 1, inputTokens, outputTokens, costUsd: [costUsd, priced].find(isAmount) ?? null }
}
