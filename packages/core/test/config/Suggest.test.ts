import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Suggest from "../../src/config/Suggest.ts"

describe("Suggest", () => {
  it.each([
    ["", "", 0],
    ["", "abc", 3],
    ["kitten", "sitting", 3],
    ["interval", "intervall", 1],
    ["queue", "qeuue", 1],
    ["ab", "ba", 1],
    ["ca", "abc", 3]
  ])("counts the edits from %j to %j", (left, right, edits) => {
    assert.strictEqual(Suggest.distance(left, right), edits)
  })

  it("is a distance: nothing for equals only, the same both ways, never more than the longer text", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 8 })
    fc.assert(
      fc.property(text, text, (left, right) => {
        const edits = Suggest.distance(left, right)
        assert.strictEqual(edits === 0, left === right)
        assert.strictEqual(edits, Suggest.distance(right, left))
        assert.isAtMost(edits, Math.max(left.length, right.length))
        assert.isAtLeast(edits, Math.abs(left.length - right.length))
      })
    )
  })

  it.each([
    ["intervall", "interval"],
    ["Interval", "interval"],
    ["gorup", "group"],
    ["timout", "timeout"],
    ["onn", "on"],
    ["grace_perod", "grace_period"]
  ])("finds what %s was meant to be", (name, expected) => {
    const known = ["group", "interval", "on", "throttle", "timeout", "grace_period"]
    assert.strictEqual(Suggest.nearest(name, known), expected)
  })

  it.each(["", "colour", "x", "group-of-four", "interval".repeat(10)])("finds nothing near %j", (name) => {
    assert.isNull(Suggest.nearest(name, ["group", "interval", "on"]))
  })

  it("prefers the nearest name to the first, and the first of equals", () => {
    assert.strictEqual(Suggest.nearest("sense-2", ["sensor-2", "sense-21", "sense-2x"]), "sense-21")
  })
})
