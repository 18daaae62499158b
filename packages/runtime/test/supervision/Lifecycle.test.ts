/** One worker's life, with Effects and under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import * as EffectWorker from "@nerve/runtime/supervision/EffectWorker"
import * as Lifecycle from "@nerve/runtime/supervision/Lifecycle"
import { Deferred, Effect, Fiber, Latch, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"

const running = (worker: Lifecycle.Worker) =>
  worker.changes.pipe(
    Stream.takeUntil((tree) => tree.state !== "Pending" && tree.state !== "Starting"),
    Stream.runDrain
  )

/** Lets what was forked run until it waits. */
const settle = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })

describe("Lifecycle", () => {
  it.effect("start does not wait; any number of waiters get the one exit, late ones too (L1)", () =>
    Effect.gen(function* () {
      const gate = Latch.makeUnsafe(false)
      const worker = yield* Lifecycle.make(EffectWorker.make(gate.await), { id: "gate" })
      assert.strictEqual(yield* worker.state, "Pending")
      yield* worker.start
      const waiters = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(worker.wait))
      yield* running(worker)
      assert.strictEqual(yield* worker.state, "Running")
      gate.openUnsafe()
      const exit = { outcome: "Finished", code: 0, signal: null, error: null } as const
      for (const waiter of waiters) assert.deepStrictEqual(yield* Fiber.join(waiter), exit)
      assert.deepStrictEqual(yield* worker.wait, exit)
      assert.deepStrictEqual(yield* worker.stop(), exit)
      assert.strictEqual(yield* worker.state, "Finished")
    })
  )

  it.effect("a second start is an error that says what it is", () =>
    Effect.gen(function* () {
      const worker = yield* Lifecycle.make(EffectWorker.make(Effect.never), { id: "once" })
      yield* worker.start
      const error = yield* Effect.flip(worker.start)
      assert.strictEqual(error._tag, "AlreadyStarted")
      yield* worker.stop()
      assert.strictEqual((yield* Effect.flip(worker.start)).message, `worker "once" was started before: it is Stopped`)
    })
  )

  it.effect("one that was never started is Stopped by a stop, and cannot be started then", () =>
    Effect.gen(function* () {
      const worker = yield* Lifecycle.make(EffectWorker.make(Effect.never))
      assert.strictEqual((yield* worker.stop()).outcome, "Stopped")
      assert.strictEqual((yield* Effect.flip(worker.start)).state, "Stopped")
    })
  )

  it.effect("a failure and a defect are Failed, with what went wrong", () =>
    Effect.gen(function* () {
      for (const effect of [Effect.fail("no luck"), Effect.die(new Error("no luck"))]) {
        const worker = yield* Lifecycle.make(EffectWorker.make(effect))
        yield* worker.start
        const exit = yield* worker.wait
        assert.deepInclude(exit, { outcome: "Failed", code: 1, signal: null })
        assert.include(exit.error, "no luck")
      }
    })
  )

  it.effect("an Effect that interrupts itself has failed: nobody asked it to", () =>
    Effect.gen(function* () {
      const worker = yield* Lifecycle.make(EffectWorker.make(Effect.interrupt))
      yield* worker.start
      assert.strictEqual((yield* worker.wait).outcome, "Failed")
    })
  )

  it.effect("stop interrupts, and waits for the finalizers", () =>
    Effect.gen(function* () {
      const closed = yield* Ref.make(false)
      const worker = yield* Lifecycle.make(
        EffectWorker.make(
          Effect.acquireRelease(Effect.void, () => Ref.set(closed, true)).pipe(Effect.andThen(Effect.never))
        )
      )
      yield* worker.start
      yield* running(worker)
      assert.strictEqual((yield* worker.stop()).outcome, "Stopped")
      assert.isTrue(yield* Ref.get(closed))
    })
  )

  it.effect("a stop right after the start stops it too", () =>
    Effect.gen(function* () {
      const worker = yield* Lifecycle.make(EffectWorker.make(Effect.never))
      yield* worker.start
      assert.strictEqual((yield* worker.stop()).outcome, "Stopped")
    })
  )

  it.effect("closing its scope stops it", () =>
    Effect.gen(function* () {
      const worker = yield* Effect.scoped(
        Effect.gen(function* () {
          const worker = yield* Lifecycle.make(EffectWorker.make(Effect.never))
          yield* worker.start
          yield* running(worker)
          return worker
        })
      )
      assert.strictEqual(yield* worker.state, "Stopped")
    })
  )

  it.effect("suspended, an Effect and the fibers it forked do nothing; resumed, they go on where they were", () =>
    Effect.gen(function* () {
      const count = yield* Ref.make(0)
      const tick = Effect.forever(
        Effect.andThen(
          Effect.sleep("1 second"),
          Ref.update(count, (n) => n + 1)
        )
      )
      const worker = yield* Lifecycle.make(EffectWorker.make(Effect.andThen(Effect.forkChild(tick), tick)))
      yield* worker.start
      yield* running(worker)
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* settle
      const before = yield* Ref.get(count)
      assert.strictEqual(before, 4)
      yield* worker.suspend
      assert.strictEqual(yield* worker.state, "Suspended")
      yield* TestClock.adjust("10 seconds")
      yield* settle
      assert.strictEqual(yield* Ref.get(count), before)
      assert.include((yield* Effect.flip(worker.suspend)).message, "it is Suspended")
      yield* worker.resume
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isAbove(yield* Ref.get(count), before)
      assert.strictEqual(yield* worker.state, "Running")
    })
  )

  it.effect("a busy Effect is suspended, too, and a suspended one can be stopped", () =>
    Effect.gen(function* () {
      const count = yield* Ref.make(0)
      const worker = yield* Lifecycle.make(EffectWorker.make(Effect.forever(Ref.update(count, (n) => n + 1))))
      yield* worker.start
      yield* running(worker)
      yield* settle
      yield* worker.suspend
      yield* settle
      const before = yield* Ref.get(count)
      assert.isAbove(before, 0)
      yield* settle
      assert.strictEqual(yield* Ref.get(count), before)
      assert.strictEqual((yield* worker.stop()).outcome, "Stopped")
    })
  )

  it.effect("changes tell the snapshot now and each new one, none twice, and end with the worker", () =>
    Effect.gen(function* () {
      const gate = Latch.makeUnsafe(false)
      const worker = yield* Lifecycle.make(EffectWorker.make(gate.await, { metadata: { what: "gate" } }), {
        id: "gate"
      })
      const seen: Array<string> = []
      const watching = yield* worker.changes.pipe(
        Stream.runForEach((tree) => Effect.sync(() => seen.push(`${tree.state} ${tree.incarnation}`))),
        Effect.forkChild
      )
      yield* settle
      yield* worker.start
      yield* settle
      gate.openUnsafe()
      yield* Fiber.join(watching)
      assert.deepStrictEqual(seen, ["Pending 0", "Running 1", "Finished 1"])
      assert.deepInclude(yield* worker.snapshot, { id: "gate", kind: "effect", metadata: { what: "gate" } })
      assert.strictEqual(yield* worker.snapshot, yield* worker.snapshot)
    })
  )

  it.effect("changes tell nothing anew when what has changed looks the same", () =>
    Effect.gen(function* () {
      const ports: Array<Lifecycle.Port> = []
      const worker = yield* Lifecycle.make({
        kind: "command",
        metadata: {},
        life: (port) =>
          Effect.suspend(() => {
            ports.push(port)
            port.attach({ pid: 1 })
            port.started()
            return Effect.never
          })
      })
      yield* worker.start
      const seen: Array<number | null> = []
      const watching = yield* worker.changes.pipe(
        Stream.runForEach((tree) => Effect.sync(() => seen.push(tree.pid))),
        Effect.forkChild
      )
      for (const pid of [1, 1, 2]) {
        yield* settle
        ports[0]?.attach({ pid })
      }
      yield* settle
      yield* Fiber.interrupt(watching)
      assert.deepStrictEqual(seen, [1, 2])
    })
  )

  it.effect("the Effect is told its resume id, incarnation and how the one before ended", () =>
    Effect.gen(function* () {
      const told = yield* Deferred.make<Lifecycle.Handover>()
      const worker = yield* Lifecycle.make(
        EffectWorker.make(Effect.flatMap(EffectWorker.CurrentHandover, (handover) => Deferred.succeed(told, handover))),
        { id: "told", resumeId: "r-1" }
      )
      yield* worker.start
      assert.deepStrictEqual(yield* Deferred.await(told), {
        id: "told",
        resumeId: "r-1",
        incarnation: 1,
        previousExit: null
      })
    })
  )
})
