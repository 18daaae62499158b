/** What becomes of a call that waits, is cancelled or comes back. */
import { describe, expect, it } from "@effect/vitest"
import { twoReady } from "../poolDrive.ts"

describe("poolCalls", () => {
  it("turns away who finds the queue full, and nobody else (P2)", () => {
    const pool = twoReady({ queue: 1 })
    for (let i = 0; i < 4; i++) pool.submit()
    expect(pool.asked()).toEqual(["call 1 to 1", "call 2 to 2", "fail 4 QueueFull"])
    pool.end(1)
    expect(pool.asked()).toEqual(["call 3 to 1"])
  })

  it("takes calls without a queue while a worker is free", () => {
    const pool = twoReady({ queue: 0 })
    for (let i = 0; i < 3; i++) pool.submit()
    expect(pool.asked()).toEqual(["call 1 to 1", "call 2 to 2", "fail 3 QueueFull"])
  })

  it("cancels a call without harm to its neighbours when the worker confirms", () => {
    const pool = twoReady({ minimum: 1, maximum: 1, concurrency: 2 })
    pool.submit()
    pool.submit()
    pool.feed({ _tag: "Cancelled", call: 1 })
    pool.end(1)
    pool.pass(10_000)
    expect(pool.asked()).toEqual(["call 1 to 1", "call 2 to 1", "cancel 1 in 1"])
  })

  it("gives a call back its place when it never left for its worker", () => {
    const pool = twoReady()
    for (let i = 0; i < 4; i++) pool.submit()
    pool.asked()
    pool.feed({ _tag: "Lost", member: 1 })
    pool.feed({ _tag: "Returned", call: 1 })
    pool.end(2)
    expect(pool.asked()).toEqual(["call 1 to 2"])
  })
})
