/** The stop ladder of one life, under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as EffectWorker from "@nerve/runtime/supervision/EffectWorker"
import * as Lifecycle from "@nerve/runtime/supervision/Lifecycle"
import { Deferred, Effect, Fiber, Latch, Stream } from "effect"
import { TestClock } from "effect/testing"

const running = (worker: Lifecycle.Worker) =>
  worker.changes.pipe(
    Stream.takeUntil((tree) => tree.state !== "Pending" && tree.state !== "Starting"),
    Stream.runDrain
  )

/** Lets what was forked run until it waits. */
const settle = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })

describe("lifeLadder", () => {
  it.effect("one that refuses interruption is given up for lost when the bounds have passed", () =>
    Effect.gen(function* () {
      const worker = yield* Lifecycle.make(EffectWorker.make(Effect.uninterruptible(Effect.never)))
      yield* worker.start
      yield* running(worker)
      const stopping = yield* Effect.forkChild(worker.stop(StopPolicy.make({ polite: "1 second", term: "1 second" })))
      yield* settle
      yield* TestClock.adjust("1999 millis")
      assert.strictEqual(yield* worker.state, "Stopping")
      yield* TestClock.adjust("5001 millis")
      const exit = yield* Fiber.join(stopping)
      assert.strictEqual(exit.outcome, "Killed")
      assert.include(exit.error, "given up for lost")
    })
  )

  it.effect("one whose spawn takes a moment is asked as soon as it can be, not killed for that", () =>
    Effect.gen(function* () {
      const gate = Latch.makeUnsafe(false)
      const worker = yield* Lifecycle.make({
        kind: "command",
        metadata: {},
        life: (port) =>
          Effect.gen(function* () {
            yield* gate.await
            const asked = Deferred.makeUnsafe<void>()
            port.attach({ terminate: Deferred.succeed(asked, undefined), kill: Effect.never })
            port.started()
            yield* Deferred.await(asked)
            return { code: null, signal: "SIGTERM", error: null }
          })
      })
      yield* worker.start
      yield* settle
      const stopping = yield* Effect.forkChild(worker.stop())
      yield* settle
      gate.openUnsafe()
      assert.deepInclude(yield* Fiber.join(stopping), { outcome: "Stopped", signal: "SIGTERM" })
    })
  )

  it.effect("asked to stop again, the newest bounds hold; a caller who leaves does not stop the stopping", () =>
    Effect.gen(function* () {
      const asked = yield* Deferred.make<void>()
      const worker = yield* Lifecycle.make({
        kind: "command",
        metadata: {},
        life: (port) =>
          Effect.suspend(() => {
            const killed = Deferred.makeUnsafe<void>()
            port.attach({ terminate: Deferred.succeed(asked, undefined), kill: Deferred.succeed(killed, undefined) })
            port.started()
            return Effect.as(Deferred.await(killed), { code: null, signal: "SIGKILL", error: null })
          })
      })
      yield* worker.start
      yield* running(worker)
      const patient = yield* Effect.forkChild(worker.stop(StopPolicy.make({ term: "1 hour" })))
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(patient)
      assert.strictEqual(yield* worker.state, "Stopping")
      assert.deepInclude(yield* worker.stop(StopPolicy.kill), { outcome: "Killed", signal: "SIGKILL" })
    })
  )

  it.effect("one that is told to stop while it is being suspended goes on, so that it can hear that", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const gate = Latch.makeUnsafe(false)
      const note = (what: string) => Effect.sync(() => void log.push(what))
      const worker = yield* Lifecycle.make({
        kind: "command",
        metadata: {},
        life: (port) =>
          Effect.suspend(() => {
            const killed = Deferred.makeUnsafe<void>()
            port.attach({
              suspend: gate.await.pipe(Effect.andThen(note("suspended")), Effect.as({ taken: true, failures: [] })),
              resume: Effect.as(note("resumed"), { taken: true, failures: [] }),
              terminate: note("asked to end"),
              kill: Deferred.succeed(killed, undefined)
            })
            port.started()
            return Effect.as(Deferred.await(killed), { code: null, signal: "SIGKILL", error: null })
          })
      })
      yield* worker.start
      yield* running(worker)
      const suspending = yield* Effect.forkChild(worker.suspend)
      yield* settle
      const stopping = yield* Effect.forkChild(worker.stop())
      yield* settle
      gate.openUnsafe()
      yield* Fiber.join(suspending)
      assert.deepStrictEqual(log, ["resumed", "asked to end", "suspended", "resumed"])
      yield* worker.stop(StopPolicy.kill)
      yield* Fiber.join(stopping)
    })
  )
})
