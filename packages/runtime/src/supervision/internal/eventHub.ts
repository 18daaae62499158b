/**
 * Events for any number of readers, each with a queue of its own: one that falls behind, by number or by what the events
 * hold, loses the oldest and holds up nobody.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as outputQueue from "./outputQueue.ts"

export interface EventHub<A> {
  readonly publish: (event: A) => Effect.Effect<void>
  /** What is published from its start on. */
  readonly stream: Stream.Stream<A>
}

/** One that keeps so many events for a slow reader. */
export const make = <A extends object>(capacity: number): EventHub<A> => {
  const readers = new Set<outputQueue.OutputQueue<A>>()
  const join = Effect.acquireRelease(
    Effect.tap(outputQueue.make<A>(capacity), (queue) => Effect.sync(() => void readers.add(queue))),
    (queue) => Effect.sync(() => void readers.delete(queue))
  )
  return {
    publish: (event) =>
      Effect.sync(() => {
        for (const reader of readers) reader.offerUnsafe(event)
      }),
    stream: Stream.unwrap(Effect.map(join, (queue) => Stream.fromEffectRepeat(queue.take)))
  }
}
