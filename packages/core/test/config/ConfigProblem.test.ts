import { assert, describe, it } from "@effect/vitest"
import { ConfigInvalid, type ConfigProblem, format, formatPath, formatProblem } from "../../src/config/ConfigProblem.ts"

const problem = (fields: Partial<ConfigProblem>): ConfigProblem => ({
  line: 1,
  column: 1,
  path: ["max_round"],
  key: "max_round",
  message: "unknown key",
  expected: "max_rounds",
  suggestion: "max_rounds",
  ...fields
})

describe("ConfigProblem", () => {
  it("writes paths with dots, indices, and quotes where a key is no plain word", () => {
    assert.strictEqual(formatPath(["senses", "cpu-usage", "on", 0]), "senses.cpu-usage.on[0]")
    assert.strictEqual(formatPath(["senses", "a.b", "on"]), 'senses."a.b".on')
    assert.strictEqual(formatPath([2, ""]), '[2].""')
    assert.strictEqual(formatPath([]), "")
  })

  it("asks for the suggestion, or names what is expected when there is none", () => {
    assert.strictEqual(
      formatProblem(problem({}), "nerve.yaml"),
      'nerve.yaml:1:1  max_round: unknown key; did you mean "max_rounds"?'
    )
    assert.strictEqual(
      formatProblem(problem({ key: "", suggestion: null }), "nerve.yaml"),
      "nerve.yaml:1:1  unknown key; expected max_rounds"
    )
  })

  it("shows the source line and a caret, and counts at the end", () => {
    const text = "\uFEFFmax_round: 5\r\nsenses:\r\n\tx: 1\r\n"
    const problems = [problem({}), problem({ line: 3, column: 2 })]
    assert.deepStrictEqual(format(problems, text, "nerve.yaml").split("\n"), [
      'nerve.yaml:1:1  max_round: unknown key; did you mean "max_rounds"?',
      "    1 | max_round: 5",
      "      | ^",
      "",
      'nerve.yaml:3:2  max_round: unknown key; did you mean "max_rounds"?',
      "    3 | \tx: 1",
      "      | \t^",
      "",
      "2 problems in nerve.yaml"
    ])
    assert.strictEqual(
      format([problem({})], text, "f", 7)
        .split("\n\n")
        .slice(1)
        .join("|"),
      "... and 7 more|8 problems in f"
    )
  })

  it("shows only the part around the place of a long line", () => {
    const text = `${"a".repeat(5_000)}X${"b".repeat(5_000)}`
    const [, source = "", caret = ""] = format([problem({ column: 5_001 })], text, "f").split("\n")
    assert.isBelow(source.length, 140)
    assert.strictEqual(source[caret.indexOf("^")], "X")
  })

  it("lets no control character through to the terminal", () => {
    const text = "a: \u001b[31mred\u009b1m\u202e"
    const shown = format([problem({ key: "", message: "\u001b]0;x", column: 4 })], text, "f")
    // oxlint-disable-next-line no-control-regex
    assert.notMatch(shown.replaceAll("\n", ""), /[\u0000-\u001f\u007f-\u009f\u202e]/)
  })

  it("is an error that says how many problems there are", () => {
    const error = new ConfigInvalid({ file: "nerve.yaml", problems: [problem({})], omitted: 0 })
    assert.strictEqual(error._tag, "ConfigInvalid")
    assert.strictEqual(error.message, "1 problem in nerve.yaml")
  })
})
