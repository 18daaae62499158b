/** Roles: in code, and those that ask an adapter and check its meta (W2); dry runs (W4). */
import { Adapter, createRole, Role } from "@nerve/core"
import { it } from "@effect/vitest"
import { Cause, ConfigProvider, Deferred, Effect, Exit, Fiber, Schema } from "effect"
import { describe, expect } from "vitest"
import { completion, conversation, send, server, services } from "./support.ts"

const run = (role: Role.Role, context = conversation()) => role.run(context, { role: "analyst" })

/** An adapter that answers from a list, by how often it was asked, and keeps what it was asked. */
const asked = (replies: ReadonlyArray<string | Adapter.Reply>) => {
  const prompts: Array<string> = []
  const adapter = Adapter.make("fake", (request) => {
    prompts.push(request.prompt)
    const reply = replies[prompts.length - 1] ?? "nothing left to say"
    return Effect.succeed(typeof reply === "string" ? { content: reply } : reply)
  })
  return { adapter, prompts }
}

it.layer(services({ workspace: "/work" }))("Role", (it) => {
  describe("make", () => {
    it.effect("takes a text, an answer, a promise and an Effect", () =>
      Effect.gen(function* () {
        expect(yield* run(Role.make(() => "hi"))).toEqual({ content: "hi" })
        expect(yield* run(Role.make(() => ({ content: "hi", meta: [1] })))).toEqual({ content: "hi", meta: [1] })
        expect(yield* run(Role.make(async () => "later"))).toEqual({ content: "later" })
        expect(yield* run(Role.make(() => Effect.succeed({ content: "hi", meta: null })))).toEqual({
          content: "hi",
          meta: null
        })
      })
    )

    it.effect("gives it the conversation, its name, the workspace, and Effect roles their services", () =>
      Effect.gen(function* () {
        const context = conversation([["collector", "load is 9"]])
        const plain = Role.make(async ({ start, steps }, { role, workspace }) =>
          [start.prompt, steps[0]?.content, role, workspace].join("|")
        )
        expect((yield* run(plain, context)).content).toBe("look after it|load is 9|analyst|/work")
        const effect = Role.make(() => Effect.map(Role.Info, (info) => info.workspace))
        expect((yield* run(effect)).content).toBe("/work")
      })
    )

    it.effect("answers by onFail when it fails, whichever way; what that throws is the failure", () =>
      Effect.gen(function* () {
        const boom: unknown = new Error("boom")
        const onFail = (error: unknown) => ({ content: `sorry: ${String(error)}`, meta: { ok: false } })
        const ways: ReadonlyArray<() => string | Promise<string> | Effect.Effect<string, unknown>> = [
          () => {
            throw boom
          },
          () => Promise.reject(boom),
          () => Effect.fail(boom)
        ]
        for (const way of ways) {
          expect(yield* run(Role.make(way, { onFail }))).toEqual({ content: "sorry: Error: boom", meta: { ok: false } })
        }
        const worse = new Error("worse")
        const throwing = Role.make(() => Effect.fail("boom"), {
          onFail: () => {
            throw worse
          }
        })
        expect(yield* Effect.exit(run(throwing))).toEqual(Exit.die(worse))
      })
    )

    it.effect("pauses the thread when told so, and never takes a pause for a failure", () =>
      Effect.gen(function* () {
        const paused = (role: Role.Role) => Effect.flip(run(role))
        const failing = Role.make(() => Effect.fail(new Role.PauseThread({ reason: "no money" })), {
          onFail: () => "hm"
        })
        expect(yield* paused(failing)).toMatchObject({ _tag: "PauseThread", reason: "no money" })
        const throwing = Role.make(() => Promise.reject(new Error("boom")), { onFail: "pause" })
        expect(yield* paused(throwing)).toMatchObject({ _tag: "PauseThread", reason: "boom" })
      })
    )

    it.effect("does not take a stop for a failure", () =>
      Effect.gen(function* () {
        const running = yield* Effect.forkChild(run(Role.make(() => Effect.never, { onFail: () => "sorry" })))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(running)
        expect(Exit.hasInterrupts(yield* Fiber.await(running))).toBe(true)
      })
    )

    it.effect("lets what it throws or rejects with be the defect, and what it fails with the failure", () =>
      Effect.gen(function* () {
        const boom = new Error("boom")
        const thrown = yield* Effect.exit(
          run(
            Role.make(() => {
              throw boom
            })
          )
        )
        const rejected = yield* Effect.exit(run(Role.make(() => Promise.reject(boom))))
        const failed = yield* Effect.exit(run(Role.make(() => Effect.fail(boom))))
        expect([thrown, rejected]).toEqual([Exit.die(boom), Exit.die(boom)])
        expect(failed).toEqual(Exit.fail(boom))
      })
    )

    it.effect("aborts the signal when it is interrupted, and then waits until the code is done", () =>
      Effect.gen(function* () {
        const started = yield* Deferred.make<void>()
        const events: Array<string> = []
        const role = Role.make(
          (_, { signal }) =>
            new Promise((resolve) => {
              signal.addEventListener("abort", () => {
                events.push("aborted")
                queueMicrotask(() => {
                  events.push("cleaned up")
                  resolve("too late")
                })
              })
              Deferred.doneUnsafe(started, Exit.void)
            })
        )
        const fiber = yield* Effect.forkChild(run(role))
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        expect(events).toEqual(["aborted", "cleaned up"])
        expect(Exit.hasInterrupts(yield* Fiber.await(fiber))).toBe(true)
      })
    )
  })

  describe("fromAdapter", () => {
    it.effect("asks with the prompt, as text or made from the conversation, and has no meta of its own", () =>
      Effect.gen(function* () {
        const { adapter, prompts } = asked(["one", { content: "two", meta: { a: 1 } }])
        expect(yield* run(Role.fromAdapter({ adapter, prompt: "judge" }))).toEqual({ content: "one", meta: null })
        const role = createRole({ adapter, prompt: ({ steps }) => `judge ${steps.length}` })
        expect(yield* run(role, conversation([["a", "x"]]))).toEqual({ content: "two", meta: { a: 1 } })
        expect(prompts).toEqual(["judge", "judge 1"])
      })
    )

    const verdict = Schema.Struct({ healthy: Schema.Boolean, since: Schema.DateTimeUtc })

    it.effect("takes the meta from the reply, checks it, and keeps it as JSON", () =>
      Effect.gen(function* () {
        const meta = { healthy: true, since: "2026-01-02T03:04:05.000Z" }
        const { adapter, prompts } = asked([`fine\n\`\`\`json\n${JSON.stringify({ ...meta, extra: 1 })}\n\`\`\``])
        expect((yield* run(Role.fromAdapter({ adapter, prompt: "judge", meta: verdict }))).meta).toEqual(meta)
        expect(prompts[0]).toContain("judge\n\nEnd your answer with a ```json block")
        expect(prompts[0]).toContain('"healthy":{"type":"boolean"}')
      })
    )

    it.effect("asks again when the meta does not fit, and says what was wrong", () =>
      Effect.gen(function* () {
        const { adapter, prompts } = asked(["no idea", '{"healthy":"very"}', '{"healthy":true}'])
        const meta = Schema.Struct({ healthy: Schema.Boolean })
        const answer = yield* run(Role.fromAdapter({ adapter, prompt: "judge", meta }))
        expect(answer.meta).toEqual({ healthy: true })
        expect(prompts).toHaveLength(3)
        expect(prompts[1]).toContain("meta: there is no JSON object in the answer")
        expect(prompts[2]).toContain("meta.healthy: Expected boolean")
        expect(prompts[2]).toContain('{"healthy":"very"}')
        expect(prompts[2]?.startsWith(prompts[0] ?? "?")).toBe(true)
      })
    )

    it.effect("fails with the path when the retries are used up", () =>
      Effect.gen(function* () {
        const meta = Schema.Struct({ verdict: Schema.Struct({ score: Schema.Int }) })
        const { adapter, prompts } = asked(Array.from({ length: 9 }, () => '{"verdict":{"score":1.5}}'))
        const error = yield* Effect.flip(run(Role.fromAdapter({ adapter, prompt: "judge", meta })))
        expect(error).toMatchObject({ _tag: "MetaInvalid", role: "analyst", path: "meta.verdict.score", attempts: 3 })
        expect(String(error)).toContain("the answer of analyst is unusable after 3 attempts: meta.verdict.score: ")
        expect(prompts).toHaveLength(3)
        yield* Effect.flip(run(Role.fromAdapter({ adapter, prompt: "judge", meta, retries: 0 })))
        expect(prompts).toHaveLength(4)
      })
    )

    it.effect("takes an extractor of one's own: a value, a promise, an Effect; one that throws is retried", () =>
      Effect.gen(function* () {
        const meta = Schema.Struct({ n: Schema.Finite })
        const extractors: ReadonlyArray<(reply: Adapter.Reply) => unknown> = [
          (reply) => ({ n: Number(reply.content) }),
          async (reply) => ({ n: Number(reply.content) }),
          (reply) => Effect.succeed({ n: Number(reply.content) })
        ]
        for (const extract of extractors) {
          const { adapter, prompts } = asked(["7"])
          expect((yield* run(Role.fromAdapter({ adapter, prompt: "count", meta, extract }))).meta).toEqual({ n: 7 })
          expect(prompts).toEqual(["count"])
        }
        const { adapter, prompts } = asked(["seven", '{"n":7}'])
        const extract = (reply: Adapter.Reply): unknown => JSON.parse(reply.content)
        expect((yield* run(Role.fromAdapter({ adapter, prompt: "count", extract }))).meta).toEqual({ n: 7 })
        expect(prompts[1]).toContain("meta: it could not be extracted: ")
      })
    )

    it.effect("fails as its adapter fails, without a retry", () =>
      Effect.gen(function* () {
        let times = 0
        const adapter = Adapter.make("down", () =>
          Effect.suspend(() => {
            times++
            return Effect.fail(Adapter.failed("down", "nobody there"))
          })
        )
        const error = yield* Effect.flip(run(Role.fromAdapter({ adapter, prompt: "judge" })))
        expect(error).toMatchObject({ _tag: "AdapterFailed", message: "down: nobody there" })
        expect(times).toBe(1)
      })
    )
  })

  it.effect("answers by onFail when the meta fits after no retry", () =>
    Effect.gen(function* () {
      const { adapter, prompts } = asked(["no json here"])
      const role = createRole({
        adapter,
        prompt: "judge",
        retries: 1,
        meta: Schema.Struct({ ok: Schema.Boolean }),
        onFail: (error) => ({ content: `gave up: ${String(error)}`, meta: { ok: false } })
      })
      const answer = yield* run(role)
      expect(answer.content).toContain("gave up: MetaInvalid")
      expect(answer.meta).toEqual({ ok: false })
      expect(prompts).toHaveLength(2)
    })
  )

  describe("in a dry run", () => {
    const dry = conversation([], { dryRun: true })

    it.effect("runs neither adapter nor code, and says so", () =>
      Effect.gen(function* () {
        const { adapter, prompts } = asked([])
        let ran = false
        const code = Role.make(() => {
          ran = true
          return "ran"
        })
        expect(yield* run(Role.fromAdapter({ adapter, prompt: "judge" }), dry)).toEqual({
          content: "[dry run] analyst (adapter fake) was not run",
          meta: null
        })
        expect(yield* run(code, dry)).toEqual({ content: "[dry run] analyst (code) was not run", meta: null })
        expect([prompts, ran]).toEqual([[], false])
      })
    )

    it.effect("answers with the role's own placeholder", () =>
      Effect.gen(function* () {
        const placeholder = { content: "would judge", meta: { healthy: true } }
        const { adapter } = asked([])
        expect(yield* run(Role.fromAdapter({ adapter, prompt: "judge", placeholder }), dry)).toEqual(placeholder)
        expect(
          yield* run(
            Role.make(() => "ran", { placeholder: "would run" }),
            dry
          )
        ).toEqual({ content: "would run" })
      })
    )
  })

  describe("what moderators look at", () => {
    it("finds the last message, of anybody or of one role", () => {
      const context = conversation([
        ["a", "1"],
        ["b", "2"],
        ["a", "3"]
      ])
      expect(Role.last(context)?.content).toBe("3")
      expect(Role.last(context, "b")?.content).toBe("2")
      expect(Role.last(context, "c")).toBeUndefined()
    })

    it("decodes the meta of a role's last message, or says that there is none that fits", () => {
      const meta = Schema.Struct({ at: Schema.DateTimeUtc })
      const base = conversation([
        ["a", "1"],
        ["b", "2"]
      ])
      const [a, b] = base.steps
      if (a === undefined || b === undefined) throw new Error("two steps")
      const context = { ...base, steps: [{ ...a, meta: { at: "2026-01-02T03:04:05.000Z" } }, b] }
      expect(Role.lastMeta(context, "a", meta)?.at.epochMilliseconds).toBe(Date.UTC(2026, 0, 2, 3, 4, 5))
      expect(Role.lastMeta(context, "b", meta)).toBeUndefined()
      expect(Role.lastMeta(context, "c", meta)).toBeUndefined()
    })
  })

  it("knows a role when it sees one", () => {
    expect(Role.isRole(Role.make(() => ""))).toBe(true)
    expect(Role.isRole(() => "")).toBe(false)
  })

  it.effect("keeps an interruption of the extractor an interruption", () =>
    Effect.gen(function* () {
      const { adapter } = asked(["x"])
      const exit = yield* Effect.exit(run(Role.fromAdapter({ adapter, prompt: "p", extract: () => Effect.interrupt })))
      expect(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)).toBe(true)
    })
  )
})

