/**
 * Reads what an OpenAI-compatible endpoint answers: a completion in one piece, or a stream of events
 * (`text/event-stream`) whose pieces are put together. Both come from outside: Schema decodes them.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import type { HttpClientError } from "effect/http/HttpClientError"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { ofCall, type Price, type Usage } from "../../domain/Usage.ts"

/** A completion is text for a conversation; an endpoint that sends more than this is not one. */
export const MAX_BODY_CHARACTERS = 4_000_000

const Tokens = Schema.Struct({
  prompt_tokens: Schema.optionalKey(Schema.Int),
  completion_tokens: Schema.optionalKey(Schema.Int),
  /** US dollars; some endpoints say it. */
  cost: Schema.optionalKey(Schema.Finite)
})

const Completion = Schema.fromJsonString(
  Schema.Struct({
    choices: Schema.NonEmptyArray(Schema.Struct({ message: Schema.Struct({ content: Schema.NullOr(Schema.String) }) })),
    usage: Schema.optionalKey(Schema.NullOr(Tokens))
  })
)

const Piece = Schema.fromJsonString(
  Schema.Struct({
    choices: Schema.optionalKey(
      Schema.Array(
        Schema.Struct({
          delta: Schema.optionalKey(Schema.Struct({ content: Schema.optionalKey(Schema.NullOr(Schema.String)) })),
          finish_reason: Schema.optionalKey(Schema.NullOr(Schema.String))
        })
      )
    ),
    usage: Schema.optionalKey(Schema.NullOr(Tokens)),
    /** Some endpoints say in the middle of a stream that they can't go on. */
    error: Schema.optionalKey(Schema.Json)
  })
)

const decodeCompletion = Schema.decodeUnknownOption(Completion)
const decodePiece = Schema.decodeUnknownOption(Piece)

const usageOf = (said: typeof Tokens.Type | null | undefined, price: Price | undefined): Usage | undefined =>
  said === null || said === undefined
    ? undefined
    : ofCall({
        inputTokens: Math.max(0, said.prompt_tokens ?? 0),
        outputTokens: Math.max(0, said.completion_tokens ?? 0),
        costUsd: said.cost,
        price
      })

/** What was read. */
export type Said =
  | { readonly _tag: "Text"; readonly content: string; readonly usage: Usage | undefined }
  | { readonly _tag: "NoText"; readonly usage: Usage | undefined }
  /** It is no completion. `retryable`: it broke off. */
  | { readonly _tag: "Unusable"; readonly excerpt: string; readonly retryable: boolean }
  | { readonly _tag: "Silent" }

/** A completion in one piece. Pure. */
export const ofBody = (body: string, price: Price | undefined): Said => {
  const completion = body.length > MAX_BODY_CHARACTERS ? Option.none() : decodeCompletion(body)
  if (Option.isNone(completion)) return { _tag: "Unusable", excerpt: body, retryable: false }
  const { content } = completion.value.choices[0].message
  const usage = usageOf(completion.value.usage, price)
  return content === null ? { _tag: "NoText", usage } : { _tag: "Text", content, usage }
}

/** A completion that comes in pieces, each told to `heard`. `Silent` when none came for `idle`. */
export const ofStream = (
  response: HttpClientResponse,
  options: {
    readonly price: Price | undefined
    readonly idle: Duration.Duration
    readonly heard: (text: string) => void
  }
): Effect.Effect<Said, HttpClientError> =>
  Effect.suspend(() => {
    let content = ""
    let usage: Usage | undefined
    let isOver = false
    let unusable: Extract<Said, { _tag: "Unusable" }> | undefined
    const refuse = (excerpt: string, retryable: boolean): boolean => {
      unusable = { _tag: "Unusable", excerpt, retryable }
      return false
    }
    /** Whether to read on. */
    const take = (data: string): boolean => {
      if (data === "[DONE]") {
        isOver = true
        return false
      }
      const piece = decodePiece(data)
      if (Option.isNone(piece)) return refuse(data, false)
      const { choices, error } = piece.value
      if (error !== undefined) return refuse(JSON.stringify(error), true)
      usage = usageOf(piece.value.usage, options.price) ?? usage
      const text = choices?.[0]?.delta?.content ?? ""
      isOver ||= typeof choices?.[0]?.finish_reason === "string"
      content += text
      if (content.length > MAX_BODY_CHARACTERS) return refuse(content, false)
      if (text !== "") options.heard(text)
      return true
    }
    const events: Array<string> = []
    const parser = Sse.makeParser(
      (event) => {
        // An endpoint may say when to connect again; nobody does.
        if (event._tag === "Event" && event.data !== "") events.push(event.data)
      },
      { maxEventSize: MAX_BODY_CHARACTERS }
    )
    const takeText = (text: string): boolean => {
      const tooLarge = parser.feed(text)
      return events.splice(0).every(take) && (tooLarge === undefined || refuse(tooLarge.message, false))
    }
    return response.stream.pipe(
      Stream.decodeText(),
      Stream.timeoutOrElse({ duration: options.idle, orElse: () => Stream.fail("silent" as const) }),
      Stream.runForEachWhile((text) => Effect.sync(() => takeText(text))),
      Effect.as<Said | undefined>(undefined),
      Effect.catchIf(
        (error) => error === "silent",
        () => Effect.succeed<Said>({ _tag: "Silent" })
      ),
      Effect.map((silent): Said => {
        if (silent !== undefined) return silent
        if (unusable !== undefined) return unusable
        if (!isOver) return { _tag: "Unusable", excerpt: `it broke off after: ${content.slice(-200)}`, retryable: true }
        return content === "" ? { _tag: "NoText", usage } : { _tag: "Text", content, usage }
      })
    )
  })
