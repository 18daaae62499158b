/** The short form of the proof `flood`: a slow consumer, workers that send as fast as they can, and their neighbour. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { flood, floods } from "../../proof/flood.ts"

describe("workers that send as fast as they can", () => {
  it.live("fill no memory, and their neighbour is answered all the while", () =>
    Effect.map(flood({ seconds: 0.3, say: () => {} }), (outcome) => {
      assert.deepStrictEqual(outcome.faults, [])
      assert.deepStrictEqual(Object.keys(outcome.floods), [...floods])
      // Without bounds it is gigabytes.
      assert.isAtMost(outcome.memoryMiB, 200)
      assert.isAtMost(outcome.keptMiB, 64)
      assert.isAbove(outcome.neighbourCalls, 12)
    })
  )
})
