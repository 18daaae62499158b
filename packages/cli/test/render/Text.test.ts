/**
 * Text from outside, made fit for a terminal.
 */
import { brief, count, oneLine, safe } from "@nerve/cli/render/Text"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"

describe("Text", () => {
  it("takes away what could steer a terminal, keeping line breaks and tabs", () => {
    assert.strictEqual(safe("a\u001b[31mred\u0007\tb\r\nc\u202e"), "a\uFFFD[31mred\uFFFD\tb\nc\uFFFD")
  })

  it("makes one line of many, cut with an ellipsis at the width", () => {
    assert.strictEqual(oneLine("  one\n\n two\tthree "), "one two three")
    assert.strictEqual(oneLine("abcdefgh", 5), "abcd…")
    assert.strictEqual(oneLine("abcde", 5), "abcde")
    // Letters beyond 16 bits are never cut in half.
    assert.strictEqual(oneLine("🙂🙂🙂🙂", 3), "🙂🙂…")
  })

  it.prop("never gives more than one line of the width", [Schema.String], ([text]) => {
    const line = oneLine(text, 20)
    assert.isAtMost(Array.from(line).length, 20)
    for (const forbidden of ["\n", "\r", "\u001b"]) assert.notInclude(line, forbidden)
  })

  it("says a value in short", () => {
    assert.strictEqual(brief({ usage: 0.423456, cores: 8 }), "usage 0.4235, cores 8")
    assert.strictEqual(brief({ list: [1, 2, 3], inner: { a: 1, b: 2 }, no: null }), "list [3], inner {a, b}, no none")
    assert.strictEqual(brief({ total: 25274793984, free: -1234567 }), "total 25.27G, free -1.235M")
    assert.strictEqual(brief({ exact: 999999, vast: 1e21 }), "exact 999999, vast 1e+21")
    assert.strictEqual(brief([1, "two"]), "1, two")
    assert.strictEqual(brief("plain"), "plain")
    assert.strictEqual(brief({ text: "x".repeat(100) }), `text ${"x".repeat(39)}…`)
  })

  it("counts in singular and plural", () => {
    assert.deepStrictEqual(
      [count(0, "sense"), count(1, "sense"), count(2, "crash", "crashes")],
      ["0 senses", "1 sense", "2 crashes"]
    )
  })
})
