/** Asks again where that may help: what the endpoint asks for between two tries, else growing waits. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { AdapterFailed } from "../adapter/Contract.ts"

const FIRST_RETRY_MS = 500

/** An attempt that failed. */
export interface Miss {
  readonly failed: AdapterFailed
  /** Milliseconds that the endpoint asks for before the next one. */
  readonly afterMs: number | undefined
}

/** The attempt's answer, or the last try's failure. */
export const retrying = <A, R>(
  attempt: Effect.Effect<A, Miss, R>,
  options: {
    /** 3 unless told. */
    readonly retries?: number
    /** 30 seconds unless told. */
    readonly maxRetryDelay?: Duration.Input
  }
): Effect.Effect<A, AdapterFailed, R> => {
  const retries = options.retries ?? 3
  const maxDelayMs = Duration.toMillis(Duration.fromInputUnsafe(options.maxRetryDelay ?? "30 seconds"))
  const ask = (tried: number): Effect.Effect<A, AdapterFailed, R> =>
    Effect.catch(attempt, ({ afterMs, failed }) =>
      !failed.retryable || tried >= retries
        ? Effect.fail(failed)
        : Effect.andThen(Effect.sleep(Math.min(afterMs ?? FIRST_RETRY_MS * 2 ** tried, maxDelayMs)), ask(tried + 1))
    )
  return ask(0)
}
