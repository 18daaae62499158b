/** The map of running calls, against `Map`, for any order of calls and any numbers. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as CallMap from "../../../src/supervision/internal/callMap.ts"

/** Numbers as they come, numbers that differ in their upper bits only, and those past 32 bits. */
const number = fc.oneof(
  fc.integer({ min: 1, max: 80 }),
  fc.integer({ min: 0, max: 20 }).map((n) => n * 2 ** 27 + 1),
  fc.integer({ min: 0, max: 3 }).map((n) => n * 2 ** 32 + 7),
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
)

const step = fc.record({
  op: fc.constantFrom("add", "add", "remove", "replace", "map"),
  call: number,
  value: fc.string()
})

interface Kept {
  readonly call: number
  readonly value: string
}

const sorted = (model: ReadonlyMap<number, string>): ReadonlyArray<Kept> =>
  [...model].toSorted(([left], [right]) => left - right).map(([call, value]) => ({ call, value }))

describe("callMap", () => {
  it("holds what a Map holds, by number, and leaves its earlier states alone", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        let map: CallMap.CallMap<Kept> = CallMap.empty
        const model = new Map<number, string>()
        const states: Array<readonly [CallMap.CallMap<Kept>, ReadonlyArray<Kept>]> = []
        for (const { call, op, value } of steps) {
          if (op === "add" && !model.has(call)) {
            map = CallMap.add(map, { call, value })
            model.set(call, value)
          } else if (op === "remove") {
            map = CallMap.remove(map, call)
            model.delete(call)
          } else if (op === "replace") {
            map = CallMap.replace(map, { call, value })
            if (model.has(call)) model.set(call, value)
          } else if (op === "map") {
            map = CallMap.map(map, (one) => ({ ...one, value: `${one.value}${value}` }))
            for (const [other, one] of model) model.set(other, `${one}${value}`)
          }
          expect(CallMap.get(map, call)?.value).toBe(model.get(call))
          states.push([map, sorted(model)])
        }
        for (const [state, values] of states) {
          expect(state.size).toBe(values.length)
          expect(CallMap.values(state)).toEqual(values)
        }
        for (const call of model.keys()) map = CallMap.remove(map, call)
        expect(map).toEqual(CallMap.empty)
      })
    )
  })
})
