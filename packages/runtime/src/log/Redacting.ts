/**
 * A log that no secret reaches: what is appended is cleaned first, whoever appends it and whichever
 * store is below. A thread goes on with what was stored, so it is the same after a restart.
 */
import type { LogInput } from "@nerve/core/domain/LogEntry"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
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
