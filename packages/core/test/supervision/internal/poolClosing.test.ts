/** How a pool ends. */
import { describe, expect, it } from "@effect/vitest"
import * as PoolState from "@nerve/core/supervision/PoolState"
import { drive, twoReady } from "../poolDrive.ts"

describe("poolClosing", () => {
  it("ends its calls when it is shut down, takes no more, and cuts off at the bound (P6)", () => {
    const pool = twoReady()
    for (let i = 0; i < 3; i++) pool.submit()
    pool.asked()
    pool.feed({ _tag: "ShutdownAsked", withinMs: 1000 })
    pool.submit()
    pool.end(1)
    expect(pool.asked()).toEqual(["fail 4 Stopped", "call 3 to 1"])
    pool.end(2)
    expect(pool.asked()).toEqual(["stop 2"])
    pool.pass(1000)
    expect(pool.asked()).toEqual(["stop 1"])
    expect(PoolState.isClosed(pool.state())).toBe(false)
    pool.crash(1)
    pool.crash(2)
    expect(PoolState.isClosed(pool.state())).toBe(true)
  })

  it("is shut down by the nearer of two bounds", () => {
    for (const [first, second] of [
      [1000, 200],
      [200, 1000]
    ] as const) {
      const pool = twoReady()
      pool.submit()
      pool.feed({ _tag: "ShutdownAsked", withinMs: first })
      pool.feed({ _tag: "ShutdownAsked", withinMs: second })
      pool.asked()
      pool.pass(199)
      expect(pool.asked()).toEqual([])
      pool.pass(1)
      expect(pool.asked()).toEqual(["stop 1"])
    }
  })

  it("stops trying to boot when it is shut down (P1)", () => {
    const pool = drive({ minimum: 1, maximum: 1 })
    pool.submit()
    pool.crash(1)
    pool.feed({ _tag: "RespawnDecided", member: 1, delayMs: 100 })
    pool.asked()
    pool.feed({ _tag: "ShutdownAsked", withinMs: 60_000 })
    expect(pool.asked()).toEqual(["fail 1 Stopped"])
    pool.pass(1000)
    expect(pool.asked()).toEqual([])
    expect(PoolState.isClosed(pool.state())).toBe(true)
  })

  it("asks no policy about a worker that crashes meanwhile, and serves on with the others", () => {
    const pool = twoReady()
    for (let i = 0; i < 3; i++) pool.submit()
    pool.feed({ _tag: "ShutdownAsked", withinMs: 1000 })
    pool.asked()
    pool.crash(1)
    expect(pool.asked()).toEqual(["fail 1 Died"])
    pool.end(2)
    expect(pool.asked()).toEqual(["call 3 to 2"])
  })
})
