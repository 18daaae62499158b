/** Where ticks lie (S4, S5). Times are milliseconds. */
import { assert, describe, it } from "@effect/vitest"
import { SenseName } from "@nerve/core/domain/Ids"
import * as Timing from "@nerve/core/sense/Timing"
import * as fc from "fast-check"

const name = (text: string) => SenseName.make(text)

const firstOf = (sense: string, everyMs: number, now = 0): number => {
  const ticks = Timing.start(Timing.interval(everyMs), name(sense), now, 0)
  assert.isNotNull(ticks)
  return ticks === null ? 0 : Timing.nextAt(ticks, 0)
}

describe("the first tick of an interval", () => {
  it("comes within a tenth of it, a second at least, half a minute at most, never later than the interval", () => {
    assert.deepStrictEqual(
      [20, 1_000, 5_000, 60_000, 86_400_000].map(Timing.spreadMs),
      [20, 1_000, 1_000, 6_000, 30_000]
    )
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 ** 31 }),
        fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/),
        (everyMs, sense) => {
          const first = firstOf(sense, everyMs, 77)
          assert.isAtLeast(first, 77)
          assert.isBelow(first, 77 + Math.max(1, Timing.spreadMs(everyMs)))
          assert.strictEqual(first, firstOf(sense, everyMs, 77))
        }
      )
    )
  })

  it("a thousand senses with names in sequence are spread evenly", () => {
    for (const prefix of ["sense-", "s", "check.", "a_very_long_prefix-"]) {
      const buckets = Array.from({ length: 10 }, () => 0)
      for (let nth = 0; nth < 1_000; nth++) {
        const bucket = Math.floor(firstOf(`${prefix}${nth}`, 1_000) / 100)
        buckets[bucket] = (buckets[bucket] ?? 0) + 1
      }
      // A fair coin's spread: a hundred in each tenth of the second, thirty more or less.
      for (const found of buckets) assert.closeTo(found, 100, 35, `${prefix}: ${buckets.join(" ")}`)
    }
  })
})

describe("ticks that passed", () => {
  it("an interval's are all on its grid, and none is due any more", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 0, max: 10_000_000 }),
        fc.integer({ min: 1, max: 50 }),
        (everyMs, late, keep) => {
          const timing = Timing.interval(everyMs)
          const start: Timing.Ticks = { _tag: "Interval", at: 500 }
          const now = 500 + late
          const passed = Timing.pass(timing, start, now, 0, keep)
          assert.strictEqual(passed.first, 500)
          assert.isAbove(Timing.nextAt(passed.ticks, 0), now)
          assert.strictEqual(Timing.nextAt(passed.ticks, 0), 500 + passed.count * everyMs)
          assert.lengthOf(passed.latest, Math.min(keep, passed.count))
          assert.strictEqual(passed.latest.at(-1), 500 + (passed.count - 1) * everyMs)
        }
      )
    )
  })

  it("a cron's are counted up to a bound, whatever time has passed", () => {
    const timing = Timing.ofConfig({ intervalMs: null, cron: { expression: "* * * * * *", timeZone: "UTC" } })
    assert.isNotNull(timing)
    if (timing === null) return
    const start: Timing.Ticks = { _tag: "Cron", wallAt: 1_000 }
    const few = Timing.pass(timing, start, 5_500, 0, 3)
    assert.deepStrictEqual([few.count, few.first, few.second, few.latest], [5, 1_000, 2_000, [3_000, 4_000, 5_000]])
    const many = Timing.pass(timing, start, 10 * 86_400_000 + 500, 0, 3)
    assert.strictEqual(many.count, Timing.COUNTED)
    assert.strictEqual(Timing.nextAt(many.ticks, 0), 10 * 86_400_000 + 1_000)
  })
})

describe("equals", () => {
  it("tells settings that leave the ticks as they are from those that start them anew", () => {
    const cron = (expression: string, timeZone = "UTC") =>
      Timing.ofConfig({ intervalMs: null, cron: { expression, timeZone } })
    assert.isTrue(Timing.equals(null, null))
    assert.isTrue(Timing.equals(Timing.interval(5), Timing.interval(5)))
    assert.isFalse(Timing.equals(Timing.interval(5), Timing.interval(6)))
    assert.isTrue(Timing.equals(cron("0 3 * * *"), cron("0 3 * * *")))
    assert.isFalse(Timing.equals(cron("0 3 * * *"), cron("0 4 * * *")))
    assert.isFalse(Timing.equals(cron("0 3 * * *"), cron("0 3 * * *", "Europe/Berlin")))
    assert.isFalse(Timing.equals(cron("0 3 * * *"), Timing.interval(5)))
    assert.isFalse(Timing.equals(null, Timing.interval(5)))
  })
})
