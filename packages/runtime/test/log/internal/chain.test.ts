/** The hash chain: its stored format, and that it sees every change. */
import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"
import { type ChainedRow, GENESIS, next } from "../../../src/log/internal/chain.ts"

const row: ChainedRow = {
  id: 7,
  source: "sense",
  type: "signal",
  refId: "cpu",
  round: null,
  payload: `{"usage":0.5}`,
  timestamp: 1_700_000_000_000
}

describe("the hash chain", () => {
  it("keeps its stored format", () => {
    expect(next(GENESIS, row)).toBe("2ef6aebde364d1ac")
    expect(next(next(GENESIS, row), { ...row, id: 8, refId: null, round: 3 })).toBe("d9cdd089c220e7fe")
  })

  it("covers every column and the hash before", () => {
    const changed: ReadonlyArray<ChainedRow> = [
      { ...row, id: 8 },
      { ...row, source: "worker" },
      { ...row, type: "error" },
      { ...row, refId: "cpv" },
      { ...row, refId: null },
      { ...row, refId: "" },
      { ...row, round: 1 },
      { ...row, payload: `{"usage":0.4}` },
      { ...row, timestamp: row.timestamp + 1 }
    ]
    const hashes = [next(GENESIS, row), next("0000000000000001", row), ...changed.map((other) => next(GENESIS, other))]
    expect(new Set(hashes).size).toBe(hashes.length)
  })

  it.prop(
    "sees any one changed bit of a payload",
    [Schema.NonEmptyString, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))],
    ([text, at]) => {
      const units = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i))
      const position = at % units.length
      const flipped = units.with(position, (units[position] ?? 0) ^ (1 << (at % 16)))
      expect(next(GENESIS, { ...row, payload: String.fromCharCode(...flipped) })).not.toBe(
        next(GENESIS, { ...row, payload: text })
      )
    },
    { arbitrary: { runs: 2000 } }
  )

  it("does not collide over a long log", () => {
    const seen = new Set<string>()
    let hash = GENESIS
    for (let id = 1; id <= 200_000; id++) {
      hash = next(hash, { ...row, id, payload: "1" })
      seen.add(hash)
    }
    expect(seen.size).toBe(200_000)
  })
})
