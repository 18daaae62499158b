/**
 * Names the moments at which a daemon may be told to die, for the proof of crash points: before and after
 * each entry of the log is durable (`before-workflow-started`, `after-workflow-started`, …), and each
 * boundary of archive and blobs (`day-written`, …). See `crashPoint`.
 */
import type { LogInput } from "@nerve/core/domain/LogEntry"
import { AtBoundary } from "@nerve/runtime/log/Boundary"
import { LogStore } from "@nerve/runtime/log/LogStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { crashAt, isArmed } from "../crashPoint.ts"

const passAll = (when: "before" | "after", inputs: ReadonlyArray<LogInput>): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const { source, type } of inputs) crashAt(`${when}-${source}-${type}`)
  })

const around = (store: LogStore["Service"]): LogStore["Service"] => {
  const between = <A, E>(inputs: ReadonlyArray<LogInput>, append: Effect.Effect<A, E>) =>
    passAll("before", inputs).pipe(
      Effect.andThen(append),
      Effect.tap(() => passAll("after", inputs))
    )
  return {
    ...store,
    append: (input) => between([input], store.append(input)),
    appendAll: (inputs) => between(inputs, store.appendAll(inputs))
  }
}

/** The store that the layer makes, with the moments named; as it is where nobody asks for one. */
export const layerLog = <A, E, R>(layer: Layer.Layer<A | LogStore, E, R>): Layer.Layer<A | LogStore, E, R> =>
  isArmed
    ? Layer.effectContext(
        Effect.map(Layer.build(layer), (context) =>
          Context.add(context, LogStore, around(Context.get(context, LogStore)))
        )
      )
    : layer

/** The boundaries of archive and blobs. */
export const layerBoundaries: Layer.Layer<never> = isArmed
  ? Layer.succeed(AtBoundary, (boundary) => Effect.sync(() => crashAt(boundary)))
  : Layer.empty
