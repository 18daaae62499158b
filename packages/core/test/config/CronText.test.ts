/** Cron expressions as nerve.yaml has them (S9). */
import { assert, describe, it } from "@effect/vitest"
import { Cron, Option, Result } from "effect"
import * as fc from "fast-check"
import * as CronText from "../../src/config/CronText.ts"

const invalid = (text: string): CronText.Invalid => {
  const parsed = CronText.parse(text, "UTC")
  assert.isTrue(Result.isFailure(parsed), `${JSON.stringify(text)} must be refused`)
  return Result.isFailure(parsed) ? parsed.failure : { reason: "", suggestion: null }
}

describe("CronText", () => {
  it.each(["* * * * *", "*/10 0 12 1,15 jan-jun *", "30 3 * * 1-5", " 0  0 * * sun ", "0 0 29 2 *"])(
    "reads %j",
    (text) => {
      assert.isTrue(Result.isSuccess(CronText.parse(text, null)))
    }
  )

  it.each([
    ["", "is not a cron expression"],
    ["* * *", "has 3 fields"],
    ["5", "has 1 field"],
    ["60 * * * *", 'has "60" as its minute, which is not within 0-59'],
    ["60 * * * * *", 'has "60" as its second, which is not within 0-59'],
    ["0 0 * 13 *", 'has "13" as its month, which is not within 1-12 or jan-dec'],
    ["0 0 * * fri-mon", 'has "fri-mon" as its weekday, which is not within 0-7 or sun-sat'],
    ["0 x * * *", 'has "x" as its hour, which is not within 0-23'],
    ["0 0 30 2 *", "never comes"],
    ["* ".repeat(10_000), "is not a cron expression"]
  ])("refuses %.20j and says why", (text, reason) => {
    assert.strictEqual(invalid(text).reason, reason)
  })

  it("suggests what was meant, and that can be read", () => {
    for (const text of ["@daily", "@HOURLY", "5 4 * *"]) {
      const { suggestion } = invalid(text)
      assert.isTrue(Result.isSuccess(CronText.parse(suggestion ?? "", null)), text)
    }
  })

  it("knows time zones by name and by offset", () => {
    for (const zone of ["Europe/Berlin", "UTC", "+02:00", "-05:30"]) {
      assert.deepStrictEqual(CronText.parseZone(zone), Result.succeed(zone))
    }
    assert.deepStrictEqual(
      CronText.parseZone("Europe/Belin"),
      Result.fail({ reason: "is not a time zone", suggestion: "Europe/Berlin" })
    )
    assert.deepStrictEqual(
      CronText.parseZone("new york"),
      Result.fail({ reason: "is not a time zone", suggestion: null })
    )
    assert.isTrue(CronText.isValid("0 0 * * *", "UTC"))
    assert.isFalse(CronText.isValid("0 0 * * *", "Nowhere"))
    assert.isFalse(CronText.isValid("never", null))
  })

  it("the next time matches the expression and lies ahead, and none between is left out", () => {
    const part = (low: number, high: number) =>
      fc.oneof(
        fc.constant("*"),
        fc.integer({ min: low, max: high }).map(String),
        fc.integer({ min: 2, max: 6 }).map((step) => `*/${step}`)
      )
    const zone = fc.constantFrom("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
    fc.assert(
      fc.property(
        part(0, 59),
        part(0, 23),
        part(0, 6),
        zone,
        fc.integer({ min: 0, max: 2 ** 40 }),
        (minute, hour, weekday, tz, at) => {
          const parsed = CronText.parse(`${minute} ${hour} * * ${weekday}`, tz)
          assert.isTrue(Result.isSuccess(parsed))
          if (Result.isFailure(parsed)) return
          const next = Option.getOrThrow(CronText.nextAfter(parsed.success, at))
          assert.isAbove(next, at)
          // What the search passes over does not match: the minutes just before its answer.
          for (let before = next - 60_000; before > Math.max(at, next - 30 * 60_000); before -= 60_000) {
            assert.isFalse(Cron.match(parsed.success, before), new Date(before).toISOString())
          }
        }
      ),
      { numRuns: 200 }
    )
  })
})
