/**
 * Damage is found or harmless (D1, D3, D4): one bit flipped in database, write-ahead log, archive, blobs.
 * `NERVE_IMAGES=1000` makes it the long form.
 */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as BitFlips from "./bitFlips.ts"

/** The same images in each run; a failure names file and bit. */
const random = (seed: number) => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const images = Number(process.env["NERVE_IMAGES"] ?? 20)

it.effect(
  "a flipped bit is found by verify, or harmless",
  () =>
    Effect.gen(function* () {
      const report = yield* BitFlips.run(images, random(Number(process.env["NERVE_SEED"] ?? 1)))
      console.log(JSON.stringify(report))
      expect(report.missed).toEqual([])
      expect(report.found).toBeGreaterThan(images / 4)
    }),
  60_000 + images * 2_000
)
