/** The breaker as a machine; as a respawn policy it is tested with the others. */
import { assert, describe, it } from "@effect/vitest"
import * as CircuitBreaker from "@nerve/core/supervision/CircuitBreaker"
import * as fc from "fast-check"

const breaker = CircuitBreaker.make({ max: 3, within: "10 seconds", cooldown: "1 minute", trial: "5 seconds" })

const crashes = (times: ReadonlyArray<number>, from: CircuitBreaker.State = CircuitBreaker.closed) =>
  times.reduce((state, now) => CircuitBreaker.crashed(breaker, state, now), from)

describe("CircuitBreaker", () => {
  it("opens at the max-th crash within the window (L4)", () => {
    assert.strictEqual(crashes([0, 1000])._tag, "Closed")
    assert.deepStrictEqual(crashes([0, 1000, 2000]), { _tag: "Open", until: 62_000 })
  })

  it("slides its window: crashes around a boundary of any fixed window count together", () => {
    assert.strictEqual(crashes([9000, 9500, 10_500])._tag, "Open")
    assert.strictEqual(crashes([0, 9000, 10_000])._tag, "Closed")
    assert.strictEqual(crashes([0, 9000, 10_000, 18_999])._tag, "Open")
  })

  it("is half open when the cooldown is over, closed by a trial that stays up, open again by one that crashes", () => {
    const open = crashes([0, 0, 0])
    assert.strictEqual(CircuitBreaker.elapsed(open, 59_999), open)
    const halfOpen = CircuitBreaker.elapsed(open, 60_000)
    assert.strictEqual(halfOpen._tag, "HalfOpen")
    assert.deepStrictEqual(CircuitBreaker.passed(halfOpen), CircuitBreaker.closed)
    assert.deepStrictEqual(CircuitBreaker.crashed(breaker, halfOpen, 61_000), { _tag: "Open", until: 121_000 })
  })

  it("is never passed while it is open: only a trial closes it", () => {
    const open = crashes([0, 0, 0])
    assert.strictEqual(CircuitBreaker.passed(open), open)
    assert.strictEqual(CircuitBreaker.crashed(breaker, open, 1), open)
  })

  it("whatever the times, it opens exactly when some window of its length holds max crashes", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(6000), { minLength: 1, maxLength: 20 }), (gaps) => {
        let now = 0
        const times = gaps.map((gap) => (now += gap))
        let state: CircuitBreaker.State = CircuitBreaker.closed
        for (const [i, at] of times.entries()) {
          state = CircuitBreaker.crashed(breaker, state, at)
          const third = times[i - 2]
          const isFull = third !== undefined && at - third < breaker.withinMs
          assert.strictEqual(state._tag === "Open", isFull, `crash ${i} of ${times.join(" ")}`)
          if (isFull) return
        }
      }),
      { numRuns: 2000 }
    )
  })
})
