/**
 * The adapter for OpenAI-compatible endpoints (W3): anything that answers `POST …/chat/completions`,
 * a local model server included.
 *
 * How it asks is in `internal/askOpenAi.ts`, which is loaded with the first run: starting a worker
 * does not pay for it.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { Price } from "../../domain/Usage.ts"
import { type Adapter, make } from "./Contract.ts"

/** Whatever is absent is read from the environment (the ConfigProvider) when the adapter runs. */
export interface OpenAiOptions {
  /** With the version, without `/chat/completions`: `http://127.0.0.1:11434/v1`. OPENAI_BASE_URL. */
  readonly baseUrl?: string
  /** OPENAI_API_KEY. Null for an endpoint that asks for none. */
  readonly apiKey?: Redacted.Redacted<string> | null
  /** OPENAI_MODEL. */
  readonly model?: string
  /** Bound of one attempt. 2 minutes unless told, 10 where the answer comes as a stream. */
  readonly timeout?: Duration.Input
  /**
   * Whether the answer is asked for piece by piece, so that a long one can be watched and a stuck one is
   * told from a slow one. True unless told. An endpoint that answers in one piece all the same is fine.
   */
  readonly stream?: boolean
  /** Longest silence in a streamed answer. 1 minute unless told. */
  readonly idleTimeout?: Duration.Input
  /** What tokens cost, for an endpoint that does not say what an answer cost. */
  readonly price?: Price
  /** The endpoint's own unless told. */
  readonly temperature?: number
  /** A system message that goes first. */
  readonly system?: string
  /** How often a 408, 425, 429 or 5xx, or a broken connection, is tried again. 3 unless told. */
  readonly retries?: number
  /** Longest wait before a retry, also when Retry-After asks for more. 30 seconds unless told. */
  readonly maxRetryDelay?: Duration.Input
}

/**
 * Asks an OpenAI-compatible endpoint. The thread's prompt and steps become messages: the asking
 * role's own steps are the assistant's, all others the user's; the role's prompt comes last.
 */
export const openai = (options: OpenAiOptions = {}): Adapter =>
  make("openai", (request) =>
    Effect.flatMap(
      Effect.promise(() => import("../internal/askOpenAi.ts")),
      (module) => module.askOpenAi(options, request)
    )
  )

/** The default: all settings from OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL. */
export const openaiFromEnv: Adapter = openai()
