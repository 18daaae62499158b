/** Adapters that ask nobody, and those that nerve.yaml names (W3). */
import { Adapter } from "@nerve/core"
import { it } from "@effect/vitest"
import { Effect } from "effect"
import { describe, expect } from "vitest"
import { conversation, services } from "../support.ts"

const request = (context = conversation()): Adapter.Request => ({ role: "analyst", prompt: "judge", context })

it.layer(services())("Adapter.scripted", (it) => {
  it.effect("answers by the number of steps, so that a resumed thread goes on where it was", () =>
    Effect.gen(function* () {
      const adapter = Adapter.scripted(["one", { content: "two", meta: 2 }])
      const second = request(conversation([["a", "one"]]))
      expect(yield* adapter.run(second)).toEqual({ content: "two", meta: 2 })
      expect(yield* adapter.run(second)).toEqual({ content: "two", meta: 2 })
      expect(yield* adapter.run(request())).toEqual({ content: "one" })
    })
  )

  it.effect("fails past its end", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Adapter.scripted(["one"]).run(request(conversation([["a", ""]]))))
      expect(error.message).toBe("scripted: no reply for round 2: the script has 1")
    })
  )

  it.effect("answers by a function; one that throws fails", () =>
    Effect.gen(function* () {
      const adapter = Adapter.scripted(({ prompt, role }) => `${role}: ${prompt}`)
      expect(yield* adapter.run(request())).toEqual({ content: "analyst: judge" })
      const error = yield* Effect.flip(
        Adapter.scripted(() => {
          throw new Error("lost the script")
        }).run(request())
      )
      expect(error.message).toContain("lost the script")
    })
  )

  it.effect("echo repeats the prompt", () =>
    Effect.gen(function* () {
      expect(yield* Adapter.echo.run(request())).toEqual({ content: "judge" })
    })
  )
})

const agents = [
  { name: "quick", type: "scripted", model: null, timeoutMs: null },
  { name: "smart", type: "openai", model: "m", timeoutMs: 50 },
  { name: "shell", type: "command", model: null, timeoutMs: null }
]

it.layer(services({ agents }))("Adapter.agent", (it) => {
  describe("refers to nerve.yaml", () => {
    it.effect("and is the adapter of the entry's type", () =>
      Effect.gen(function* () {
        expect(yield* Adapter.agent("quick").run(request())).toEqual({ content: "judge" })
        const error = yield* Effect.flip(Adapter.agent("smart").run(request()))
        expect(error.adapter).toBe("openai")
      })
    )

    it.effect("and says which names there are, and which type needs code", () =>
      Effect.gen(function* () {
        const unknown = yield* Effect.flip(Adapter.agent("quik").run(request()))
        expect(unknown.message).toBe("agent quik: nerve.yaml has no agents.quik; it has: quick, smart, shell")
        const command = yield* Effect.flip(Adapter.agent("shell").run(request()))
        expect(command.message).toContain("use Adapter.command")
      })
    )
  })
})
