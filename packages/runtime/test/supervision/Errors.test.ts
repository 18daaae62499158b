/** What is left of an error that crossed a process: class, name, message, stack, properties, cause. */
import { assert, describe, it } from "@effect/vitest"
import * as Frame from "@nerve/core/wire/Frame"
import { Cause, Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Refused } from "./EchoWorker.ts"
import { settle, setup } from "./harness.ts"

const defectOf = <A, E>(call: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(call), (exit) => (Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined))

describe("errors on their way", () => {
  it.effect("a typed error is an instance of its class, with its fields and the stack of where it was made", () =>
    setup({}, ({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const error = yield* Effect.flip(a.Refuse({ why: "no" }))
        assert.instanceOf(error, Refused)
        assert.deepInclude(error, { _tag: "Refused", why: "no" })
        assert.include(error instanceof Error ? error.stack : "", "EchoWorker.ts")
        assert.notInclude(Object.keys(error), "stack")
      })
    )
  )

  it.effect("a defect keeps name, message, stack, its own properties and its cause", () =>
    setup({}, ({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const defect = yield* defectOf(a.Answer({ how: "rich defect" }))
        if (!(defect instanceof Error)) return assert.fail(`no Error: ${String(defect)}`)
        assert.strictEqual(defect.name, "ConnectionLost")
        assert.strictEqual(defect.message, "lost")
        assert.include(defect.stack, "EchoWorker.ts")
        assert.deepInclude<unknown>(defect, { host: "db.example", attempt: { count: 3, waits: [1, 2, 4] } })
        assert.notProperty(defect, "big")
        assert.notProperty(defect, "retry")
        const { cause } = defect
        assert.instanceOf(cause, TypeError)
        assert.deepInclude<unknown>(cause, { message: "no route", code: "EHOSTUNREACH" })
      })
    )
  )

  it.effect("a defect of a class that both sides have is an instance of it", () =>
    setup({}, ({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const defect = yield* defectOf(a.Die({ why: "too far" }))
        assert.instanceOf(defect, RangeError)
        assert.deepInclude<unknown>(defect, { name: "RangeError", message: "too far" })
      })
    )
  )

  it.effect("what a worker sends as a defect sets properties of that error, and of nothing else", () =>
    setup({}, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const call = yield* Effect.forkChild(defectOf(a.Hang()))
        yield* settle
        const properties = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"x":1},"message":"other","code":7}')
        children.living("a").channel.sendUnsafe({ t: "die", id: 1, defect: { name: "X", message: "m", properties } })
        const defect = yield* Fiber.join(call)
        assert.instanceOf(defect, Error)
        assert.deepInclude<unknown>(defect, { name: "X", message: "m", code: 7 })
        assert.notProperty({}, "polluted")
      })
    )
  )

  it("reads no more causes of causes than a few, however deep a worker nests them", () => {
    let cause: object = { message: "deepest" }
    for (let depth = 0; depth < 5000; depth++) cause = { message: "m", cause }
    const frame = Frame.fromWorker({ t: "die", id: 1, defect: cause })
    let depth = 0
    for (let one = typeof frame === "object" && frame.t === "die" ? frame.defect : undefined; one; one = one.cause) {
      depth += 1
    }
    assert.isAbove(depth, 1)
    assert.isBelow(depth, 20)
  })
})

describe("the bound of a stream", () => {
  it.effect("counts while the reader waits for the next items", () =>
    setup({ program: () => Effect.never }, ({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const reading = yield* Effect.forkChild(Effect.flip(Stream.runDrain(a.Count({ to: 5 }, { timeoutMs: 2000 }))))
        yield* TestClock.adjust("2 seconds")
        assert.deepInclude(yield* Fiber.join(reading), { _tag: "CallTimeout", method: "Count", timeoutMs: 2000 })
        yield* Effect.forkChild(runtime.shutdown)
        yield* TestClock.adjust("1 minute")
      })
    )
  )

  it.effect("leaves a reader that takes its time alone", () =>
    setup({}, ({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const done = yield* Deferred.make<number>()
        const reading = a.Count({ to: 5 }, { timeoutMs: 1000 }).pipe(
          Stream.tap(() => Effect.sleep("1 minute")),
          Stream.runCount,
          Effect.flatMap((count) => Deferred.succeed(done, count))
        )
        yield* Effect.forkChild(reading)
        // The worker has answered: from here on it is the reader that takes its time.
        yield* settle
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual(yield* Deferred.await(done), 5)
      })
    )
  )
})
