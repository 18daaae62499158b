/** How members in good health are replaced. */
import { describe, expect, it } from "@effect/vitest"
import * as PoolState from "@nerve/core/supervision/PoolState"
import { drive, twoReady } from "../poolDrive.ts"

describe("poolRecycling", () => {
  it("replaces after the last call of many, by one that is ready before the old one goes (P5)", () => {
    const pool = twoReady({ maxJobs: 2 })
    pool.submit()
    pool.submit()
    pool.end(1)
    pool.submit()
    pool.asked()
    pool.end(3)
    expect(pool.asked()).toEqual(["boot 3 in 0 for 1 (jobs)"])
    pool.submit()
    expect(pool.asked()).toEqual(["call 4 to 1"])
    pool.ready(3)
    expect(pool.asked()).toEqual([])
    pool.end(4)
    expect(pool.asked()).toEqual(["stop 1"])
  })

  it("never replaces by number of calls when that is 0", () => {
    const pool = twoReady({ maxJobs: 0 })
    for (let i = 0; i < 100; i++) pool.end(pool.submit())
    expect(pool.asked().filter((one) => one.startsWith("boot"))).toEqual([])
  })

  it("replaces idle workers by age, one after the other (P5)", () => {
    const pool = twoReady({ ttlMs: 1000 })
    pool.pass(1000)
    expect(pool.asked()).toEqual(["boot 3 in 0 for 1 (age)"])
    pool.ready(3)
    expect(pool.asked()).toEqual(["stop 1"])
    pool.crash(1)
    expect(pool.asked()).toEqual(["boot 4 in 1 for 2 (age)"])
  })

  it("keeps the old worker when its replacement will not boot, and leaves it be until a reload", () => {
    const pool = drive({ minimum: 1, maximum: 1, ttlMs: 1000 })
    pool.ready(1)
    pool.pass(1000)
    pool.crash(2)
    pool.feed({ _tag: "RespawnDecided", member: 2, delayMs: 0 })
    pool.asked()
    pool.crash(3)
    pool.feed({ _tag: "GiveUpDecided", member: 3, reason: "no" })
    expect(pool.asked()).toEqual(["ask for 0", "keep 0"])
    pool.pass(100_000)
    pool.submit()
    expect(pool.asked()).toEqual(["call 1 to 1"])
    pool.feed({ _tag: "ReloadAsked" })
    expect(pool.asked()).toEqual(["boot 4 in 0 for 1 (reload)"])
  })

  it("reloads one worker after the other, without a moment in which fewer serve (P6)", () => {
    const pool = twoReady()
    pool.feed({ _tag: "ReloadAsked" })
    expect(pool.asked()).toEqual(["boot 3 in 0 for 1 (reload)"])
    pool.ready(3)
    pool.crash(1)
    expect(PoolState.isReloaded(pool.state())).toBe(false)
    expect(pool.asked()).toEqual(["stop 1", "boot 4 in 1 for 2 (reload)"])
    pool.ready(4)
    pool.crash(2)
    expect(PoolState.isReloaded(pool.state())).toBe(true)
  })
})
