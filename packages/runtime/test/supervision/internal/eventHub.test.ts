/** Events for readers of any speed: none waits for another, and who falls behind loses the oldest. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Stream } from "effect"
import * as eventHub from "../../../src/supervision/internal/eventHub.ts"

interface Event {
  readonly n: number
  readonly line: string
}

const event = (n: number, length = 1): Event => ({ n, line: "x".repeat(length) })

/** A reader that takes one event, waits to be let on, and then takes the rest up to `last`. */
const reader = Effect.fnUntraced(function* (hub: eventHub.EventHub<Event>, last: number) {
  const [begun, open] = [Latch.makeUnsafe(false), Latch.makeUnsafe(false)]
  const seen: Array<number> = []
  const fiber = yield* Effect.forkChild(
    Stream.runForEach(
      Stream.takeUntil(hub.stream, ({ n }) => n === last),
      ({ n }) =>
        Effect.suspend(() => {
          seen.push(n)
          begun.openUnsafe()
          return open.await
        })
    )
  )
  yield* Effect.yieldNow
  return { begun, open, seen, fiber }
})

describe("eventHub", () => {
  it.effect("gives each reader all, in order", () =>
    Effect.gen(function* () {
      const hub = eventHub.make<Event>(100)
      const readers = yield* Effect.forEach([1, 2], () => reader(hub, 9))
      for (let n = 0; n < 10; n++) yield* hub.publish(event(n))
      for (const { fiber, open, seen } of readers) {
        open.openUnsafe()
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      }
    })
  )

  it.effect("keeps for a slow one so many, or 4 Mi characters, and drops the oldest", () =>
    Effect.gen(function* () {
      const hub = eventHub.make<Event>(100)
      const slow = yield* reader(hub, 208)
      yield* hub.publish(event(0))
      yield* slow.begun.await
      for (let n = 1; n < 200; n++) yield* hub.publish(event(n))
      for (let n = 200; n < 209; n++) yield* hub.publish(event(n, 1_000_000))
      slow.open.openUnsafe()
      yield* Fiber.join(slow.fiber)
      assert.deepStrictEqual(slow.seen, [0, 205, 206, 207, 208])
    })
  )
})
