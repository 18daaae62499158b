/** The adapter of OpenAI-compatible endpoints (W3), against a server on this machine. */
import { Adapter } from "@nerve/core"
import { it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Redacted } from "effect"
import { describe, expect } from "vitest"
import { completion, conversation, listener, pieces, send, sendEvents, server, services } from "../support.ts"

const KEY = "sk-very-secret-0123456789"

const request = (context = conversation()): Adapter.Request => ({ role: "analyst", prompt: "judge", context })

/** Against a real server on loopback, with waits so short that a test need not wait for them. */
const openai = (url: string, options: Partial<Adapter.OpenAiOptions> = {}) =>
  Adapter.openai({ baseUrl: url, apiKey: Redacted.make(KEY), model: "m", maxRetryDelay: 5, ...options })

const withEnvironment = (env: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(env))

it.layer(services(), { excludeTestServices: true })("Adapter.openai", (it) => {
  it.effect("asks for a chat completion and answers its text", () =>
    Effect.gen(function* () {
      const { received, url } = yield* server((_, response) => send(response, 200, completion("fine")))
      const reply = yield* openai(`${url}/`, { temperature: 0.2 }).run(request())
      expect(reply).toEqual({ content: "fine" })
      expect(received).toHaveLength(1)
      expect(received[0]?.url).toBe("/v1/chat/completions")
      expect(received[0]?.headers["authorization"]).toBe(`Bearer ${KEY}`)
      expect(received[0]?.body).toMatchObject({ model: "m", temperature: 0.2 })
    })
  )

  it.effect("tells the conversation as messages that take turns: its own steps are the assistant's", () =>
    Effect.gen(function* () {
      const { received, url } = yield* server((_, response) => send(response, 200, completion("fine")))
      const context = conversation([
        ["collector", "load 9"],
        ["analyst", "too high"],
        ["critic", "sure?"]
      ])
      yield* openai(url, { system: "be brief" }).run(request(context))
      expect(received[0]?.body).toEqual({
        model: "m",
        stream: true,
        stream_options: { include_usage: true },
        messages: [
          { role: "system", content: "be brief" },
          { role: "user", content: "look after it\n\n[collector]\nload 9" },
          { role: "assistant", content: "too high" },
          { role: "user", content: "[critic]\nsure?\n\njudge" }
        ]
      })
    })
  )

  it.effect("sends no key to an endpoint that asks for none", () =>
    Effect.gen(function* () {
      const { received, url } = yield* server((_, response) => send(response, 200, completion("fine")))
      yield* openai(url, { apiKey: null }).run(request())
      expect(received[0]?.headers).not.toHaveProperty("authorization")
    })
  )

  describe("settings from the environment", () => {
    it.effect("are read when it runs", () =>
      Effect.gen(function* () {
        const { received, url } = yield* server((_, response) => send(response, 200, completion("fine")))
        const env = { OPENAI_BASE_URL: url, OPENAI_API_KEY: KEY, OPENAI_MODEL: "from-env" }
        const reply = yield* Adapter.openaiFromEnv.run(request()).pipe(withEnvironment(env))
        expect(reply.content).toBe("fine")
        expect(received[0]?.body).toMatchObject({ model: "from-env" })
        expect(received[0]?.headers["authorization"]).toBe(`Bearer ${KEY}`)
      })
    )

    it.effect("are missed by name", () =>
      Effect.gen(function* () {
        const all = { OPENAI_BASE_URL: "http://127.0.0.1:9/v1", OPENAI_API_KEY: KEY, OPENAI_MODEL: "m" }
        for (const name of ["OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODEL"]) {
          const rest = Object.fromEntries(Object.entries(all).filter(([key]) => key !== name))
          const error = yield* Effect.flip(Adapter.openaiFromEnv.run(request()).pipe(withEnvironment(rest)))
          expect(error).toMatchObject({ _tag: "AdapterFailed", adapter: "openai", retryable: false })
          expect(error.message).toContain(`openai: ${name} is not set`)
        }
        const error = yield* Effect.flip(
          Adapter.openaiFromEnv.run(request()).pipe(withEnvironment({ ...all, OPENAI_BASE_URL: "nowhere" }))
        )
        expect(error.message).toContain("not a URL")
      })
    )
  })

  describe("retries", () => {
    it.effect("a 429, not before Retry-After says so", () =>
      Effect.gen(function* () {
        const { received, url } = yield* server((nth, response) =>
          nth === 1
            ? send(response, 429, { error: "slow down" }, { "retry-after": "1" })
            : send(response, 200, completion("fine"))
        )
        const [took, reply] = yield* Effect.timed(openai(url, { maxRetryDelay: "10 seconds" }).run(request()))
        expect(reply.content).toBe("fine")
        expect(received).toHaveLength(2)
        expect(Duration.toMillis(took)).toBeGreaterThanOrEqual(1000)
      })
    )

    it.effect("takes a date, and waits no longer than the bound", () =>
      Effect.gen(function* () {
        const { received, url } = yield* server((nth, response) =>
          nth < 3
            ? send(response, 503, "", { "retry-after": nth === 1 ? "Fri, 31 Dec 2100 23:59:59 GMT" : "86400" })
            : send(response, 200, completion("fine"))
        )
        const [took, reply] = yield* Effect.timed(openai(url).run(request()))
        expect(reply.content).toBe("fine")
        expect(received).toHaveLength(3)
        expect(Duration.toMillis(took)).toBeLessThan(5_000)
      })
    )

    it.effect("gives up after its retries, with the status and what was said", () =>
      Effect.gen(function* () {
        const { received, url } = yield* server((_, response) => send(response, 500, { error: "out of order" }))
        const error = yield* Effect.flip(openai(url, { retries: 2 }).run(request()))
        expect(received).toHaveLength(3)
        expect(error).toMatchObject({ _tag: "AdapterFailed", retryable: true })
        expect(error.message).toBe(`openai: ${url}/chat/completions answered 500: {"error":"out of order"}`)
      })
    )

    it.effect("a broken connection", () =>
      Effect.gen(function* () {
        const { received, url } = yield* server((nth, response) =>
          nth === 1 ? response.destroy() : send(response, 200, completion("fine"))
        )
        expect((yield* openai(url).run(request())).content).toBe("fine")
        expect(received).toHaveLength(2)
      })
    )

    it.effect("nothing else: a 401 is final", () =>
      Effect.gen(function* () {
        const { received, url } = yield* server((_, response) => send(response, 401, { error: "who are you" }))
        const error = yield* Effect.flip(openai(url).run(request()))
        expect(received).toHaveLength(1)
        expect(error.retryable).toBe(false)
      })
    )
  })

  it.effect("refuses what is no completion, and shows a little of it", () =>
    Effect.gen(function* () {
      const bodies = ["<html>gateway</html>", { choices: [] }, { choices: [{ message: {} }] }, completion(null)]
      for (const body of bodies) {
        const { received, url } = yield* server((_, response) => send(response, 200, body))
        const error = yield* Effect.flip(openai(url).run(request()))
        expect(error).toMatchObject({ _tag: "AdapterFailed", retryable: false })
        expect(error.message).toMatch(/sent (what is no chat completion|a completion without text)/)
        expect(received).toHaveLength(1)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("gives up an attempt that takes too long, and hangs up", () =>
    Effect.gen(function* () {
      let hungUp = 0
      const { received, url } = yield* server((_, response) => {
        response.on("close", () => hungUp++)
      })
      const error = yield* Effect.flip(openai(url, { timeout: 100, retries: 1 }).run(request()))
      expect(error.message).toBe(`openai: ${url}/chat/completions gave no answer within 100ms`)
      expect(error.retryable).toBe(true)
      expect(received).toHaveLength(2)
      yield* Effect.promise(() => expect.poll(() => hungUp).toBe(2))
    })
  )

  it.effect("never tells a secret, also when the endpoint repeats it", () =>
    Effect.gen(function* () {
      const { url } = yield* server((_, response, received) =>
        send(response, 400, { error: `bad key ${received.headers["authorization"]}` })
      )
      const secretUrl = url.replace("http://", "http://user:hunter2@")
      const refused = yield* Effect.flip(openai(url).run(request()))
      const withUser = yield* Effect.flip(openai(secretUrl).run(request()))
      const nobody = yield* Effect.flip(openai("http://u:hunter2@127.0.0.1:9/v1", { retries: 0 }).run(request()))
      for (const error of [refused, withUser, nobody]) {
        const all = `${error.message} ${JSON.stringify(error)} ${String(error.stack)}`
        expect(all).not.toContain(KEY)
        expect(all).not.toContain("hunter2")
      }
      expect(refused.message).toContain("bad key Bearer <redacted>")
      expect(nobody.message).toContain("http://127.0.0.1:9/v1/chat/completions could not be reached")
    })
  )

  describe("a stream", () => {
    const fine = pieces("fi", "ne", { prompt_tokens: 1000, completion_tokens: 20 })

    it.effect("is put together, and heard piece by piece, its usage counted", () =>
      Effect.gen(function* () {
        const { url } = yield* server((_, response) => sendEvents(response, fine))
        const heard = listener()
        const price = { inputPerMillion: 2, outputPerMillion: 10 }
        const reply = yield* openai(url, { price }).run(request()).pipe(heard.provide)
        const usage = { calls: 1, inputTokens: 1000, outputTokens: 20, costUsd: 0.0022 }
        expect(reply).toEqual({ content: "fine", usage })
        expect(heard.texts).toEqual(["fi", "ne"])
        expect(heard.usages).toEqual([usage])
      })
    )

    it.effect("may be cut anywhere, with comments, other line ends and a wish to reconnect in it", () =>
      Effect.gen(function* () {
        const text = `: hello\r\nretry: 10\r\n\r\n${fine.map((data) => `data: ${data}\r\n\r\n`).join("")}`
        const bytes = new TextEncoder().encode(text.replace("ne", "né"))
        const { url } = yield* server((_, response) => {
          response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" })
          // One byte at a time: each boundary is cut, that of a character included.
          for (const byte of bytes) response.write(Uint8Array.of(byte))
          response.end()
        })
        expect((yield* openai(url).run(request())).content).toBe("finé")
      })
    )

    it.effect("is not asked for when told so", () =>
      Effect.gen(function* () {
        const { received, url } = yield* server((_, response) =>
          send(response, 200, { ...completion("fine"), usage: { prompt_tokens: 3, completion_tokens: 4, cost: 0.5 } })
        )
        const reply = yield* openai(url, { stream: false }).run(request())
        expect(reply.usage).toEqual({ calls: 1, inputTokens: 3, outputTokens: 4, costUsd: 0.5 })
        expect(received[0]?.body).not.toHaveProperty("stream")
        expect(received[0]?.headers["accept"]).toBe("application/json")
      })
    )

    it.effect("that breaks off, or says that it cannot go on, is asked for again", () =>
      Effect.gen(function* () {
        const { received, url } = yield* server((nth, response) => {
          if (nth === 1) return sendEvents(response, fine.slice(0, 1))
          if (nth === 2) {
            response.writeHead(200, { "content-type": "text/event-stream" })
            response.write(`data: ${fine[0]}\n\n`)
            return void response.write(" ", () => response.destroy())
          }
          if (nth === 3) return sendEvents(response, [...fine.slice(0, 1), JSON.stringify({ error: "overloaded" })])
          return sendEvents(response, fine)
        })
        expect((yield* openai(url).run(request())).content).toBe("fine")
        expect(received).toHaveLength(4)
      })
    )

    it.effect("that falls silent is given up", () =>
      Effect.gen(function* () {
        const { url } = yield* server((_, response) => {
          response.writeHead(200, { "content-type": "text/event-stream" })
          response.write(`data: ${fine[0]}\n\n`)
        })
        const error = yield* Effect.flip(openai(url, { idleTimeout: 100, retries: 0 }).run(request()))
        expect(error.message).toBe(`openai: ${url}/chat/completions was silent for 100ms`)
        expect(error.retryable).toBe(true)
      })
    )

    it.effect("of something else is refused", () =>
      Effect.gen(function* () {
        const { received, url } = yield* server((_, response) => sendEvents(response, ["not json"]))
        const error = yield* Effect.flip(openai(url).run(request()))
        expect(error.message).toBe(`openai: ${url}/chat/completions sent what is no chat completion: not json`)
        expect(received).toHaveLength(1)
      })
    )
  })
})
