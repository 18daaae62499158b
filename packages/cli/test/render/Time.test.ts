/**
 * Times and spans for people.
 */
import { brief, clock, moment, relative, span } from "@nerve/cli/render/Time"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

describe("Time", () => {
  it.each([
    [0, "0 s"],
    [-5, "0 s"],
    [420, "0.4 s"],
    [1_500, "1.5 s"],
    [12_900, "12 s"],
    [90 * second, "1 min 30 s"],
    [3 * minute, "3 min"],
    [30 * minute + 10 * second, "30 min"],
    [2 * hour + 5 * minute, "2 h 5 min"],
    [25 * hour, "1 d 1 h"],
    [40 * day + hour, "40 d"]
  ])("says %i ms as %s", (milliseconds, text) => {
    assert.strictEqual(span(milliseconds), text)
  })

  it("says when, seen from now", () => {
    const now = 1_000_000
    assert.strictEqual(relative(null, now), "-")
    assert.strictEqual(relative(now, now), "now")
    assert.strictEqual(relative(now - 12_400, now), "12 s ago")
    assert.strictEqual(relative(now + 180_000, now), "in 3 min")
    assert.strictEqual(relative(now + 2_100, now), "in 3 s")
  })

  it.prop("always says something short", [Schema.Int, Schema.Int], ([at, now]) => {
    assert.match(relative(at, now), /^(now|(in )?\d+(\.\d)? (s|min|h|d)( \d+ (s|min|h))?( ago)?)$/)
  })

  it("shows the time of day in a zone", () => {
    assert.strictEqual(clock(Date.UTC(2026, 1, 28, 14, 3, 9), "UTC"), "14:03:09")
    assert.strictEqual(clock(Date.UTC(2026, 1, 28, 14, 3, 9), "Asia/Tokyo"), "23:03:09")
    assert.strictEqual(clock(Number.MAX_SAFE_INTEGER, "UTC"), "--:--:--")
  })
})

describe("brief", () => {
  it("has milliseconds below a second", () => {
    assert.deepStrictEqual([-5, 0, 12.4, 999, 1_000, 61_000].map(brief), [
      "0 ms",
      "0 ms",
      "12 ms",
      "999 ms",
      "1 s",
      "1 min 1 s"
    ])
  })
})

describe("moment", () => {
  it("has the date only on other days, by the days of the time zone", () => {
    const now = Date.UTC(2026, 1, 28, 23, 30, 0)
    assert.strictEqual(moment(now - 60_000, now, "UTC"), "23:29:00")
    assert.strictEqual(moment(now + 3_600_000, now, "UTC"), "2026-03-01 00:30:00")
    assert.strictEqual(moment(now + 3_600_000, now, "Europe/Berlin"), "01:30:00")
    assert.strictEqual(moment(Infinity, now, "UTC"), "-")
  })
})
