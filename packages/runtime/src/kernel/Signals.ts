/**
 * Signals as the log has them. Each carries the key under which its sense's database holds it: that is how
 * a sense knows whether its last one was recorded before somebody died.
 */
import * as Effect from "effect/Effect"
import { LogStore, type LogStoreError } from "../log/LogStore.ts"

/** The key of a sense's last signal; null when there is none, or the log cannot be read. */
export const lastKey = Effect.fnUntraced(
  function* (sense: string): Effect.fn.Return<string | null, LogStoreError, LogStore> {
    const store = yield* LogStore
    const [last] = yield* store.query({ source: "sense", type: "signal", refId: sense, order: "desc", limit: 1 })
    const payload = last?.payload
    const key = typeof payload === "object" && payload !== null && "key" in payload ? payload.key : null
    return typeof key === "string" ? key : null
  },
  Effect.catch((error) => Effect.as(Effect.logWarning(`the last signal cannot be looked up: ${error.message}`), null))
)
