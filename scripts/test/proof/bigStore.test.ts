/** The short form of the proof `big-store`: a daemon takes up threads of a log of twenty thousand entries (M7, D2). */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { measure } from "../../proof/bigStore.ts"

it.live(
  "a daemon goes on with the threads of a large log and answers all that the command line asks",
  () =>
    Effect.map(measure({ rows: 20_000, threads: 20, say: () => {} }), (outcome) => {
      expect(outcome.rows).toBeGreaterThanOrEqual(20_000)
      expect(outcome.dispatchMs).toBeGreaterThan(0)
      expect(Object.values(outcome.answersMs).length).toBeGreaterThan(30)
    }),
  120_000
)
