/** The short form of the proof `model`: anything in any order, with real processes (R3, R4, R11). */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { model } from "../../proof/model.ts"

const seed = Number(process.env["NERVE_SEED"] ?? Date.now() % 1_000_000)

describe("workers to which anything happens in any order", () => {
  it.live(`answer or refuse every call, in order, once, and leave nothing (NERVE_SEED=${seed})`, () => {
    const said: Array<string> = []
    return Effect.map(model.run({ times: 4, seed, say: (line) => said.push(line) }), (figures) =>
      assert.isTrue(figures.ok, said.join("\n"))
    )
  })
})
