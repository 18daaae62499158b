/** What a slow consumer has not been told of: bounded by number and by size, the oldest go. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as outputQueue from "../../../src/supervision/internal/outputQueue.ts"

const line = (length: number, n = 0) => ({ n, line: "x".repeat(length), fields: null })

const all = <A extends object>(queue: outputQueue.OutputQueue<A>) =>
  Effect.gen(function* () {
    const taken: Array<A> = []
    yield* queue.forEachNow((one) => Effect.sync(() => void taken.push(one)))
    return taken
  })

/** A source that counts: how often it was paused, and whether it is. */
const makeSource = () => {
  const source = {
    pauses: 0,
    isPaused: false,
    pauseUnsafe: () => {
      source.pauses += 1
      source.isPaused = true
    },
    resumeUnsafe: () => {
      source.isPaused = false
    }
  }
  return source
}

describe("outputQueue", () => {
  it.effect("keeps no more than so many, the newest", () =>
    Effect.gen(function* () {
      const queue = yield* outputQueue.make<{ readonly n: number }>(3)
      for (let n = 0; n < 10; n++) queue.offerUnsafe(line(1, n))
      assert.deepStrictEqual(
        (yield* all(queue)).map(({ n }) => n),
        [7, 8, 9]
      )
      assert.deepStrictEqual(yield* all(queue), [])
    })
  )

  it.effect("keeps no more than 4 Mi characters, whether in lines or in fields", () =>
    Effect.gen(function* () {
      const queue = yield* outputQueue.make<{ readonly n: number }>(4096)
      for (let n = 0; n < 100; n++) queue.offerUnsafe(line(1_000_000, n))
      assert.deepStrictEqual(
        (yield* all(queue)).map(({ n }) => n),
        [96, 97, 98, 99]
      )
      for (let n = 0; n < 100; n++)
        queue.offerUnsafe({ n, line: "", fields: { text: "x".repeat(2_000_000) } } as { n: number })
      assert.deepStrictEqual(
        (yield* all(queue)).map(({ n }) => n),
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
      assert.lengthOf(yield* all(queue), 4)
    })
  )

  it.effect("pauses a source that is too far ahead, by number or by size, and no other, until half is taken", () =>
    Effect.gen(function* () {
      const queue = yield* outputQueue.make<object>(4096)
      const [many, large, quiet] = [makeSource(), makeSource(), makeSource()]
      for (let n = 0; n < 1023; n++) queue.offerUnsafe(line(1, n), many)
      queue.offerUnsafe(line(1), quiet)
      queue.offerUnsafe(line(1024 * 1024 - 1), large)
      assert.deepStrictEqual([many.isPaused, large.isPaused, quiet.isPaused], [false, false, false])
      queue.offerUnsafe(line(1), many)
      queue.offerUnsafe(line(1), large)
      assert.deepStrictEqual([many.isPaused, large.isPaused, quiet.isPaused], [true, true, false])
      for (let n = 0; n < 511; n++) yield* queue.take
      assert.isTrue(many.isPaused)
      yield* queue.take
      assert.isFalse(many.isPaused)
      assert.isTrue(large.isPaused)
      yield* all(queue)
      assert.isFalse(large.isPaused)
      assert.deepStrictEqual([many.pauses, large.pauses, quiet.pauses], [1, 1, 0])
    })
  )

  it.effect("does not wait for a consumer that has taken nothing for a second, until it takes again", () =>
    Effect.gen(function* () {
      const queue = yield* outputQueue.make<object>(4096)
      const source = makeSource()
      yield* Effect.forkScoped(queue.watch)
      const flood = () => {
        for (let n = 0; n < 2000; n++) queue.offerUnsafe(line(1, n), source)
      }
      flood()
      yield* TestClock.adjust("900 millis")
      assert.isTrue(source.isPaused)
      yield* TestClock.adjust("1100 millis")
      assert.isFalse(source.isPaused)
      flood()
      assert.isFalse(source.isPaused)
      yield* queue.take
      flood()
      assert.isTrue(source.isPaused)
    })
  )

  it.effect("a consumer that is only slow is waited for", () =>
    Effect.gen(function* () {
      const queue = yield* outputQueue.make<object>(4096)
      const source = makeSource()
      yield* Effect.forkScoped(queue.watch)
      for (let n = 0; n < 1024; n++) queue.offerUnsafe(line(1, n), source)
      for (let n = 0; n < 10; n++) {
        yield* TestClock.adjust("600 millis")
        yield* queue.take
      }
      assert.isTrue(source.isPaused)
    })
  )
})
