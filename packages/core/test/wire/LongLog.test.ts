/** What is made of the head of a log frame that is too long. */
import { assert, describe, it } from "@effect/vitest"
import * as LongLog from "@nerve/core/wire/LongLog"
import * as fc from "fast-check"

describe("LongLog", () => {
  it("tells log frames by their beginning", () => {
    for (const text of [`{"t":"log","message":"m"}`, ` { "t" : "log" , "message"`]) assert.isTrue(LongLog.isLog(text))
    for (const text of [`{"t":"logs"}`, `{"t":"done","x":{"t":"log"}}`, `["t":"log"]`, ""])
      assert.isFalse(LongLog.isLog(text))
  })

  it("keeps the level, and of the message what the head holds, wherever it is cut", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 40 })
    fc.assert(
      fc.property(text, text, fc.nat(), fc.constantFrom("", " "), (level, message, at, blank) => {
        const start = `{"t":"log","level":${JSON.stringify(level)},${blank}"message":`
        const whole = `${start}${JSON.stringify(message)},"fields":{"n":1}}`
        const head = whole.slice(0, start.length + 1 + (at % (whole.length - start.length)))
        const frame = LongLog.ofHead(head, 7)
        assert.deepStrictEqual([frame.t, frame.level, frame.fields], ["log", level, { leftOutBytes: 7 }])
        const isWhole = head.length >= start.length + JSON.stringify(message).length
        if (isWhole) return assert.strictEqual(frame.message, message)
        assert.isTrue(frame.message.endsWith("…"))
        assert.isTrue(message.startsWith(frame.message.slice(0, -1)))
        // No more is lost than the escape that the cut goes through.
        const kept = JSON.stringify(frame.message.slice(0, -1)).length - 1
        assert.isAtLeast(kept, head.length - start.length - 12)
      }),
      { numRuns: 1000 }
    )
  })

  it("says so when the message is not in the head", () => {
    assert.deepStrictEqual(LongLog.ofHead(`{"t":"log","fields":{"a":"xxxx`, 9), {
      t: "log",
      level: "Info",
      message: "a log line that is too long to be read",
      fields: { leftOutBytes: 9 }
    })
  })

  it("takes time in proportion to the head, whatever is in it", () => {
    for (const filler of ["\\\\", "\\n", '","a":"', "\u0001", "\\u"]) {
      const head = `{"t":"log","level":"INFO","message":"${filler.repeat(LongLog.maxLength / filler.length)}`
      const began = performance.now()
      LongLog.ofHead(head, 0)
      // A quadratic one takes minutes.
      assert.isBelow(performance.now() - began, 10_000)
    }
  })
})
