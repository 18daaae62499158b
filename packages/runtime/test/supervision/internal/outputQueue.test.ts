/** What a slow consumer has not been told of: bounded by number and by size, the oldest go. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as outputQueue from "../../../src/supervision/internal/outputQueue.ts"

const line = (length: number, n = 0) => ({ n, line: "x".repeat(length), fields: null })

describe("outputQueue", () => {
  it.effect("keeps no more than so many, the newest", () =>
    Effect.gen(function* () {
      const queue = yield* outputQueue.make<{ readonly n: number }>(3)
      for (let n = 0; n < 10; n++) queue.offerUnsafe(line(1, n))
      assert.deepStrictEqual(
        (yield* queue.clear).map(({ n }) => n),
        [7, 8, 9]
      )
      assert.deepStrictEqual(yield* queue.clear, [])
    })
  )

  it.effect("keeps no more than 4 Mi characters, whether in lines or in fields", () =>
    Effect.gen(function* () {
      const queue = yield* outputQueue.make<{ readonly n: number }>(4096)
      for (let n = 0; n < 100; n++) queue.offerUnsafe(line(1_000_000, n))
      assert.deepStrictEqual(
        (yield* queue.clear).map(({ n }) => n),
        [96, 97, 98, 99]
      )
      for (let n = 0; n < 100; n++)
        queue.offerUnsafe({ n, line: "", fields: { text: "x".repeat(2_000_000) } } as { n: number })
      assert.deepStrictEqual(
        (yield* queue.clear).map(({ n }) => n),
        [98, 99]
      )
    })
  )

  it.effect("takes one that is larger than all of it may be, alone, and counts right after it", () =>
    Effect.gen(function* () {
      const queue = yield* outputQueue.make<{ readonly n: number }>(4096)
      queue.offerUnsafe(line(5_000_000, 1))
      assert.strictEqual((yield* queue.take).n, 1)
      for (let n = 0; n < 4; n++) queue.offerUnsafe(line(1_000_000, n))
      assert.lengthOf(yield* queue.clear, 4)
    })
  )
})
