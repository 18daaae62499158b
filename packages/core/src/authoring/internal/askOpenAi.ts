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
import * as Schema from "effect/Schema"
import { type AdapterFailed, adapterFailed, type Reply, type Request } from "../adapter/Contract.ts"
import type { OpenAiOptions } from "../adapter/OpenAi.ts"
import type { Services } from "../Conversation.ts"

const NAME = "openai"
const FIRST_RETRY_MS = 500
/** So much of an answer that is no completion goes into the error. */
const EXCERPT_CHARACTERS = 300
/** A completion is text for a conversation; an endpoint that sends more than this is not one. */
const MAX_BODY_CHARACTERS = 4_000_000

const Completion = Schema.fromJsonString(
  Schema.Struct({
    choices: Schema.NonEmptyArray(
      Schema.Struct({
        message: Schema.Struct({ content: Schema.NullOr(Schema.String) })
      })
    )
  })
)
const decodeCompletion = Schema.decodeUnknownOption(Completion)

interface Message {
  readonly role: "system" | "user" | "assistant"
  readonly content: string
}

/**
 * The conversation as chat messages. Neighbours of one role are joined: some endpoints insist that
 * user and assistant take turns.
 */
export const messagesOf = (request: Request, system: string | undefined): ReadonlyArray<Message> => {
  const messages: Array<Message> = []
  const say = (role: Message["role"], content: string) => {
    const before = messages.at(-1)
    if (before?.role !== role) return void messages.push({ role, content })
    messages[messages.length - 1] = { role, content: `${before.content}\n\n${content}` }
  }
  if (system !== undefined) say("system", system)
  say("user", request.context.start.prompt)
  for (const step of request.context.steps) {
    if (step.role === request.role) say("assistant", step.content)
    else say("user", `[${step.role}]\n${step.content}`)
  }
  say("user", request.prompt)
  return messages
}

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

/** An attempt that failed; `afterMs` is what Retry-After asked for. */
interface Miss {
  readonly failed: AdapterFailed
  readonly afterMs: number | undefined
}

export const askOpenAi = (options: OpenAiOptions, request: Request): Effect.Effect<Reply, AdapterFailed, Services> =>
  Effect.gen(function* () {
    const client = yield* HttpClient
    const { apiKey, model, url } = yield* settings(options)
    const timeout = Duration.fromInputUnsafe(options.timeout ?? "2 minutes")
    const retries = options.retries ?? 3
    const maxDelayMs = Duration.toMillis(Duration.fromInputUnsafe(options.maxRetryDelay ?? "30 seconds"))
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
      HttpClientRequest.acceptJson,
      apiKey === null ? (self) => self : HttpClientRequest.bearerToken(apiKey),
      HttpClientRequest.bodyJsonUnsafe({
        model,
        messages: messagesOf(request, options.system),
        ...(options.temperature === undefined ? {} : { temperature: options.temperature })
      })
    )

    const read = Effect.fnUntraced(function* (response: HttpClientResponse) {
      const body = yield* response.text
      if (response.status < 200 || response.status > 299) {
        const afterMs = retryAfter(response.headers["retry-after"], yield* Clock.currentTimeMillis)
        return yield* Effect.fail(
          miss(`${where} answered ${response.status}: ${excerpt(body)}`, isTransient(response.status), afterMs)
        )
      }
      const completion = body.length > MAX_BODY_CHARACTERS ? Option.none() : decodeCompletion(body)
      if (Option.isNone(completion)) {
        return yield* Effect.fail(miss(`${where} sent what is no chat completion: ${excerpt(body)}`, false))
      }
      const { content } = completion.value.choices[0].message
      if (content === null) return yield* Effect.fail(miss(`${where} sent a completion without text`, false))
      return { content }
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

    const ask = (tried: number): Effect.Effect<Reply, AdapterFailed> =>
      Effect.catch(attempt, ({ afterMs, failed }) =>
        !failed.retryable || tried >= retries
          ? Effect.fail(failed)
          : Effect.andThen(Effect.sleep(Math.min(afterMs ?? FIRST_RETRY_MS * 2 ** tried, maxDelayMs)), ask(tried + 1))
      )
    return yield* ask(0)
  })
