import * as OutputLimit from "@nerve/core/supervision/OutputLimit"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const feed = (times: ReadonlyArray<number>) => {
  let limit = OutputLimit.initial
  return times.map((now) => {
    const decision = OutputLimit.decide(limit, now)
    limit = decision.limit
    return { now, ...decision }
  })
}

describe("OutputLimit", () => {
  it("keeps so many lines a second, and tells how many it lost with the first of the next", () => {
    const fed = feed([...Array(OutputLimit.linesPerSecond + 7).fill(5000), 6000])
    expect(fed.filter(({ keep, now }) => keep && now === 5000)).toHaveLength(OutputLimit.linesPerSecond)
    expect(fed.at(-1)).toMatchObject({ keep: true, lost: 7 })
  })

  it("is silenced by no clock: whatever it shows, a line that is kept comes after each that was lost", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 100_000 }), { maxLength: 300 }), (times) => {
        const fed = feed(times)
        // What was dropped is either told or still counted.
        const dropped = fed.filter(({ keep }) => !keep).length
        const told = fed.reduce((sum, { lost }) => sum + lost, 0)
        expect(told + (fed.at(-1)?.limit.dropped ?? 0)).toBe(dropped)
      })
    )
  })

  it("begins a new second when the clock is set back", () => {
    const fed = feed([...Array(OutputLimit.linesPerSecond + 3).fill(3_600_000), 1000, 1001])
    expect(fed.slice(-2).map(({ keep, lost }) => [keep, lost])).toEqual([
      [true, 3],
      [true, 0]
    ])
  })
})
