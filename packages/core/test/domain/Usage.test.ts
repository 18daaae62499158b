/** What asking models took, added up. */
import * as Usage from "@nerve/core/domain/Usage"
import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"

describe("Usage", () => {
  it("keeps what the provider says it cost, else reckons by price, else does not know", () => {
    const call = { inputTokens: 1_000_000, outputTokens: 500_000 }
    const price = { inputPerMillion: 3, outputPerMillion: 10 }
    expect(Usage.ofCall({ ...call, costUsd: 1, price }).costUsd).toBe(1)
    expect(Usage.ofCall({ ...call, price }).costUsd).toBe(8)
    expect(Usage.ofCall(call).costUsd).toBeNull()
  })

  it.prop("adds up in any order, with nothing as its neutral element", [Usage.Usage, Usage.Usage], ([left, right]) => {
    expect(Usage.add(left, right)).toEqual(Usage.add(right, left))
    expect(Usage.add(left, Usage.none)).toEqual(left)
    expect(Usage.sum([left, right])).toEqual(Usage.add(left, right))
    expect(Usage.tokens(Usage.add(left, right))).toBe(Usage.tokens(left) + Usage.tokens(right))
  })

  it("refuses counts below zero", () => {
    expect(Schema.is(Usage.Usage)({ ...Usage.none, calls: -1 })).toBe(false)
  })
})
