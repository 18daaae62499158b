/** The adapter of `effect/ai` models (W3), against a model that the test plays. */
import { Adapter } from "@nerve/core"
import { it } from "@effect/vitest"
import { Data, Effect, Layer, Stream } from "effect"
import { AiError, LanguageModel, type Prompt, type Response } from "effect/ai"
import { expect } from "vitest"
import { conversation, listener, services } from "../support.ts"

const request: Adapter.Request = {
  role: "analyst",
  prompt: "judge",
  context: conversation([
    ["collector", "load 9"],
    ["analyst", "too high"]
  ])
}

type Part = Response.StreamPartEncoded

const says = (...texts: ReadonlyArray<string>): ReadonlyArray<Part> => [
  { type: "text-start", id: "1" },
  ...texts.map((delta): Part => ({ type: "text-delta", id: "1", delta })),
  { type: "text-end", id: "1" },
  {
    type: "finish",
    reason: "stop",
    usage: {
      inputTokens: { uncached: 10, total: 10, cacheRead: undefined, cacheWrite: undefined },
      outputTokens: { total: 5, text: 5, reasoning: undefined }
    },
    response: undefined
  }
]

class NoKey extends Data.TaggedError("NoKey")<{ readonly message: string }> {}

/** A model that answers by how often it was asked, and keeps the prompts. */
const playing = (answer: (nth: number) => Stream.Stream<Part, AiError.AiError>) => {
  const prompts: Array<Prompt.Prompt> = []
  const model = Layer.effect(
    LanguageModel.LanguageModel,
    LanguageModel.make({
      generateText: () => Effect.die("it is asked for a stream"),
      streamText: ({ prompt }) => {
        prompts.push(prompt)
        return answer(prompts.length)
      }
    })
  )
  return { model, prompts }
}

const overloaded = (retryable: boolean) =>
  AiError.make({
    module: "Test",
    method: "streamText",
    reason: retryable
      ? new AiError.RateLimitError({})
      : new AiError.InvalidRequestError({ description: "no such model" })
  })

it.layer(services(), { excludeTestServices: true })("Adapter.languageModel", (it) => {
  it.effect("asks the model with the conversation, hears its text and counts its tokens", () =>
    Effect.gen(function* () {
      const { model, prompts } = playing(() => Stream.fromIterable(says("fi", "ne")))
      const heard = listener()
      const price = { inputPerMillion: 1, outputPerMillion: 2 }
      const reply = yield* Adapter.languageModel({ model, system: "be brief", price }).run(request).pipe(heard.provide)
      expect(reply).toEqual({
        content: "fine",
        usage: { calls: 1, inputTokens: 10, outputTokens: 5, costUsd: 0.00002 }
      })
      expect(heard.texts).toEqual(["fi", "ne"])
      expect(heard.usages).toEqual([reply.usage])
      expect(prompts[0]?.content.map((message) => message.role)).toEqual(["system", "user", "assistant", "user"])
    })
  )

  it.effect("asks again what the model calls retryable, and nothing else", () =>
    Effect.gen(function* () {
      const limited = playing((nth) => (nth < 3 ? Stream.fail(overloaded(true)) : Stream.fromIterable(says("fine"))))
      const reply = yield* Adapter.languageModel({ model: limited.model, maxRetryDelay: 5 }).run(request)
      expect(reply.content).toBe("fine")
      expect(limited.prompts).toHaveLength(3)

      const refusing = playing(() => Stream.fail(overloaded(false)))
      const error = yield* Effect.flip(Adapter.languageModel({ name: "claude", model: refusing.model }).run(request))
      expect(error).toMatchObject({ _tag: "AdapterFailed", adapter: "claude", retryable: false })
      expect(error.message).toContain("no such model")
      expect(refusing.prompts).toHaveLength(1)
    })
  )

  it.effect("gives up a model that falls silent", () =>
    Effect.gen(function* () {
      const { model } = playing(() => Stream.concat(Stream.fromIterable(says("fi").slice(0, 2)), Stream.never))
      const error = yield* Effect.flip(Adapter.languageModel({ model, retries: 0, idleTimeout: 100 }).run(request))
      expect(error.message).toBe("language-model: was silent for 100ms")
    })
  )

  it.effect("says when the model cannot be set up", () =>
    Effect.gen(function* () {
      const model = Layer.effect(LanguageModel.LanguageModel, Effect.fail(new NoKey({ message: "no key" })))
      const error = yield* Effect.flip(Adapter.languageModel({ model }).run(request))
      expect(error.message).toMatch(/^language-model: the model could not be set up: .*no key/)
    })
  )
})
