import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import { Effect, Schedule } from "effect"
import * as fc from "fast-check"

interface Given {
  readonly at: number
  readonly uptimeMs?: number
  readonly code?: number
}

/** What the policy says to each crash: the delay, or null when it gives up. */
const ask = (policy: RespawnPolicy.RespawnPolicy, crashes: ReadonlyArray<Given>): ReadonlyArray<number | null> =>
  Effect.runSync(
    Effect.gen(function* () {
      const decide = yield* RespawnPolicy.toDecide(policy)
      const said: Array<number | null> = []
      for (const { at, code = 1, uptimeMs = 0 } of crashes) {
        const decision = yield* decide(at, { exit: { code, signal: null }, uptimeMs })
        said.push(decision._tag === "Respawn" ? decision.delayMs : null)
        if (decision._tag === "GiveUp") break
      }
      return said
    })
  )

const every = (stepMs: number, count: number): ReadonlyArray<Given> =>
  Array.from({ length: count }, (_, i) => ({ at: i * stepMs }))

/** Crashes at times that never go back. */
const times = fc.array(fc.nat(5000), { minLength: 1, maxLength: 60 }).map((gaps) => {
  let at = 0
  return gaps.map((gap) => ({ at: (at += gap) }))
})

describe("RespawnPolicy", () => {
  it("never gives up at the first crash", () => {
    assert.deepStrictEqual(ask(RespawnPolicy.never, every(0, 3)), [null])
  })

  it("immediately and spaced go on without end", () => {
    assert.deepStrictEqual(ask(RespawnPolicy.immediately, every(0, 100)), Array(100).fill(0))
    assert.deepStrictEqual(ask(RespawnPolicy.spaced("3 seconds"), every(0, 100)), Array(100).fill(3000))
  })

  it("intensity gives up at the n-th crash within the window, and at no other (R6)", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 10_000 }),
        times,
        (max, within, crashes) => {
          const said = ask(RespawnPolicy.intensity({ max, within, delay: 7 }), crashes)
          said.forEach((one, i) => {
            const now = crashes[i]?.at ?? 0
            const inWindow = crashes.slice(0, i + 1).filter(({ at }) => now - at < within).length
            assert.strictEqual(one, inWindow >= max ? null : 7)
          })
        }
      ),
      { numRuns: 500 }
    )
  })

  it("intensity with max 2 means one respawn (R6)", () => {
    assert.deepStrictEqual(ask(RespawnPolicy.intensity({ max: 2, within: "1 minute" }), every(1000, 5)), [0, null])
  })

  it("intensity stands a hundred thousand crashes a day (M1)", () => {
    const policy = RespawnPolicy.intensity({ max: 100_000, within: "24 hours", delay: "1 second" })
    const said = ask(policy, every(1000, 3000))
    assert.isTrue(said.every((delay) => delay === 1000))
  })

  it("exponential doubles up to its bound, and stays there", () => {
    const policy = RespawnPolicy.exponential({ initial: 100, max: 1000, jitter: false })
    assert.deepStrictEqual(ask(policy, every(0, 6)), [100, 200, 400, 800, 1000, 1000])
    const said = ask(RespawnPolicy.exponential({ initial: 1, factor: 10, jitter: false }), every(0, 2000))
    assert.strictEqual(said.at(-1), 60_000)
  })

  it("exponential's jitter stays within 20 % of the growing delay, and under the bound", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.integer({ min: 1, max: 4 }), (initial, factor) => {
        const said = ask(RespawnPolicy.exponential({ initial, factor, max: 2000 }), every(0, 20))
        said.forEach((delay, i) => {
          const plain = initial * factor ** i
          assert.isAtLeast(delay ?? -1, Math.min(2000, plain * 0.8) - 0.001)
          assert.isAtMost(delay ?? Infinity, Math.min(2000, plain * 1.2) + 0.001)
        })
      }),
      { numRuns: 200 }
    )
  })

  it("resetAfter starts anew after a stable time, and only then", () => {
    const policy = RespawnPolicy.exponential({ initial: 100, jitter: false }).pipe(RespawnPolicy.resetAfter("1 minute"))
    const crashes = [0, 59_999, 0, 60_000, 0].map((uptimeMs, i) => ({ at: i, uptimeMs }))
    assert.deepStrictEqual(ask(policy, crashes), [100, 200, 400, 100, 200])
  })

  it("resetAfter revives a window that is nearly used up", () => {
    const policy = RespawnPolicy.intensity({ max: 2, within: "1 hour" }).pipe(RespawnPolicy.resetAfter("1 minute"))
    assert.deepStrictEqual(ask(policy, [{ at: 0 }, { at: 1, uptimeMs: 60_000 }, { at: 2 }]), [0, 0, null])
  })

  it("onFailure gives up after exit code 0, and leaves all else to the policy", () => {
    const policy = RespawnPolicy.onFailure(RespawnPolicy.spaced(5))
    assert.deepStrictEqual(ask(policy, [{ at: 0 }, { at: 0, code: 137 }, { at: 0, code: 0 }]), [5, 5, null])
  })

  it("veto gives up after what it forbids, and leaves all else to the policy", () => {
    const policy = RespawnPolicy.spaced(5).pipe(RespawnPolicy.veto(({ exit }) => exit?.code === 78))
    assert.deepStrictEqual(ask(policy, [{ at: 0 }, { at: 0, code: 0 }, { at: 0, code: 78 }]), [5, 5, null])
  })

  it("circuitBreaker: the policy's delays while closed, the cooldown when it opens, the policy anew after a trial (L4)", () => {
    const policy = RespawnPolicy.exponential({ initial: 100, jitter: false }).pipe(
      RespawnPolicy.circuitBreaker({ max: 3, within: "10 seconds", cooldown: "1 minute", trial: "5 seconds" })
    )
    const crashes = [
      { at: 0 },
      { at: 1000 },
      { at: 2000 },
      // The trial crashes at once, then another one after its time.
      { at: 62_000, uptimeMs: 4999 },
      { at: 130_000, uptimeMs: 5000 },
      { at: 131_000 }
    ]
    assert.deepStrictEqual(ask(policy, crashes), [100, 200, 60_000, 60_000, 100, 200])
  })

  it("circuitBreaker opens exactly where its window is full, whatever the times", () => {
    const breaker = RespawnPolicy.circuitBreaker({ max: 4, within: 3000, cooldown: 77, trial: "1 hour" })
    fc.assert(
      fc.property(times, (crashes) => {
        const said = ask(breaker(RespawnPolicy.spaced(5)), crashes)
        const isFull = (i: number) => {
          const fourth = crashes[i - 3]
          return fourth !== undefined && (crashes[i]?.at ?? 0) - fourth.at < 3000
        }
        const opened = crashes.findIndex((_, i) => isFull(i))
        // No trial is up for an hour: once open, it stays so.
        const expected = crashes.map((_, i) => (opened !== -1 && i >= opened ? 77 : 5))
        assert.deepStrictEqual(said, expected)
      }),
      { numRuns: 500 }
    )
  })

  it("circuitBreaker gives up when its policy does", () => {
    const breaker = RespawnPolicy.circuitBreaker({ max: 3, within: "10 seconds", cooldown: "1 minute" })
    assert.deepStrictEqual(ask(breaker(RespawnPolicy.never), [{ at: 0 }]), [null])
  })

  it("a policy that fails or throws gives up, and says by what", () => {
    const throwing: RespawnPolicy.RespawnPolicy = Schedule.fromStep(
      Effect.succeed(() => {
        throw new Error("broken")
      })
    )
    const dying: RespawnPolicy.RespawnPolicy = Schedule.fromStep(Effect.succeed(() => Effect.die("broken")))
    for (const policy of [throwing, dying]) {
      const decide = Effect.runSync(RespawnPolicy.toDecide(policy))
      assert.deepStrictEqual(Effect.runSync(decide(0, { exit: null, uptimeMs: 0 })), {
        _tag: "GiveUp",
        failure: "the respawn policy failed: broken"
      })
    }
  })

  it("says what other supervisors do (docs/supervision.md, as elsewhere)", () => {
    const otp = RespawnPolicy.intensity({ max: 2, within: "5 seconds" })
    assert.deepStrictEqual(ask(otp, every(5000, 3)), [0, 0, 0])
    assert.deepStrictEqual(ask(otp, every(4999, 3)), [0, null])
    assert.deepStrictEqual(ask(RespawnPolicy.onFailure(otp), [{ at: 0, code: 0 }]), [null])
    const systemd = RespawnPolicy.intensity({ max: 5, within: "10 seconds", delay: "100 millis" })
    assert.deepStrictEqual(ask(systemd, every(150, 9)), [100, 100, 100, 100, null])
    const kubernetes = RespawnPolicy.exponential({ initial: "10 seconds", max: "5 minutes", jitter: false }).pipe(
      RespawnPolicy.resetAfter("10 minutes")
    )
    const seconds = [10, 20, 40, 80, 160, 300, 300, 10]
    const uptimes = [0, 0, 0, 0, 0, 0, 599_999, 600_000]
    assert.deepStrictEqual(
      ask(
        kubernetes,
        uptimes.map((uptimeMs, at) => ({ at, uptimeMs }))
      ),
      seconds.map((one) => one * 1000)
    )
    const pm2 = RespawnPolicy.exponential({ initial: 100, factor: 1.5, max: "15 seconds", jitter: false })
    assert.deepStrictEqual(ask(pm2, every(0, 4)), [100, 150, 225, 337.5])
  })

  it("each decision function has a memory of its own", () => {
    const policy = RespawnPolicy.intensity({ max: 2, within: "1 hour" })
    assert.deepStrictEqual(ask(policy, every(0, 2)), [0, null])
    assert.deepStrictEqual(ask(policy, every(0, 2)), [0, null])
  })
})
