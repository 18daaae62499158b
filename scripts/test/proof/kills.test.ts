/** The short form of the proof `kills`: deaths of keyed workers and of a pool's, under load (R5, R12, P4). */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { kill } from "../../proof/kills.ts"

const seed = Number(process.env["NERVE_SEED"] ?? Date.now() % 1_000_000)

describe.skipIf(!existsSync("/proc/self/fd"))("workers that die at random, under load", () => {
  it.live(`every call ends in its own answer or a typed error, and nothing is left (NERVE_SEED=${seed})`, () =>
    Effect.map(kill({ kills: 36, seed, say: () => {} }), (outcome) => {
      assert.deepStrictEqual(outcome.faults, [])
      assert.deepStrictEqual(outcome.leftProcesses, [])
      assert.strictEqual(outcome.descriptorsMore, 0)
      assert.isAbove(outcome.ends["success"] ?? 0, 36)
      assert.isAbove(outcome.ends["WorkerDied"] ?? 0, 0)
    })
  )
})
