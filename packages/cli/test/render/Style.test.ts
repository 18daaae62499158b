/**
 * Colours.
 */
import { colored, plain, tinted, type Tones } from "@nerve/cli/render/Style"
import { assert, describe, it } from "@effect/vitest"

describe("tinted", () => {
  const tones: Tones<"failed" | "stopped"> = { failed: "red", stopped: "none" }

  it("puts a word in its colour, where there are colours", () => {
    assert.strictEqual(tinted(colored, tones, "failed"), "\u001b[31mfailed\u001b[39m")
    assert.strictEqual(tinted(plain, tones, "failed"), "failed")
  })

  it("leaves a word that has none", () => {
    assert.strictEqual(tinted(colored, tones, "stopped"), "stopped")
  })
})
