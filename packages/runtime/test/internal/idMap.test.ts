/** The map of calls in flight, against `Map`. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { IdMap } from "../../src/internal/idMap.ts"

/** Ids as they come, many with the same slot, and what only a broken peer would send. */
const id = fc.oneof(
  fc.integer({ min: 1, max: 100 }),
  fc.integer({ min: 0, max: 40 }).map((n) => n * 64 + 3),
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  fc.constantFrom(0, -1, 0.5, 2 ** 32)
)

const step = fc.record({ op: fc.constantFrom("add", "add", "add", "delete", "clear"), id, value: fc.string() })

describe("IdMap", () => {
  it("holds what a Map holds, by id", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const map = new IdMap<string>()
        const model = new Map<number, string>()
        for (const { id, op, value } of steps) {
          expect(map.has(id)).toBe(model.has(id))
          if (op === "add" && !model.has(id)) {
            map.add(id, value)
            model.set(id, value)
          }
          if (op === "delete") expect(map.delete(id)).toBe(model.delete(id))
          if (op === "clear" && value.length > 8) {
            map.clear()
            model.clear()
          }
          expect(map.get(id)).toBe(model.get(id))
          expect(map.size).toBe(model.size)
        }
        expect(map.values()).toEqual([...model].toSorted(([left], [right]) => left - right).map(([, value]) => value))
      })
    )
  })

  it("grows with what it holds, and keeps those that stay for long", () => {
    const map = new IdMap<number>()
    map.add(1, 1)
    for (let n = 2; n < 10_000; n++) {
      map.add(n, n)
      if (n > 500) expect(map.delete(n - 400)).toBe(true)
    }
    expect(map.get(1)).toBe(1)
    expect(map.size).toBe(map.values().length)
  })
})
