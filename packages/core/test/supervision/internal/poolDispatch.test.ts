/** Who gets a call. */
import { describe, expect, it } from "@effect/vitest"
import { twoReady } from "../poolDrive.ts"

describe("poolDispatch", () => {
  it("gives work to idle workers first, then to whoever is free first, in the order of the calls (P3)", () => {
    const pool = twoReady()
    for (let i = 0; i < 4; i++) pool.submit()
    expect(pool.asked()).toEqual(["call 1 to 1", "call 2 to 2"])
    pool.end(2)
    pool.end(3)
    expect(pool.asked()).toEqual(["call 3 to 2", "call 4 to 2"])
  })

  it("takes turns among idle workers, and among equally busy ones (P3)", () => {
    const pool = twoReady({ concurrency: 2 })
    const first = pool.submit()
    pool.end(first)
    pool.end(pool.submit())
    for (let i = 0; i < 4; i++) pool.submit()
    expect(pool.asked()).toEqual([
      "call 1 to 1",
      "call 2 to 2",
      "call 3 to 1",
      "call 4 to 2",
      "call 5 to 1",
      "call 6 to 2"
    ])
  })

  it("prefers an idle worker to one that was used longer ago and is at work (P3)", () => {
    const pool = twoReady({ concurrency: 2 })
    pool.submit()
    pool.end(pool.submit())
    pool.asked()
    pool.submit()
    expect(pool.asked()).toEqual(["call 3 to 2"])
  })
})
