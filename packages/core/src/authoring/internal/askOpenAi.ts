/**
 * One question to an OpenAI-compatible endpoint: settings, messages, request, retries, decoding.
 * What it says in errors never holds the key, nor a name and password in the URL.
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { HttpClient } from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { type AdapterFailed, adapterFailed, type Reply, type Request } from "../adapter/Contract.ts"
import type { OpenAiOptions } from "../adapter/OpenAi.ts"
import { RoundListener, type Services } from "../Conversation.ts"
import { chatMessages } from "./chatMessages.ts"
import { ofBody, ofStream, type Said } from "./openAiReply.ts"
import { type Miss, retrying } from "./retrying.ts"

const NAME = "openai"
/** So much of an answer that is no completion goes into the error. */
const EXCERPT_CHARACTERS = 300
const variable = (name: string, hint: string) =>
  Config.NonEmptyString(name).pipe(
    Effect.mapError(() => adapterFailed(NAME, `${name} is not set: ${hint}, and list it under env in nerve.yaml`))
  )

const settings = Effect.fnUntraced(function* (options: OpenAiOptions) {
  const baseUrl =
    options.baseUrl ??
    (yield* variable("OPENAI_BASE_URL", "set it to the endpoint's address, such as https://api.openai.com/v1"))
  const apiKey =
    options.apiKey !== undefined
      ? options.apiKey
      : Redacted.make(yield* variable("OPENAI_API_KEY", "set it to the endpoint's key"))
  const model = options.model ?? (yield* variable("OPENAI_MODEL", "set it to the name of a model"))
  const url = yield* Effect.try({
    try: () => new URL(`${baseUrl.replace(/\/+$/, "")}/chat/completions`),
    catch: () => adapterFailed(NAME, "its base URL (OPENAI_BASE_URL) is not a URL")
  })
  return { url, apiKey, model }
})

/** Milliseconds that a Retry-After header asks for: seconds, or a date. */
const retryAfter = (value: string | undefined, now: number): number | undefined => {
  if (value === undefined) return undefined
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000
  return Option.match(DateTime.make(value), {
    onNone: () => undefined,
    onSome: (date) => Math.max(0, DateTime.toEpochMillis(date) - now)
  })
}

const isTransient = (status: number): boolean => status === 408 || status === 425 || status === 429 || status >= 500

const isBroken = (reason: string): boolean => reason === "TransportError" || reason === "DecodeError"

export const askOpenAi = (options: OpenAiOptions, request: Request): Effect.Effect<Reply, AdapterFailed, Services> =>
  Effect.gen(function* () {
    const client = yield* HttpClient
    const { apiKey, model, url } = yield* settings(options)
    const { heard, spent } = yield* RoundListener
    const streamed = options.stream ?? true
    const timeout = Duration.fromInputUnsafe(options.timeout ?? (streamed ? "10 minutes" : "2 minutes"))
    const idle = Duration.fromInputUnsafe(options.idleTimeout ?? "1 minute")
    const where = `${url.protocol}//${url.host}${url.pathname}`

    /** An excerpt of what the endpoint said, on one line; an endpoint may repeat the key it was sent. */
    const excerpt = (body: string): string => {
      const secrets = [apiKey === null ? "" : Redacted.value(apiKey), url.password].filter((secret) => secret !== "")
      const clean = secrets.reduce((text, secret) => text.replaceAll(secret, "<redacted>"), body)
      return clean.replace(/\s+/g, " ").trim().slice(0, EXCERPT_CHARACTERS)
    }
    const miss = (message: string, retryable: boolean, afterMs?: number): Miss => ({
      failed: adapterFailed(NAME, message, retryable),
      afterMs
    })

    const post = HttpClientRequest.post(url).pipe(
      streamed ? HttpClientRequest.accept("text/event-stream, application/json") : HttpClientRequest.acceptJson,
      apiKey === null ? (self) => self : HttpClientRequest.bearerToken(apiKey),
      HttpClientRequest.bodyJsonUnsafe({
        model,
        messages: chatMessages(request, options.system),
        ...(streamed ? { stream: true, stream_options: { include_usage: true } } : {}),
        ...(options.temperature === undefined ? {} : { temperature: options.temperature })
      })
    )

    const reply = (said: Said): Effect.Effect<Reply, Miss> => {
      switch (said._tag) {
        case "Text":
          return Effect.succeed({ content: said.content, ...(said.usage === undefined ? {} : { usage: said.usage }) })
        case "NoText":
          if (said.usage !== undefined) spent(said.usage)
          return Effect.fail(miss(`${where} sent a completion without text`, false))
        case "Unusable":
          return Effect.fail(miss(`${where} sent what is no chat completion: ${excerpt(said.excerpt)}`, said.retryable))
        case "Silent":
          return Effect.fail(miss(`${where} was silent for ${Duration.format(idle)}`, true))
      }
    }

    const read = Effect.fnUntraced(function* (response: HttpClientResponse) {
      if (response.status < 200 || response.status > 299) {
        const body = yield* response.text
        const afterMs = retryAfter(response.headers["retry-after"], yield* Clock.currentTimeMillis)
        return yield* Effect.fail(
          miss(`${where} answered ${response.status}: ${excerpt(body)}`, isTransient(response.status), afterMs)
        )
      }
      const isStream = response.headers["content-type"]?.includes("text/event-stream") === true
      return yield* Effect.flatMap(
        isStream
          ? ofStream(response, { price: options.price, idle, heard })
          : Effect.map(response.text, (body) => ofBody(body, options.price)),
        reply
      )
    })

    const attempt = client.execute(post).pipe(
      Effect.flatMap(read),
      Effect.catchTag("HttpClientError", (error) =>
        // Only the reason's name: the error holds the request, and that its headers.
        Effect.fail(miss(`${where} could not be reached (${error.reason._tag})`, isBroken(error.reason._tag)))
      ),
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () => Effect.fail(miss(`${where} gave no answer within ${Duration.format(timeout)}`, true))
      })
    )

    return yield* retrying(attempt, options)
  })
