/** How members begin and end. */
import { describe, expect, it } from "@effect/vitest"
import { drive, twoReady } from "../poolDrive.ts"

describe("poolMembers", () => {
  it("boots all slots side by side (P1)", () => {
    expect(drive({ minimum: 3, maximum: 3 }).asked()).toEqual([
      "size 1",
      "size 2",
      "size 3",
      "boot 1 in 0",
      "boot 2 in 1",
      "boot 3 in 2"
    ])
  })

  it("lets a replacement take over at once when the old one crashes meanwhile", () => {
    const pool = drive({ minimum: 1, maximum: 1, ttlMs: 1000 })
    pool.ready(1)
    pool.pass(1000)
    pool.asked()
    pool.crash(1)
    pool.submit()
    pool.ready(2)
    expect(pool.asked()).toEqual(["call 1 to 2"])
  })

  it("leaves the end of a worker that is lost to its exit, and the rest to the policy", () => {
    const pool = twoReady()
    pool.submit(100)
    pool.feed({ _tag: "Lost", member: 1 })
    pool.asked()
    pool.pass(100)
    expect(pool.asked()).toEqual(["fail 1 TimedOut"])
    pool.crash(1)
    expect(pool.asked()).toEqual(["ask for 0"])
  })
})
