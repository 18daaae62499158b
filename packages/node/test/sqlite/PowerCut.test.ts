/**
 * What is acknowledged survives a power cut (D1), and the test would notice if it did not: the control run
 * acknowledges without synchronising. `NERVE_IMAGES=1000` makes it the long form. Needs strace.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as PowerCut from "./powerCut.ts"

const random = (seed: number) => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const images = Number(process.env["NERVE_IMAGES"] ?? 12)
const seed = Number(process.env["NERVE_SEED"] ?? 1)
const obstacle = PowerCut.obstacle()
if (obstacle !== undefined) console.log(`PowerCut: skipped, for ${obstacle}`)

describe.skipIf(obstacle !== undefined)("a power cut", () => {
  it.live(
    "takes nothing that was acknowledged, and leaves a log that opens and holds",
    () =>
      Effect.gen(function* () {
        const report = yield* PowerCut.run("full", images, 120, random(seed))
        console.log(JSON.stringify(report))
        expect(report).toEqual({ images, acknowledged: 120, unopened: 0, lost: 0, damaged: 0 })
      }),
    60_000 + images * 1000
  )

  it.live(
    "would take acknowledged entries without full synchronisation",
    () =>
      Effect.gen(function* () {
        // More of them: chance alone must not let it pass.
        const report = yield* PowerCut.run("normal", 2 * images, 120, random(seed))
        console.log(JSON.stringify({ control: "synchronous=NORMAL", ...report }))
        expect(report.lost).toBeGreaterThan(0)
      }),
    60_000 + images * 2000
  )
})
