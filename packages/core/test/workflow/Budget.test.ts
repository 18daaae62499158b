/** When a thread is over its budget. */
import * as Usage from "@nerve/core/domain/Usage"
import * as Budget from "@nerve/core/workflow/Budget"
import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"

const rounds = Schema.Array(Schema.Struct({ usage: Schema.optionalKey(Usage.Usage) }))

describe("Budget", () => {
  const round = (inputTokens: number, costUsd: number | null) => ({
    usage: { calls: 1, inputTokens, outputTokens: 0, costUsd }
  })

  it("is used up by tokens or by cost, whichever comes first", () => {
    const both = { tokens: 100, costUsd: 1 }
    expect(Budget.exceeded(both, [round(60, 0.5), {}])).toBeUndefined()
    expect(Budget.exceeded(both, [round(60, 0.5), round(40, 0)])).toBe(
      "it has taken 100 tokens of the 100 in its budget"
    )
    expect(Budget.exceeded(both, [round(1, 0.5), round(1, 0.75)])).toBe("it has cost $1.2500 of the $1 in its budget")
  })

  it("does not hold a cost against it that nobody knows", () => {
    expect(Budget.exceeded({ tokens: null, costUsd: 0.01 }, [round(1e9, null)])).toBeUndefined()
  })

  it.prop("never stops a thread without a bound, nor one whose rounds are paid for", [rounds], ([all]) => {
    expect(Budget.exceeded({ tokens: null, costUsd: null }, all)).toBeUndefined()
    expect(Budget.exceeded({ tokens: 1, costUsd: 0.1 }, all, all.length)).toBeUndefined()
  })
})
