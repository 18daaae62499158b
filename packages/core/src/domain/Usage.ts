/**
 * What asking models has taken: calls, tokens and money. Adapters report it, a round adds it up, the
 * log keeps it, and a workflow's budget is held against it.
 */
import * as Schema from "effect/Schema"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** Wire format: part of a recorded round. */
export const Usage = Schema.Struct({
  /** How often a model was asked. */
  calls: Count,
  inputTokens: Count,
  outputTokens: Count,
  /** US dollars. Null when nobody said what it costs. */
  costUsd: Schema.NullOr(Schema.Finite)
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
  costUsd: left.costUsd === null && right.costUsd === null ? null : (left.costUsd ?? 0) + (right.costUsd ?? 0)
})

/** The sum of many. */
export const sum = (all: Iterable<Usage>): Usage => [...all].reduce(add, none)

/** Input and output together: what a budget of tokens counts. */
export const tokens = (usage: Usage): number => usage.inputTokens + usage.outputTokens

/** One call, by the tokens that it took. `costUsd` as the provider told it, else by `price`. */
export const ofCall = (call: {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly costUsd?: number | undefined
  readonly price?: Price | undefined
}): Usage => {
  const { costUsd, inputTokens, outputTokens, price } = call
  const priced =
    price === undefined ? null : (inputTokens * price.inputPerMillion + outputTokens * price.outputPerMillion) / 1e6
  return { calls: 1, inputTokens, outputTokens, costUsd: costUsd ?? priced }
}
