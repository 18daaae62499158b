/** Durations as nerve.yaml has them (S9). */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import * as DurationText from "../../src/config/DurationText.ts"

const suggestionFor = (text: string): string | null => {
  const parsed = DurationText.parse(text)
  assert.isTrue(Result.isFailure(parsed), `${JSON.stringify(text)} must be refused`)
  return Result.isFailure(parsed) ? parsed.failure.suggestion : null
}

describe("DurationText", () => {
  it.each([
    ["500ms", 500],
    ["0s", 0],
    ["5s", 5_000],
    ["10m", 600_000],
    ["1h", 3_600_000],
    ["1d", 86_400_000],
    ["007s", 7_000]
  ])("reads %s", (text, milliseconds) => {
    assert.deepStrictEqual(DurationText.parse(text), Result.succeed(milliseconds))
  })

  it.each([
    ["30", "30s"],
    ["5000", "5s"],
    ["1_500", "1500ms"],
    ["10 s", "10s"],
    ["10S", "10s"],
    ["10 sec", "10s"],
    ["5 Minutes", "5m"],
    ["2 hrs", "2h"],
    ["1w", "7d"],
    ["1.5s", "1500ms"],
    ["0.5h", "30m"],
    ["1h30m", "90m"],
    ["1 hour and 30 minutes", "90m"],
    [" 5s", "5s"]
  ])("refuses %s and suggests %s", (text, suggestion) => {
    assert.strictEqual(suggestionFor(text), suggestion)
    assert.isTrue(Result.isSuccess(DurationText.parse(suggestion)))
  })

  it.each(["", "soon", "s", "-5s", "5s!", "ten s", "5x", "1e3s", ".", "9".repeat(1_000_000)])(
    "refuses %.20s without a guess",
    (text) => {
      assert.isNull(suggestionFor(text))
    }
  )

  it("says why", () => {
    const reasonFor = (text: string) =>
      Result.isFailure(DurationText.parse(text)) && Result.flip(DurationText.parse(text))
    assert.deepStrictEqual(reasonFor("30"), Result.succeed({ reason: "has no unit", suggestion: "30s" }))
    assert.deepStrictEqual(reasonFor("-5s"), Result.succeed({ reason: "is less than no time", suggestion: null }))
    assert.deepStrictEqual(
      reasonFor("99999999999999d"),
      Result.succeed({ reason: "is too long a time", suggestion: null })
    )
  })

  it.each([
    [0, "0s"],
    [1, "1ms"],
    [1_500, "1500ms"],
    [90_000, "90s"],
    [3_600_000, "1h"],
    [172_800_000, "2d"]
  ])("writes %d as %s", (milliseconds, text) => {
    assert.strictEqual(DurationText.format(milliseconds), text)
  })

  it("reads back whatever it writes", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.maxSafeNat(),
          fc.nat(1_000).map((days) => days * 86_400_000)
        ),
        (milliseconds) => {
          assert.deepStrictEqual(DurationText.parse(DurationText.format(milliseconds)), Result.succeed(milliseconds))
        }
      )
    )
  })

  it("answers every text, and suggests only what it would accept", () => {
    const text = fc.oneof(
      fc.string(),
      fc
        .tuple(fc.double({ min: 0 }), fc.constantFrom(" ", ""), fc.constantFrom("ms", "S", "min", "week", "x"))
        .map((parts) => parts.join(""))
    )
    fc.assert(
      fc.property(text, (text) => {
        const parsed = DurationText.parse(text)
        if (Result.isSuccess(parsed)) assert.isTrue(Number.isSafeInteger(parsed.success))
        else if (parsed.failure.suggestion !== null) {
          assert.isTrue(Result.isSuccess(DurationText.parse(parsed.failure.suggestion)))
        }
      })
    )
  })
})
