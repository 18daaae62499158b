/**
 * What a thread may take before somebody has a look: a workflow's budget, held against what its rounds
 * took. Pure.
 *
 * A thread over its budget pauses before its next round; the round that went over is recorded like any
 * other. Resuming it is somebody's word to go on: what was taken until then counts no more.
 */
import * as Usage from "../domain/Usage.ts"

/** Null: no bound. */
export interface Budget {
  /** Input and output together. */
  readonly tokens: number | null
  /** US dollars. */
  readonly costUsd: number | null
}

/** Rounds as far as a budget looks at them. */
type Rounds = ReadonlyArray<{ readonly usage?: Usage.Usage }>

/**
 * Why a thread is over its budget; undefined while it is not. Rounds up to `from` do not count; `failed` is
 * what rounds took that failed since.
 */
export const exceeded = (
  budget: Budget,
  rounds: Rounds,
  from = 0,
  failed: ReadonlyArray<Usage.Usage> = []
): string | undefined => {
  const told = rounds.slice(from).flatMap(({ usage }) => (usage === undefined ? [] : [usage]))
  const spent = Usage.sum([...told, ...failed])
  const tokens = Usage.tokens(spent)
  if (budget.tokens !== null && tokens >= budget.tokens) {
    return `it has taken ${tokens} tokens of the ${budget.tokens} in its budget`
  }
  if (budget.costUsd !== null && spent.costUsd !== null && spent.costUsd >= budget.costUsd) {
    return `it has cost $${spent.costUsd.toFixed(4)} of the $${budget.costUsd} in its budget`
  }
  return undefined
}
