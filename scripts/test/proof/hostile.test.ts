/** The short form of the proof `hostile`: mutated frames, then each crafted attack, beside a neighbour (S7, R12). */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { attack, attacks } from "../../proof/hostile.ts"

const seed = Number(process.env["NERVE_SEED"] ?? Date.now() % 1_000_000)

describe("hostile workers", () => {
  it.live(`end no process but their own, hurt no neighbour, leave no call without an end (NERVE_SEED=${seed})`, () =>
    Effect.map(attack({ frames: 6_000, calls: 500, together: 8, seed, say: () => {} }), (outcome) => {
      assert.deepStrictEqual(outcome.faults, [])
      assert.deepStrictEqual(Object.keys(outcome.neighbour), ["success"])
      assert.strictEqual(outcome.neighbourIncarnation, 1)
      assert.isAtLeast(outcome.frames, 6_000)
      assert.includeMembers(Object.keys(outcome.attacks), [...attacks])
      // That nobody is hurt says something only where harm was done.
      assert.isAbove(outcome.violations, 1000)
    })
  )
})
