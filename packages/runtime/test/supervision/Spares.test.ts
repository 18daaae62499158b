/** Spares: booted processes without a key that become workers by a message. */
import { assert, describe, it } from "@effect/vitest"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import * as fc from "fast-check"
import { Clock, Effect, Logger, Metric } from "effect"
import { TestClock } from "effect/testing"
import { type Key, settle, setup } from "./harness.ts"

const module = () => WorkerSpec.module("file:///w.ts")

const gauge = (state: string) =>
  Effect.map(Metric.snapshot, (all) => {
    const found = all.find((one) => one.id === "nerve_spares" && one.attributes?.state === state)
    return found?.type === "Gauge" ? Number(found.state.value) : 0
  })

describe("spares", () => {
  it.effect("a cold start takes one, and it is replaced in the background (R1)", () =>
    setup({ spares: 2, worker: module }, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        yield* settle
        assert.deepStrictEqual(yield* runtime.spares, { wanted: 2, booting: 0, warm: 2, used: 0, died: 0 })
        assert.strictEqual(yield* gauge("warm"), 2)
        const a = yield* runtime.client("a")
        assert.strictEqual(yield* a.Echo({ text: "hi" }), "hi")
        const [first] = children.spares()
        assert.isTrue(first?.isAssigned())
        assert.deepInclude(
          events.find((event) => event._tag === "WorkerReady"),
          { key: "a", incarnation: 1, pid: first?.pid }
        )
        assert.deepInclude(yield* runtime.spares, { warm: 1, used: 1 })
        yield* TestClock.adjust("1 second")
        assert.deepInclude(yield* runtime.spares, { warm: 2, used: 1, died: 0 })
        assert.strictEqual(children.spares().length, 3)
      })
    )
  )

  it.effect("a respawn takes one, with the next incarnation's name and the handover in its environment (L5)", () =>
    setup({ spares: 1, worker: module }, ({ children, runtime }) =>
      Effect.gen(function* () {
        yield* settle
        yield* runtime.start("a")
        yield* TestClock.adjust("1 second")
        yield* children.living("a").exit({ code: 9, signal: null })
        yield* settle
        yield* runtime.start("a")
        const second = children.living("a")
        assert.strictEqual(second.incarnation, 2)
        assert.isTrue(children.spares().some((one) => one.pid === second.pid))
        assert.deepInclude(second.spec.options.env, { NERVE_PREV_EXIT: "9" })
        assert.deepInclude(yield* runtime.spares, { used: 2 })
      })
    )
  )

  it.effect("when there is none, or none that fits, a worker boots as ever", () =>
    setup(
      {
        spares: { count: 1, heapSizeMb: 64 },
        worker: (key: Key) =>
          key === "a"
            ? WorkerSpec.module("file:///w.ts", { heapSizeMb: 64 })
            : key === "b"
              ? WorkerSpec.module("file:///w.ts")
              : WorkerSpec.command("fake")
      },
      ({ children, runtime }) =>
        Effect.gen(function* () {
          yield* settle
          assert.strictEqual(children.spares()[0]?.heapSizeMb, 64)
          yield* runtime.start("b")
          yield* runtime.start("c")
          assert.deepInclude(yield* runtime.spares, { warm: 1, used: 0 })
          yield* runtime.start("a")
          assert.deepInclude(yield* runtime.spares, { warm: 0, used: 1 })
        })
    )
  )

  it.effect("one that dies is replaced, more and more slowly, never in a hot loop", () =>
    setup({ spares: 1, worker: module }, ({ children, runtime }) =>
      Effect.gen(function* () {
        yield* settle
        // Each dies as soon as it is there.
        for (let second = 0; second < 600; second++) {
          for (const one of children.spares()) yield* one.exit({ code: 1, signal: null })
          yield* TestClock.adjust("1 second")
        }
        const { length } = children.spares()
        assert.isAtLeast(length, 5)
        assert.isAtMost(length, 25)
        assert.isAtLeast((yield* runtime.spares).died, 5)
        assert.strictEqual(yield* Effect.flatMap(runtime.client("a"), (a) => a.Echo({ text: "still" })), "still")
      })
    )
  )

  it.effect("how slowly does not depend on the wall clock", () =>
    Effect.gen(function* () {
      const clock = yield* TestClock.make()
      let hours = 0
      // Somebody sets it forward by an hour whenever it is looked at.
      const wall = () => clock.currentTimeMillisUnsafe() + 3_600_000 * hours++
      const set: TestClock.TestClock = {
        ...clock,
        currentTimeMillisUnsafe: wall,
        currentTimeMillis: Effect.sync(wall)
      }
      yield* setup({ spares: 1, worker: module }, ({ children }) =>
        Effect.gen(function* () {
          for (let second = 0; second < 60; second++) {
            yield* clock.adjust("1 second")
            for (const one of children.spares()) yield* one.exit({ code: 1, signal: null })
          }
          // 1 s, 2 s, 4 s, 8 s, 16 s, give or take 20 %.
          assert.isAtMost(children.spares().length, 8)
        })
      ).pipe(Effect.provideService(Clock.Clock, set))
    })
  )

  it.effect("one that does not get warm, or cannot be started, is given another try later; workers do not wait", () =>
    setup({ spares: 1, worker: module }, ({ children, runtime }) =>
      Effect.gen(function* () {
        children.setSpareMood("cold")
        yield* settle
        yield* children.spares()[0]?.exit({ code: 1, signal: null }) ?? Effect.void
        yield* TestClock.adjust("2 seconds")
        assert.deepInclude(yield* runtime.spares, { booting: 1, warm: 0 })
        yield* runtime.start("a")
        children.setSpareMood("failing")
        yield* TestClock.adjust("1 minute")
        const died = (yield* runtime.spares).died
        assert.isAtLeast(died, 2)
        children.setSpareMood("warm")
        yield* TestClock.adjust("2 minutes")
        assert.deepInclude(yield* runtime.spares, { booting: 0, warm: 1 })
      })
    )
  )

  it.effect("one that cannot be assigned is passed over, and killed", () =>
    setup({ spares: 1, worker: module }, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        children.setSpareMood("deaf")
        yield* settle
        yield* children.spares()[0]?.exit({ code: 1, signal: null }) ?? Effect.void
        yield* TestClock.adjust("2 seconds")
        assert.deepInclude(yield* runtime.spares, { warm: 1 })
        yield* runtime.start("a")
        assert.deepStrictEqual(
          events.map((event) => event._tag),
          ["WorkerStarting", "WorkerReady"]
        )
        assert.isTrue(children.spares().every((one) => one.exited() !== null))
      })
    )
  )

  it.effect("all of them stop with the runtime, and those that are workers by the ladder", () =>
    setup({ spares: 2, worker: module }, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        yield* settle
        yield* runtime.start("a")
        yield* TestClock.adjust("1 second")
        yield* runtime.shutdown
        assert.isTrue(children.spares().every((one) => one.isAssigned() || one.exited()?.signal === "SIGKILL"))
        assert.deepInclude(events.at(-1), { _tag: "WorkerExited", expected: true, exit: { code: 0, signal: null } })
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(children.spares().length, 3)
        assert.deepInclude(yield* runtime.spares, { booting: 0, warm: 0 })
        assert.strictEqual(yield* gauge("warm"), 0)
      })
    )
  )

  it.effect("whatever happens, there are never more than wanted, and none serves two keys", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 3 }),
          fc.array(fc.tuple(fc.constantFrom("start", "die", "crash", "wait", "evict"), fc.nat(2)), { maxLength: 25 }),
          (spares, steps) =>
            Effect.runPromise(
              setup({ spares, worker: module }, ({ children, runtime }) =>
                Effect.gen(function* () {
                  yield* settle
                  for (const [step, n] of steps) {
                    const key = (["a", "b", "c"] as const)[n] ?? "a"
                    if (step === "start") yield* runtime.start(key)
                    if (step === "evict") yield* runtime.evict(key)
                    if (step === "crash" && runtime.has(key)) yield* runtime.kill(key)
                    if (step === "die") yield* children.spares()[n]?.exit({ code: 1, signal: null }) ?? Effect.void
                    yield* TestClock.adjust(step === "wait" ? "2 minutes" : 0)
                    const info = yield* runtime.spares
                    assert.isAtMost(info.booting + info.warm, spares)
                    const pids = children.all().map((child) => child.pid)
                    assert.strictEqual(new Set(pids).size, pids.length)
                  }
                })
              ).pipe(Effect.provide([TestClock.layer(), Logger.layer([])]), Effect.scoped)
            )
        ),
        { numRuns: 40 }
      )
    )
  )
})
