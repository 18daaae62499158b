/** What every history of ticks does. Each implementation runs this suite. */
import { assert, describe, it } from "@effect/vitest"
import type { TickInput, TickOutcome } from "@nerve/core/domain/Tick"
import { KEPT_PER_OUTCOME, TickHistory } from "@nerve/runtime/sense/TickHistory"
import { Effect, type Layer } from "effect"
import * as fc from "fast-check"
import { tickInput } from "../../../core/test/domain/samples.ts"

/** Its times are no whole numbers, for none has to be. */
export const tick = (sense: string, outcome: TickOutcome, over: Partial<TickInput> = {}): TickInput =>
  tickInput(sense, { outcome, dueAt: 1_000.5, startedAt: 1_001, durationMs: 2.25, ...over })

const outcomes: ReadonlyArray<TickOutcome> = ["no-signal", "signal", "error", "collapsed"]

export const suite = (name: string, layer: Layer.Layer<TickHistory, unknown>): void => {
  const test = (what: string, body: (history: TickHistory["Service"]) => Effect.Effect<void, unknown>) =>
    it.effect(what, () => Effect.provide(Effect.flatMap(TickHistory, body), layer))

  describe(name, () => {
    test("gives back what was recorded, the newest first", (history) =>
      Effect.gen(function* () {
        const full = tick("cpu", "signal", {
          cause: "on:disk",
          detail: "a line\nand another",
          signal: 17,
          threads: ["alarm-1", "alarm-2"],
          lines: [{ level: "Info", message: "looked", fields: { usage: 0.5 } }],
          linesLeftOut: 3
        })
        const none = tick("cpu", "missed", { startedAt: null, durationMs: null, count: 2_880 })
        history.recordUnsafe(full)
        history.recordUnsafe(none)
        const [second, first, ...rest] = yield* history.query({ sense: "cpu" })
        assert.lengthOf(rest, 0)
        assert.deepStrictEqual(first, { ...full, id: first?.id ?? -1 })
        assert.deepStrictEqual(second, { ...none, id: second?.id ?? -1 })
        assert.isAbove(second?.id ?? 0, first?.id ?? 0)
      }))

    test("tells senses and outcomes apart, and gives as many as are asked for", (history) =>
      Effect.gen(function* () {
        for (let nth = 0; nth < 30; nth++) {
          history.recordUnsafe(tick("cpu", nth % 3 === 0 ? "error" : "no-signal", { dueAt: nth }))
          history.recordUnsafe(tick("disk", "no-signal", { dueAt: nth }))
        }
        const dues = (query: Parameters<typeof history.query>[0]) =>
          Effect.map(history.query(query), (ticks) => ticks.map((one) => one.dueAt))
        assert.deepStrictEqual(yield* dues({ sense: "cpu", outcome: "error", limit: 3 }), [27, 24, 21])
        const [, , third] = yield* history.query({ sense: "cpu", outcome: "error", limit: 3 })
        assert.deepStrictEqual(
          yield* dues({ sense: "cpu", outcome: "error", limit: 2, before: third?.id ?? 0 }),
          [18, 15]
        )
        assert.lengthOf(yield* dues({ sense: "cpu" }), 20)
        assert.lengthOf(yield* dues({ sense: "disk", limit: 100 }), 30)
        assert.deepStrictEqual(yield* dues({ sense: "disk", limit: 0 }), [])
        assert.deepStrictEqual(yield* dues({ sense: "nobody" }), [])
      }))

    test("dull ticks, however many, never push out others", (history) =>
      Effect.gen(function* () {
        history.recordUnsafe(tick("cpu", "error", { detail: "the only one" }))
        for (let nth = 0; nth < 20 * KEPT_PER_OUTCOME; nth++) {
          history.recordUnsafe(tick("cpu", "no-signal", { dueAt: nth }))
          // Read in between, so that some have been written and others not.
          if (nth % 333 === 0) yield* history.query({ sense: "cpu" })
        }
        const errors = yield* history.query({ sense: "cpu", outcome: "error", limit: 1_000 })
        assert.deepStrictEqual(
          errors.map((one) => one.detail),
          ["the only one"]
        )
        const dull = yield* history.query({ sense: "cpu", outcome: "no-signal", limit: 1_000 })
        assert.lengthOf(dull, KEPT_PER_OUTCOME)
        assert.strictEqual(dull[0]?.dueAt, 20 * KEPT_PER_OUTCOME - 1)
        assert.strictEqual(dull.at(-1)?.dueAt, 19 * KEPT_PER_OUTCOME)
      }))

    it.effect("keeps the last ones of each sense and outcome, whatever comes in which order", () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            fc.array(
              fc.record({
                sense: fc.constantFrom("cpu", "disk"),
                outcome: fc.constantFrom(...outcomes),
                times: fc.integer({ min: 1, max: 2 * KEPT_PER_OUTCOME }),
                read: fc.boolean()
              }),
              { maxLength: 12 }
            ),
            (steps) =>
              Effect.runPromise(
                Effect.gen(function* () {
                  const history = yield* TickHistory
                  const all: Array<TickInput> = []
                  for (const { outcome, read, sense, times } of steps) {
                    for (let nth = 0; nth < times; nth++) {
                      const one = tick(sense, outcome, { dueAt: all.length })
                      all.push(one)
                      history.recordUnsafe(one)
                    }
                    if (read) yield* history.query({ sense })
                  }
                  for (const sense of ["cpu", "disk"]) {
                    const found = yield* history.query({ sense, limit: 10_000 })
                    const expected = outcomes.flatMap((outcome) =>
                      all.filter((one) => one.sense === sense && one.outcome === outcome).slice(-KEPT_PER_OUTCOME)
                    )
                    assert.deepStrictEqual(
                      found.map((one) => one.dueAt),
                      expected.map((one) => one.dueAt).sort((a, b) => b - a)
                    )
                  }
                }).pipe(Effect.provide(layer))
              )
          ),
          { numRuns: 15 }
        )
      )
    )
  })
}
