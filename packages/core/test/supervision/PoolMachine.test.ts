/** What a pool decides, for random sequences of what may happen to it. By example: `internal/pool*.test.ts`. */
import { describe, expect, it } from "@effect/vitest"
import * as PoolState from "@nerve/core/supervision/PoolState"
import * as fc from "fast-check"
import { anySettings, happening, world } from "./poolWorld.ts"

describe("PoolMachine, whatever happens", () => {
  it("keeps its rules, and answers every call once things go well", () => {
    fc.assert(
      fc.property(anySettings, fc.array(happening, { maxLength: 120, size: "max" }), (initial, happenings) => {
        const pool = world({ ...initial, ttlMs: Infinity })
        for (const one of happenings) pool.happen(one)
        pool.goWell()
        expect([...pool.places].filter(([, place]) => place !== "over")).toEqual([])
        expect(pool.state().queue.size).toBe(0)
        expect(pool.state().members.filter((one) => one.stage !== "ready" && one.stage !== "booting")).toEqual([])
      }),
      { numRuns: 2000 }
    )
  })

  it("keeps its rules while workers age and the pool is shut down in the midst, and ends", () => {
    fc.assert(
      fc.property(
        anySettings,
        fc.array(happening, { maxLength: 60, size: "max" }),
        fc.array(happening, { maxLength: 20, size: "max" }),
        (initial, before, after) => {
          const pool = world(initial)
          for (const one of before) pool.happen(one)
          pool.happen({ _tag: "Shutdown" })
          for (const one of after) pool.happen(one)
          pool.goWell()
          expect([...pool.places].filter(([, place]) => place !== "over")).toEqual([])
          expect(PoolState.isClosed(pool.state())).toBe(true)
        }
      ),
      { numRuns: 2000 }
    )
  })
})
