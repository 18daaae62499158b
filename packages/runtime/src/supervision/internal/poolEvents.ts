/**
 * The events of a pool, told to `onEvent` one at a time and to any number of readers. What was printed before an exit
 * is told before the exit.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Stream from "effect/Stream"
import type { PoolEvent } from "../PoolEvent.ts"
import * as eventHub from "./eventHub.ts"
import * as outputQueue from "./outputQueue.ts"

/** Events kept for a slow reader of the stream. */
const readerBuffer = 1024

/** Output lines and events of the pool kept while `onEvent` is busy; the oldest are dropped. */
const outputBuffer = 4096

export interface PoolEvents {
  /** Tells it after what was printed before, and waits until it has been told. */
  readonly emit: (event: PoolEvent) => Effect.Effect<void>
  /** Tells it as soon as may be. */
  readonly emitUnsafe: (event: PoolEvent, source?: outputQueue.Source) => void
  /** Tells what has not been told yet. */
  readonly flush: Effect.Effect<void>
  readonly stream: Stream.Stream<PoolEvent>
}

/** Its fibers live in the scope. */
export const make = Effect.fnUntraced(function* (
  pool: string,
  onEvent: ((event: PoolEvent) => Effect.Effect<void>) | undefined,
  scope: Scope.Scope
) {
  const hub = eventHub.make<PoolEvent>(readerBuffer)
  const outputs = yield* outputQueue.make<PoolEvent>(outputBuffer)
  const printed = yield* Queue.sliding<void>(1)
  const telling = Semaphore.makeUnsafe(1)

  const listen = (event: PoolEvent) =>
    Effect.catchCause(
      Effect.suspend(() => onEvent?.(event) ?? Effect.void),
      (cause) => Effect.logError(`onEvent of pool ${pool} died`, Cause.pretty(cause))
    )
  const tell = (event: PoolEvent) =>
    onEvent === undefined ? hub.publish(event) : Effect.andThen(hub.publish(event), listen(event))

  const tellOutputs = outputs.forEachNow(tell)
  const flush = telling.withPermit(tellOutputs)
  yield* Effect.forkIn(Effect.forever(Effect.andThen(Queue.take(printed), flush)), scope)
  yield* Effect.forkIn(outputs.watch, scope)
  const events: PoolEvents = {
    emit: (event) => telling.withPermit(Effect.andThen(tellOutputs, tell(event))),
    emitUnsafe: (event, source) => {
      outputs.offerUnsafe(event, source)
      Queue.offerUnsafe(printed, undefined)
    },
    flush,
    stream: hub.stream
  }
  return events
})
