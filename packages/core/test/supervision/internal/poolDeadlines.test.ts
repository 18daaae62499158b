/** What happens to calls and workers that run out of time. */
import { describe, expect, it } from "@effect/vitest"
import { drive, twoReady } from "../poolDrive.ts"

describe("poolDeadlines", () => {
  it("kills and replaces a worker whose only call ran out of time (P4)", () => {
    const pool = twoReady()
    pool.submit(200)
    pool.pass(199)
    expect(pool.asked()).toEqual(["call 1 to 1"])
    pool.pass(1)
    expect(pool.asked()).toEqual(["fail 1 TimedOut", "kill 1", "boot 3 in 0"])
  })

  it("counts a call's time from its dispatch: queue time is not run time", () => {
    const pool = drive()
    pool.submit(100)
    pool.asked()
    pool.pass(5000)
    expect(pool.asked()).toEqual([])
    pool.ready(1)
    pool.pass(99)
    expect(pool.asked()).toEqual(["call 1 to 1"])
    pool.pass(1)
    expect(pool.asked()).toContain("fail 1 TimedOut")
  })

  it("bounds waiting by itself", () => {
    const pool = drive()
    pool.submit(Infinity, 100)
    pool.submit()
    pool.asked()
    pool.pass(100)
    expect(pool.asked()).toEqual(["fail 1 WaitedTooLong"])
    pool.ready(1)
    expect(pool.asked()).toEqual(["call 2 to 1"])
  })

  it("keeps the place of a cancelled call until the worker has confirmed, and kills a lone one that does not", () => {
    const pool = twoReady({ minimum: 1, maximum: 1 })
    pool.submit()
    pool.submit()
    pool.feed({ _tag: "Cancelled", call: 1 })
    expect(pool.asked()).toEqual(["call 1 to 1", "cancel 1 in 1"])
    pool.pass(100)
    expect(pool.asked()).toEqual(["kill 1", "boot 2 in 0"])
  })

  it("lets the neighbours of a call that is not confirmed end, replaces the worker meanwhile, then kills it", () => {
    const pool = drive({ minimum: 1, maximum: 1, concurrency: 2 })
    pool.ready(1)
    pool.submit()
    pool.submit()
    pool.feed({ _tag: "Cancelled", call: 1 })
    pool.asked()
    pool.pass(100)
    expect(pool.asked()).toEqual(["boot 2 in 0"])
    pool.submit()
    pool.ready(2)
    expect(pool.asked()).toEqual(["call 3 to 2"])
    pool.end(2)
    expect(pool.asked()).toEqual(["kill 1"])
  })

  it("gives neighbours of a hanging call no longer than the drain bound", () => {
    const pool = drive({ minimum: 1, maximum: 1, concurrency: 2 })
    pool.ready(1)
    pool.submit()
    pool.submit()
    pool.feed({ _tag: "Cancelled", call: 1 })
    pool.pass(599)
    expect(pool.asked()).not.toContain("kill 1")
    pool.pass(1)
    expect(pool.asked()).toContain("kill 1")
  })

  it("cancels a call that ran out of time beside others, and lets them be", () => {
    const pool = drive({ minimum: 1, maximum: 1, concurrency: 2 })
    pool.ready(1)
    pool.submit(100)
    pool.submit(1000)
    pool.asked()
    pool.pass(100)
    expect(pool.asked()).toEqual(["fail 1 TimedOut", "cancel 1 in 1"])
    pool.end(1)
    pool.pass(899)
    expect(pool.asked()).toEqual([])
  })

  it("blames nobody for the time in which this process stood still", () => {
    const pool = twoReady()
    pool.submit(100)
    pool.asked()
    pool.feed({ _tag: "Stalled", forMs: 5000 })
    pool.pass(5099)
    expect(pool.asked()).toEqual([])
    pool.pass(1)
    expect(pool.asked()).toContain("fail 1 TimedOut")
  })

  it("blames no call for waiting through such a time, either", () => {
    const pool = drive()
    pool.submit(Infinity, 100)
    pool.asked()
    pool.feed({ _tag: "Stalled", forMs: 5000 })
    pool.pass(5099)
    expect(pool.asked()).toEqual([])
    pool.pass(1)
    expect(pool.asked()).toEqual(["fail 1 WaitedTooLong"])
  })
})
