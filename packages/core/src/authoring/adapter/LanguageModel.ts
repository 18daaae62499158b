/**
 * The adapter for any language model of Effect's own (`effect/ai`): OpenAI, Anthropic, Bedrock, Google
 * and whatever else has a `LanguageModel` layer.
 *
 * ```ts
 * const claude = Adapter.languageModel({
 *   name: "claude",
 *   model: AnthropicLanguageModel.layer({ model: "claude-sonnet" }).pipe(Layer.provide(client))
 * })
 * ```
 *
 * How it asks is in `internal/askLanguageModel.ts`, which is loaded with the first run.
 */
import type { LanguageModel } from "effect/ai/LanguageModel"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Price } from "../../domain/Usage.ts"
import type { Services } from "../Conversation.ts"
import { type Adapter, make } from "./Contract.ts"

export interface LanguageModelOptions {
  /** Name of the adapter in messages; `language-model` unless told. */
  readonly name?: string
  /**
   * The model. It may ask for what an Effect role may ask for, the HTTP client say. Built for each
   * question, unless it is a layer that the program shares.
   */
  readonly model: Layer.Layer<LanguageModel, unknown, Services>
  /** A system message that goes first. */
  readonly system?: string
  /** Bound of one attempt. 10 minutes unless told. */
  readonly timeout?: Duration.Input
  /** Longest silence in the answer. 1 minute unless told. */
  readonly idleTimeout?: Duration.Input
  /** How often an error that the model calls retryable is tried again. 3 unless told. */
  readonly retries?: number
  /** Longest wait before a retry, also when the provider asks for more. 30 seconds unless told. */
  readonly maxRetryDelay?: Duration.Input
  /** What tokens cost: `effect/ai` knows how many, not for how much. */
  readonly price?: Price
}

/** Asks a model of `effect/ai`, and takes its answer piece by piece. */
export const languageModel = (options: LanguageModelOptions): Adapter =>
  make(options.name ?? "language-model", (request) =>
    Effect.flatMap(
      Effect.promise(() => import("../internal/askLanguageModel.ts")),
      (module) => module.askLanguageModel(options, request)
    )
  )
