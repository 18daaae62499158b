/**
 * Spans of time (D2): a query by time finds what a filter would, also when the clock has been set back or ahead
 * meanwhile, for spans of a few entries and of thousands, from either end.
 */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import type { LogQuery } from "@nerve/core/domain/LogEntry"
import { signal } from "../../../runtime/test/log/LogStoreSuite.ts"
import { all, newFile, withStores } from "./support.ts"

/** Where the clock stands for each hundred entries: forwards, a step back, far ahead, back again. */
const times = [
  ...Array.from({ length: 25 }, (_, n) => 10_000 + n * 100),
  10_050,
  99_000,
  12_000,
  12_050,
  11_000,
  13_000
]

const queries = fc.record(
  {
    since: fc.constantFrom(0, 10_000, 10_050, 11_000, 12_400, 12_401, 13_000, 99_000, 99_001),
    until: fc.constantFrom(0, 10_001, 10_051, 11_001, 12_400, 13_001, 99_000, 100_000),
    order: fc.constantFrom("asc" as const, "desc" as const),
    limit: fc.constantFrom(1, 100, 5000),
    refId: fc.constantFrom("cpu", "disk")
  },
  { requiredKeys: [] }
)

it.effect("finds what a filter would, whatever the clock has done", () =>
  Effect.gen(function* () {
    const file = yield* newFile
    yield* withStores(file, (store) =>
      Effect.gen(function* () {
        for (const at of times) {
          yield* TestClock.setTime(at)
          yield* store.appendAll(Array.from({ length: 100 }, (_, n) => signal(n % 50 === 0 ? "disk" : "cpu", n)))
        }
        const entries = yield* all(store)
        expect(entries.length).toBe(times.length * 100)
        const expected = ({ limit = 100, order, refId, since, until }: LogQuery) => {
          const found = entries.filter(
            (entry) =>
              (refId === undefined || entry.refId === refId) &&
              (since === undefined || entry.timestamp >= since) &&
              (until === undefined || entry.timestamp < until)
          )
          return (order === "desc" ? found.reverse() : found).slice(0, limit).map(({ id }) => id)
        }
        for (const query of fc.sample(queries, { numRuns: 200, seed: 7 })) {
          const found = yield* store.query(query)
          expect({ query, ids: found.map(({ id }) => id) }).toEqual({ query, ids: expected(query) })
        }
      })
    )
  })
)
