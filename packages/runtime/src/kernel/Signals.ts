/**
 * Signals as the log has them. Each carries the key under which its sense's database holds it: that is how
 * a sense knows whether its last one was recorded before somebody died.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { LogStore, type LogStoreError } from "../log/LogStore.ts"

/** How long to wait for a log that cannot be read just now. */
const retryEvery = "5 seconds"

/**
 * The key of a sense's last signal; null when there is none, or what the log has of it is damaged. Waits for
 * a log that cannot be read for now: a wrong answer would have a signal recorded twice.
 */
export const lastKey = Effect.fnUntraced(
  function* (sense: string): Effect.fn.Return<string | null, LogStoreError, LogStore> {
    const store = yield* LogStore
    const [last] = yield* store.query({ source: "sense", type: "signal", refId: sense, order: "desc", limit: 1 })
    const payload = last?.payload
    const key = typeof payload === "object" && payload !== null && "key" in payload ? payload.key : null
    return typeof key === "string" ? key : null
  },
  Effect.tapError((error) => Effect.logWarning(`the last signal cannot be looked up: ${error.message}`)),
  Effect.retry({ while: (error: LogStoreError) => error.permanent !== true, schedule: Schedule.spaced(retryEvery) }),
  Effect.orElseSucceed(() => null)
)
