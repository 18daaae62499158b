/**
 * The breaker as a machine, and as a respawn policy.
 */
import { assert, describe, it } from "@effect/vitest"
import * as CircuitBreaker from "@nerve/core/supervision/CircuitBreaker"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import { Effect } from "effect"
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

  it("as a policy: the policy's delays while closed, the cooldown when it opens, the policy anew after a good trial", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const decide = yield* RespawnPolicy.toDecide(
          CircuitBreaker.policy(breaker)(RespawnPolicy.exponential({ initial: 100, jitter: false }))
        )
        const delays: Array<number> = []
        const crash = Effect.fnUntraced(function* (now: number, uptimeMs: number) {
          const decision = yield* decide(now, { exit: { code: 1, signal: null }, uptimeMs })
          delays.push(decision._tag === "Respawn" ? decision.delayMs : -1)
        })
        yield* crash(0, 0)
        yield* crash(1000, 0)
        yield* crash(2000, 0)
        // The trial crashes at once, then another one after its time.
        yield* crash(62_000, 4999)
        yield* crash(130_000, 5000)
        yield* crash(131_000, 0)
        assert.deepStrictEqual(delays, [100, 200, 60_000, 60_000, 100, 200])
      })
    ))

  it("as a policy: gives up when its policy does", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const decide = yield* RespawnPolicy.toDecide(CircuitBreaker.policy(breaker)(RespawnPolicy.never))
        const decision = yield* decide(0, { exit: null, uptimeMs: 0 })
        assert.deepStrictEqual(decision, { _tag: "GiveUp" })
      })
    ))
})
