import { assert, describe, it } from "@effect/vitest"
import * as Depth from "@nerve/core/wire/Depth"
import * as fc from "fast-check"

describe("Depth", () => {
  const inside = (depth: number, text: string) => `${"[".repeat(depth)}${text}${"]".repeat(depth)}`

  it("counts levels of arrays and objects, wherever they are, and nothing in strings", () => {
    const name = fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("[[", "{", '\\"[', "\\\\", '"', "]]]]"))
    fc.assert(
      fc.property(fc.array(name), fc.array(name), (before, after) => {
        const strings = (names: ReadonlyArray<string>) => names.map((one) => `${JSON.stringify(one)},`).join("")
        // One level for the object, one for its array.
        const around = (depth: number) => `{"a":[${strings(before)}${inside(depth, "")},${strings(after)}0]}`
        assert.isFalse(Depth.isTooDeep(around(Depth.maxDepth - 2)))
        assert.isTrue(Depth.isTooDeep(around(Depth.maxDepth - 1)))
      }),
      { numRuns: 300 }
    )
  })

  it("says of any text whether it is, JSON or not, in time that grows with its length", () => {
    for (const piece of ['"', "\\\\", '"\\\\', '\\"', "]", "[]"])
      assert.isFalse(Depth.isTooDeep(piece.repeat(4_000_000 / piece.length)))
  })
})
