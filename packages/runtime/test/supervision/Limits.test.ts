/** Memory limits of keyed workers, and what an incarnation is told of the one before (L5). */
import { assert, describe, it } from "@effect/vitest"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Worker from "@nerve/runtime/ipc/Worker"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { program } from "./EchoWorker.ts"
import { settle, setup, tags } from "./harness.ts"

describe("memory limits", () => {
  it.effect("a worker above the soft limit ends its calls, and the next takes over", () =>
    setup({ memoryLimit: 1000, memoryHardLimit: 2000 }, ({ children, events, probe, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const running = yield* Effect.forkChild(a.Hang())
        yield* settle
        children.living("a").setMemory(1000)
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(tags(events), ["WorkerStarting", "WorkerReady"])
        assert.strictEqual((yield* runtime.info("a")).memoryBytes, 1000)
        children.living("a").setMemory(1001)
        yield* TestClock.adjust("1 second")
        assert.deepInclude(events.at(-1), { _tag: "MemoryLimitPassed", limit: "soft", bytes: 1001, incarnation: 1 })
        assert.strictEqual((yield* runtime.info("a")).state, "draining")
        const waiting = yield* Effect.forkChild(a.Echo({ text: "next" }))
        yield* TestClock.adjust("5 seconds")
        yield* Deferred.succeed(probe.release, "done")
        assert.strictEqual(yield* Fiber.join(running), "done")
        assert.strictEqual(yield* Fiber.join(waiting), "next")
        const exited = events.find((event) => event._tag === "WorkerExited")
        assert.deepInclude(exited, { expected: true, cause: "asked", incarnation: 1 })
        // Told once, however often it was looked at.
        assert.strictEqual(tags(events).filter((tag) => tag === "MemoryLimitPassed").length, 1)
        assert.notInclude(tags(events), "RespawnScheduled")
      })
    )
  )

  it.effect("a worker above the soft limit is drained by the runtime's bounds, whatever a drain before was given", () =>
    setup({ memoryLimit: 1000 }, ({ children, probe, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        yield* runtime.drain("a", StopPolicy.kill)
        yield* runtime.start("a")
        const running = yield* Effect.forkChild(Effect.exit(a.Hang()))
        yield* settle
        children.living("a").setMemory(1001)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* runtime.info("a")).state, "draining")
        yield* Deferred.succeed(probe.release, "done")
        assert.deepStrictEqual(yield* Fiber.join(running), Exit.succeed("done"))
      })
    )
  )

  it.effect("a worker above the hard limit is killed; that is a crash", () =>
    setup({ memoryHardLimit: 2000 }, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const running = yield* Effect.forkChild(Effect.flip(a.Hang()))
        yield* settle
        children.living("a").setMemory(2001)
        yield* TestClock.adjust("1 second")
        assert.deepInclude(yield* Fiber.join(running), { _tag: "WorkerDied", incarnation: 1 })
        assert.deepInclude(
          events.find((event) => event._tag === "WorkerExited"),
          { expected: false, cause: "memory", reason: "memory: 2001 bytes are above its limit" }
        )
        assert.include(tags(events), "RespawnScheduled")
        assert.strictEqual(yield* a.Echo({ text: "next" }), "next")
      })
    )
  )

  it.effect("where the Spawner cannot tell, what the worker tells of itself counts", () => {
    let memory = 10
    const telling = (probe: Parameters<typeof program>[0]) =>
      Effect.gen(function* () {
        const port = yield* Worker.WorkerPort
        const vitals = () => ({ delayMs: 0, memory })
        yield* Effect.provideService(program(probe), Worker.WorkerPort, { ...port, vitals })
      })
    return setup(
      {
        memoryHardLimit: 2000,
        heartbeat: { interval: "1 second" },
        program: (_info, probe) => telling(probe)
      },
      ({ events, runtime }) =>
        Effect.gen(function* () {
          yield* runtime.start("a")
          yield* TestClock.adjust("5 seconds")
          assert.strictEqual((yield* runtime.info("a")).memoryBytes, 10)
          memory = 3000
          yield* TestClock.adjust("3 seconds")
          assert.include(tags(events), "MemoryLimitPassed")
        })
    )
  })
})

describe("handover (L5)", () => {
  it.effect("tells each incarnation of a key the same resume id, and how the one before ended", () =>
    setup({}, ({ children, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        yield* runtime.start("b")
        yield* children.living("a").exit({ code: 3, signal: null })
        yield* settle
        yield* children.living("a").exit({ code: null, signal: "SIGSEGV" })
        yield* settle
        children.failSpawns("a", true)
        yield* children.living("a").exit({ code: 1, signal: null })
        children.failSpawns("a", false)
        yield* settle
        yield* runtime.start("a")
        yield* runtime.drain("a")
        yield* runtime.start("a")
        const told = children
          .all()
          .map(({ key, spec }): Readonly<Record<string, string>> => ({ key, ...spec.options.env }))
        const ofA = told.filter((one) => one.key === "a")
        const [first] = ofA
        const id = first?.NERVE_RESUME_ID ?? "none"
        assert.notStrictEqual(id, "none")
        assert.deepStrictEqual(ofA.map((one) => [one.NERVE_RESUME_ID, one.NERVE_PREV_EXIT]).slice(0, 3), [
          [id, undefined],
          [id, "3"],
          [id, "SIGSEGV"]
        ])
        assert.deepStrictEqual(ofA.at(-1), { key: "a", NERVE_RESUME_ID: id, NERVE_PREV_EXIT: "0" })
        assert.isTrue(told.filter((one) => one.key === "b").every((one) => one.NERVE_RESUME_ID !== id))
        yield* runtime.evict("a")
        yield* runtime.start("a")
        const anew = children.living("a").spec.options.env
        assert.notStrictEqual(anew?.NERVE_RESUME_ID, id)
        assert.notProperty(anew, "NERVE_PREV_EXIT")
      })
    )
  )
})
