import { assert, describe, it } from "@effect/vitest"
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import program from "./hello.worker.ts"
import { Tenants } from "./Tenants.ts"

const layer = Tenants.layer.pipe(Layer.provideMerge(FakeSpawner.layer(() => program)))

/** The first incarnation never gets ready. */
const mute = Tenants.layer.pipe(
  Layer.provideMerge(FakeSpawner.layer((_spec, { incarnation }) => (incarnation === 1 ? Effect.never : program)))
)

describe("Tenants", () => {
  it.effect("lets a tenant's worker go when it has had nothing to do for a minute", () =>
    Effect.gen(function* () {
      const tenants = yield* Tenants
      assert.strictEqual(yield* tenants.use("ada", (ada) => ada.Greet({ name: "Bob" })), "hello Bob, says ada")
      assert.isTrue(tenants.runtime.has("ada"))
      yield* TestClock.adjust("61 seconds")
      assert.isFalse(tenants.runtime.has("ada"))
    }).pipe(Effect.provide(layer))
  )

  it.effect("answers again after a worker has died", () =>
    Effect.gen(function* () {
      const tenants = yield* Tenants
      const children = yield* FakeSpawner.FakeChildren
      yield* tenants.use("ada", (ada) => ada.Greet({ name: "Bob" }))
      yield* children.living("ada").exit({ code: 1, signal: null })
      yield* tenants.use("ada", (ada) => ada.Greet({ name: "Bob" }))
      assert.strictEqual(children.all().length, 2)
    }).pipe(Effect.provide(layer))
  )

  it.effect("waits for the next when one does not get ready", () =>
    Effect.gen(function* () {
      const tenants = yield* Tenants
      const call = yield* Effect.forkChild(tenants.use("ada", (ada) => ada.Greet({ name: "Bob" })))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(call), "hello Bob, says ada")
    }).pipe(Effect.provide(mute))
  )
})
