/**
 * Events that a slow consumer has not been told of yet: bounded by their number and by what they hold, for one log line
 * may be as long as a frame. When it is full the oldest go.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"

/** Characters that all together may hold. */
const maxCharacters = 4 * 1024 * 1024

export interface OutputQueue<A> {
  readonly offerUnsafe: (event: A) => void
  readonly take: Effect.Effect<A, Cause.Done>
  /** All that is in it. */
  readonly clear: Effect.Effect<ReadonlyArray<A>>
  /** What is in it may still be taken. */
  readonly end: Effect.Effect<unknown>
}

/** What an event holds, roughly: its line and its fields. */
const charactersOf = (event: object): number => {
  const line = "line" in event && typeof event.line === "string" ? event.line.length : 0
  const fields = "fields" in event && event.fields !== null ? lengthOf(event.fields) : 0
  return line + fields
}

const lengthOf = (fields: unknown): number => {
  try {
    return JSON.stringify(fields).length
  } catch {
    // Nested too deep to be measured: as much as a frame can be.
    return maxCharacters
  }
}

/** An empty one that takes so many events. */
export const make = <A extends object>(capacity: number): Effect.Effect<OutputQueue<A>> =>
  Effect.map(Queue.unbounded<readonly [event: A, characters: number], Cause.Done>(), (queue) => {
    let held = 0
    /** Takes the oldest off. */
    const shift = (): A | undefined => {
      const oldest = Queue.takeUnsafe(queue)
      if (oldest?._tag !== "Success") return undefined
      held -= oldest.value[1]
      return oldest.value[0]
    }
    const isFullFor = (characters: number): boolean =>
      Queue.sizeUnsafe(queue) >= capacity || held + characters > maxCharacters
    return {
      offerUnsafe: (event) => {
        const characters = charactersOf(event)
        while (isFullFor(characters) && shift() !== undefined);
        if (Queue.offerUnsafe(queue, [event, characters])) held += characters
      },
      take: Effect.map(Queue.take(queue), ([event, characters]) => {
        held -= characters
        return event
      }),
      clear: Effect.sync(() => {
        const all: Array<A> = []
        for (let next = shift(); next !== undefined; next = shift()) all.push(next)
        return all
      }),
      end: Queue.end(queue)
    }
  })
