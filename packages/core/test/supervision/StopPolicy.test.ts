import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const policies = fc.record({ drainMs: fc.nat(), politeMs: fc.nat(3), termMs: fc.nat(3) })

describe("StopPolicy", () => {
  it("asks, then SIGTERM, then SIGKILL, each with its bound (R9)", () => {
    expect(StopPolicy.steps(StopPolicy.standard, true)).toEqual([
      { _tag: "Ask", waitMs: 5000 },
      { _tag: "Terminate", waitMs: 2000 },
      { _tag: "Kill" }
    ])
  })

  it("always ends with SIGKILL, never asks over a dead channel, and skips what has no bound", () => {
    fc.assert(
      fc.property(policies, fc.boolean(), (policy, channelAlive) => {
        const tags = StopPolicy.steps(policy, channelAlive).map((step) => step._tag)
        expect(tags.at(-1)).toBe("Kill")
        expect(tags.includes("Ask")).toBe(channelAlive && policy.politeMs > 0)
        expect(tags.includes("Terminate")).toBe(policy.termMs > 0)
        expect([...tags].sort()).toEqual(["Ask", "Kill", "Terminate"].filter((tag) => tags.some((one) => one === tag)))
      })
    )
  })

  it("takes bounds in words, and kills at once when told so", () => {
    expect(StopPolicy.make({ drain: "1 minute", polite: 10, term: "0 seconds" })).toEqual({
      drainMs: 60_000,
      politeMs: 10,
      termMs: 0
    })
    expect(StopPolicy.steps(StopPolicy.kill, true)).toEqual([{ _tag: "Kill" }])
  })

  it("nothing is shorter than itself, and SIGKILL at once is shorter than all else", () => {
    fc.assert(
      fc.property(policies, policies, (a, b) => {
        expect(StopPolicy.isShorter(a, a)).toBe(false)
        expect(StopPolicy.isShorter(a, b) && StopPolicy.isShorter(b, a)).toBe(false)
        expect(StopPolicy.isShorter(StopPolicy.kill, a)).toBe(a.politeMs + a.termMs > 0)
      })
    )
  })
})
