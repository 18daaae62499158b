/**
 * A log that no secret reaches: what is appended is cleaned first, whoever appends it and whichever
 * store is below. A thread goes on with what was stored, so it is the same after a restart.
 */
import type { LogInput } from "@nerve/core/domain/LogEntry"
import type { TickInput } from "@nerve/core/domain/Tick"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import { TickHistory } from "../sense/TickHistory.ts"
import { LogStore } from "./LogStore.ts"

/** The log below, with `redact` (see `Redaction.make`) applied to every payload. */
export const layer = (redact: (value: Schema.Json) => Schema.Json): Layer.Layer<LogStore, never, LogStore> => {
  const clean = (input: LogInput): LogInput => ({ ...input, payload: redact(input.payload) })
  return Layer.effect(
    LogStore,
    Effect.map(LogStore, (store) => ({
      ...store,
      append: (input) => store.append(clean(input)),
      appendAll: (inputs) => store.appendAll(inputs.map(clean))
    }))
  )
}

/** The history of ticks below, with `redact` applied to whatever user code has said. */
export const layerTicks = (
  redact: (value: Schema.Json) => Schema.Json
): Layer.Layer<TickHistory, never, TickHistory> => {
  const text = (value: string): string => {
    const cleaned = redact(value)
    return typeof cleaned === "string" ? cleaned : value
  }
  const clean = (tick: TickInput): TickInput => ({
    ...tick,
    detail: tick.detail === null ? null : text(tick.detail),
    lines: tick.lines.map(({ fields, level, message }) => ({
      level,
      message: text(message),
      fields: Object.fromEntries(Object.entries(fields).map(([key, value]) => [text(key), redact(value)]))
    }))
  })
  return Layer.effect(
    TickHistory,
    Effect.map(TickHistory, (history) => ({
      ...history,
      recordUnsafe: (tick) => history.recordUnsafe(tick.detail === null && tick.lines.length === 0 ? tick : clean(tick))
    }))
  )
}
