import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { crashPoints } from "../../proof/crashPoints.ts"

// The proof in short: a round, a migration, an end, an archived day, a wait. `pnpm proof crash-points` has them all.
describe("a real daemon that dies at a write-ahead boundary", () => {
  it.live(
    "leaves what leads to the same end as if it had not",
    () =>
      Effect.gen(function* () {
        const said: Array<string> = []
        const figures = yield* crashPoints.run({ times: 5, seed: 1, say: (line) => said.push(line) })
        assert.isTrue(figures.ok, `${said.join("\n")}\n${JSON.stringify(figures)}`)
        assert.strictEqual(figures["reached"], 5)
      }),
    180_000
  )
})
