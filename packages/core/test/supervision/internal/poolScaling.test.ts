/** How a pool grows, shrinks and is resized. */
import { describe, expect, it } from "@effect/vitest"
import { drive, twoReady } from "../poolDrive.ts"

describe("poolScaling", () => {
  it("grows when calls have waited, shrinks when workers have been idle, the last slots first", () => {
    const pool = drive({ minimum: 1, maximum: 3, queue: 10 })
    pool.ready(1)
    for (let i = 0; i < 5; i++) pool.submit()
    pool.asked()
    pool.pass(49)
    expect(pool.asked()).toEqual([])
    pool.pass(1)
    expect(pool.asked()).toEqual(["size 2", "boot 2 in 1", "size 3", "boot 3 in 2"])
    pool.ready(2, 3)
    for (let call = 1; call <= 5; call++) pool.end(call)
    pool.asked()
    pool.pass(500)
    pool.end(pool.submit())
    pool.pass(500)
    expect(pool.asked()).toEqual(["call 6 to 1", "size 2", "size 1", "stop 2", "stop 3"])
    pool.pass(100_000)
    expect(pool.asked()).toEqual([])
  })

  it("starts its first worker at the first call when none is the minimum", () => {
    const pool = drive({ minimum: 0, maximum: 2 })
    expect(pool.asked()).toEqual([])
    pool.submit()
    expect(pool.asked()).toEqual(["size 1", "boot 1 in 0"])
  })

  it("adds no worker for calls that those on their way will take", () => {
    const pool = drive({ minimum: 0, maximum: 3 })
    pool.submit()
    pool.asked()
    pool.pass(10_000)
    expect(pool.asked()).toEqual([])
    pool.submit()
    expect(pool.asked()).toEqual(["size 2", "boot 2 in 1"])
  })

  it("removes nobody who was idle for a shorter time than told", () => {
    const pool = drive({ minimum: 1, maximum: 2 })
    pool.ready(1)
    pool.submit()
    pool.submit()
    pool.pass(50)
    pool.ready(2)
    pool.end(1)
    pool.pass(500)
    pool.end(2)
    pool.asked()
    pool.pass(500)
    expect(pool.asked()).toEqual(["size 1", "stop 1"])
  })

  it("grows also when no call may wait", () => {
    const pool = drive({ minimum: 0, maximum: 2, queue: 0 })
    pool.submit()
    pool.submit()
    expect(pool.asked()).toEqual(["size 1", "boot 1 in 0", "fail 2 QueueFull"])
    pool.ready(1)
    pool.submit()
    pool.submit()
    pool.pass(50)
    expect(pool.asked()).toEqual(["call 1 to 1", "fail 4 QueueFull", "size 2", "boot 2 in 1"])
  })

  it("lets surplus workers end their calls when it is made smaller", () => {
    const pool = twoReady()
    pool.submit()
    pool.submit()
    pool.asked()
    pool.feed({ _tag: "ResizeAsked", minimum: 1, maximum: 1 })
    expect(pool.asked()).toEqual(["size 1"])
    pool.end(2)
    expect(pool.asked()).toEqual(["stop 2"])
  })

  it("counts how long a worker of a fixed pool was idle from the resize that made it elastic", () => {
    const pool = twoReady()
    pool.submit()
    pool.pass(5000)
    pool.end(1)
    pool.feed({ _tag: "ResizeAsked", minimum: 1, maximum: 2 })
    pool.asked()
    pool.pass(999)
    expect(pool.asked()).toEqual([])
    pool.pass(1)
    expect(pool.asked()).toEqual(["size 1", "stop 2"])
  })
})
