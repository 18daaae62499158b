/**
 * Aligned columns.
 */
import { colored } from "@nerve/cli/render/Style"
import { render } from "@nerve/cli/render/Table"
import { assert, describe, it } from "@effect/vitest"
import { stripVTControlCharacters } from "node:util"

interface Row {
  readonly name: string
  readonly amount: string
}

const columns = [
  { title: "NAME", value: (row: Row) => row.name },
  { title: "AMOUNT", value: (row: Row) => row.amount, align: "right" as const }
]

describe("Table", () => {
  it("aligns by the widest cell, without white space at line ends", () => {
    assert.strictEqual(
      render(columns, [
        { name: "cpu", amount: "1" },
        { name: "memory", amount: "12345678" }
      ]),
      ["NAME      AMOUNT", "cpu            1", "memory  12345678"].join("\n")
    )
  })

  it("shows the heading when there are no rows", () => {
    assert.strictEqual(render(columns, []), "NAME  AMOUNT")
  })

  it("aligns by what is seen: wide letters count twice, colours not at all", () => {
    const rows = [
      { name: "温度", amount: "1" },
      { name: colored.red("abc"), amount: "2" }
    ]
    assert.strictEqual(
      stripVTControlCharacters(render(columns, rows, colored)),
      ["NAME  AMOUNT", "温度       1", "abc        2"].join("\n")
    )
  })
})
