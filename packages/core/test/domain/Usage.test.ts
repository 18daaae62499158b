/** What asking models took, added up. */
import * as Usage from "@nerve/core/domain/Usage"
import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"
import * as fc from "fast-check"

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

  it("refuses counts and costs that nothing can have taken", () => {
    const fits = Schema.is(Usage.Usage)
    expect(fits({ ...Usage.none, calls: -1 })).toBe(false)
    for (const costUsd of [-1, Number.NaN, Infinity]) expect(fits({ ...Usage.none, costUsd })).toBe(false)
  })

  it("makes of whatever a provider says a usage that can be recorded, and added up", () => {
    const price = { inputPerMillion: 3, outputPerMillion: 15 }
    fc.assert(
      fc.property(fc.double(), fc.double(), fc.double(), (inputTokens, outputTokens, costUsd) => {
        const call = Usage.ofCall({ inputTokens, outputTokens, costUsd, price })
        expect(Schema.is(Usage.Usage)(call)).toBe(true)
        const { costUsd: total } = Usage.sum(Array.from({ length: 1_000 }, () => call))
        expect(total === null || Number.isFinite(total)).toBe(true)
      })
    )
  })
})
