import { it } from "@effect/vitest"
import { Option, Schema } from "effect"
import { describe, expect } from "vitest"
import { lastJson } from "../../../src/authoring/internal/lastJson.ts"

describe("lastJson", () => {
  it("takes the last ```json block that parses, whatever objects follow", () => {
    const reply = '```json\n{"a":1}\n```\nbetter:\n```json\n[2]\n```\n```json\n{broken\n```\nand {"b":3}'
    expect(lastJson(reply)).toEqual(Option.some([2]))
  })

  it("takes the last whole object when there is no block", () => {
    expect(lastJson('first {"a":1}, then {"b":{"c":"}{"}} and that was it')).toEqual(Option.some({ b: { c: "}{" } }))
    expect(lastJson('in code { x: {"y":1} }')).toEqual(Option.some({ y: 1 }))
    expect(lastJson('unfinished { "a": {"b":2}')).toEqual(Option.some({ b: 2 }))
  })

  it("finds nothing where there is nothing", () => {
    for (const text of ["", "no", "{", "}{", "{'a':1}", "[1,2]"]) expect(lastJson(text)).toEqual(Option.none())
  })

  it("does not take for ever on text full of open braces", { timeout: 30_000 }, () => {
    expect(lastJson("{".repeat(200_000))).toEqual(Option.none())
  })

  it.prop(
    "finds any object again among words",
    [Schema.Record(Schema.String, Schema.Json), Schema.Literals(["", "so: ", '"quoted" ', "} "])],
    ([object, before]) => {
      const text = JSON.stringify(object)
      expect(lastJson(`${before}${text} done.`)).toEqual(Option.some(JSON.parse(text)))
    }
  )
})
