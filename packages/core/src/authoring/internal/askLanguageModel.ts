/**
 * One question to a language model of `effect/ai`: prompt, stream, usage, retries.
 */
import { type AiError, isAiError } from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ofCall, type Usage } from "../../domain/Usage.ts"
import { type AdapterFailed, adapterFailed, type Reply, type Request } from "../adapter/Contract.ts"
import type { LanguageModelOptions } from "../adapter/LanguageModel.ts"
import { RoundListener, type Services } from "../Conversation.ts"
import { chatMessages } from "./chatMessages.ts"
import { type Miss, retrying } from "./retrying.ts"

const encodeUnknown = Schema.encodeUnknownSync(Schema.fromJsonString(Schema.Unknown))

export const askLanguageModel = (
  options: LanguageModelOptions,
  request: Request
): Effect.Effect<Reply, AdapterFailed, Services> =>
  Effect.gen(function* () {
    const name = options.name ?? "language-model"
    const { heard } = yield* RoundListener
    const timeout = Duration.fromInputUnsafe(options.timeout ?? "10 minutes")
    const idle = Duration.fromInputUnsafe(options.idleTimeout ?? "1 minute")
    const miss = (message: string, retryable: boolean, afterMs?: number): Miss => ({
      failed: adapterFailed(name, message, retryable),
      afterMs
    })
    const ofError = (error: AiError): Miss =>
      miss(
        error.message,
        error.isRetryable,
        error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter)
      )

    const attempt = Effect.gen(function* () {
      const model = yield* LanguageModel.LanguageModel
      let content = ""
      let usage: Usage | undefined
      yield* model.streamText({ prompt: chatMessages(request, options.system) }).pipe(
        Stream.mapError(ofError),
        Stream.timeoutOrElse({
          duration: idle,
          orElse: () => Stream.fail(miss(`was silent for ${Duration.format(idle)}`, true))
        }),
        Stream.runForEach((part): Effect.Effect<void, Miss> => {
          switch (part.type) {
            case "text-delta":
              return Effect.sync(() => {
                content += part.delta
                heard(part.delta)
              })
            case "error":
              return Effect.fail(isAiError(part.error) ? ofError(part.error) : miss(encodeUnknown(part.error), true))
            case "finish":
              return Effect.sync(() => {
                usage = usageOf(part.usage, options)
              })
            default:
              return Effect.void
          }
        })
      )
      if (content === "") return yield* Effect.fail(miss("answered without text", false))
      return { content, ...(usage === undefined ? {} : { usage }) }
    }).pipe(
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () => Effect.fail(miss(`gave no answer within ${Duration.format(timeout)}`, true))
      })
    )
    return yield* retrying(attempt, options).pipe(
      Effect.provide(options.model),
      Effect.catch((error) =>
        // Anything else is the layer's own error.
        error instanceof Error && "_tag" in error && error._tag === "AdapterFailed"
          ? Effect.fail(error as AdapterFailed)
          : Effect.fail(adapterFailed(name, `the model could not be set up: ${Cause.pretty(Cause.fail(error))}`))
      )
    )
  })

const usageOf = (usage: Response.Usage, { price }: LanguageModelOptions): Usage =>
  ofCall({ inputTokens: usage.inputTokens.total ?? 0, outputTokens: usage.outputTokens.total ?? 0, price })