it.layer(services({ extract: { provider: "openai", model: "reader" } }), { excludeTestServices: true })(
  "Role.fromAdapter, with extract in nerve.yaml",
  (it) => {
    const meta = Schema.Struct({ healthy: Schema.Boolean })

    it.effect("has that model read the meta out of an answer in plain words", () =>
      Effect.gen(function* () {
        const { received, url } = yield* server((_, response) => send(response, 200, completion('{"healthy":true}')))
        const env = { OPENAI_BASE_URL: url, OPENAI_API_KEY: "k", OPENAI_MODEL: "other" }
        const { adapter, prompts } = asked(["it is quite well"])
        const answer = yield* run(Role.fromAdapter({ adapter, prompt: "judge", meta })).pipe(
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(env))
        )
        expect(answer).toEqual({ content: "it is quite well", meta: { healthy: true } })
        expect(prompts).toHaveLength(1)
        expect(received).toHaveLength(1)
        expect(received[0]?.body).toMatchObject({ model: "reader" })
        expect(JSON.stringify(received[0]?.body)).toContain("it is quite well")
      })
    )

    it.effect("does not ask it when there is JSON in the answer, and says when it cannot be asked", () =>
      Effect.gen(function* () {
        const good = asked(['{"healthy":false}'])
        expect((yield* run(Role.fromAdapter({ adapter: good.adapter, prompt: "judge", meta }))).meta).toEqual({
          healthy: false
        })
        const vague = asked(["well"])
        const role = Role.fromAdapter({ adapter: vague.adapter, prompt: "judge", meta, retries: 0 })
        const error = yield* Effect.flip(run(role)).pipe(
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord({}))
        )
        expect(String(error)).toContain("meta: it could not be extracted: openai: OPENAI_BASE_URL is not set")
      })
    )
  }
)

it.layer(services({ extract: { provider: "nobody", model: "m" } }))("Role.fromAdapter, with a wrong extract", (it) => {
  it.effect("names what is wrong in nerve.yaml", () =>
    Effect.gen(function* () {
      const { adapter } = asked(["well"])
      const role = Role.fromAdapter({ adapter, prompt: "judge", meta: Schema.Struct({}), retries: 0 })
      expect(String(yield* Effect.flip(run(role)))).toContain("extract: its provider nobody is neither under agents")
    })
  )
})
