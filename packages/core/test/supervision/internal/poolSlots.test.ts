/** What follows a crash. */
import { describe, expect, it } from "@effect/vitest"
import { drive } from "../poolDrive.ts"

describe("poolSlots", () => {
  it("asks the policy after a crash, waits as told, boots again; who waits goes on", () => {
    const pool = drive({ minimum: 1, maximum: 1 })
    pool.ready(1)
    pool.submit()
    pool.submit()
    pool.end(1)
    pool.end(2)
    pool.asked()
    pool.crash(1)
    pool.submit()
    expect(pool.asked()).toEqual(["ask for 0"])
    pool.feed({ _tag: "RespawnDecided", member: 1, delayMs: 250 })
    pool.pass(249)
    expect(pool.asked()).toEqual([])
    pool.pass(1)
    expect(pool.asked()).toEqual(["boot 2 in 0"])
    pool.ready(2)
    expect(pool.asked()).toEqual(["call 3 to 2"])
  })

  it("fails what waits, and what comes, when every slot was given up; a reset tries again", () => {
    const pool = drive()
    pool.submit()
    pool.crash(1)
    pool.feed({ _tag: "GiveUpDecided", member: 1, reason: "no" })
    pool.asked()
    pool.crash(2)
    pool.feed({ _tag: "GiveUpDecided", member: 2, reason: "no" })
    expect(pool.asked()).toEqual(["ask for 1", "gave up 1", "fail 1 GivenUp"])
    pool.submit()
    expect(pool.asked()).toEqual(["fail 2 GivenUp"])
    pool.feed({ _tag: "ResetAsked" })
    expect(pool.asked()).toEqual(["forget 0", "forget 1", "boot 3 in 0", "boot 4 in 1"])
  })
})
