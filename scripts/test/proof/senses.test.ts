import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { senses } from "../../proof/senses.ts"

// The proof in short; `pnpm proof senses` is the long form.
describe("senses under kill -9 of their workers and their daemon", () => {
  it.live(
    "lose no state, signal or launch, count nothing twice, and apply no migration by half",
    () =>
      Effect.gen(function* () {
        const said: Array<string> = []
        const figures = yield* senses.run({ times: 5, seed: Date.now() % 1_000_000, say: (line) => said.push(line) })
        assert.isTrue(figures.ok, said.join("\n"))
      }),
    180_000
  )
})
