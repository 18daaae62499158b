import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as WorkerPool from "@nerve/runtime/supervision/WorkerPool"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import type * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import { Cause, Clock, ConfigProvider, Deferred, Effect, Exit, Fiber, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { begin, errorTag, program, Refused, settle, setup, tags } from "./PoolWorker.ts"

const range = (count: number) => Array.from({ length: count }, (_, i) => String(i))

describe("WorkerPool: dispatch", () => {
  it.effect("boots its workers side by side and says when they are ready (P1)", () => {
    const go = Deferred.makeUnsafe<void>()
    return setup(
      { size: 3, program: (info, probe) => Effect.andThen(Deferred.await(go), program(probe, info)) },
      ({ children, pool }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(
            children.all().map((child) => child.key),
            ["pool/0", "pool/1", "pool/2"]
          )
          const ready = yield* begin(pool.ready)
          assert.isUndefined(ready.pollUnsafe())
          yield* Deferred.succeed(go, undefined)
          yield* Fiber.join(ready)
          assert.deepInclude(yield* pool.info, { state: "open", size: 3, ready: 3, queued: 0, running: 0 })
        })
    )
  })

  it.effect("sends work to an idle worker: nothing waits behind a long job while one is free (P3)", () =>
    setup({}, ({ pool, probe }) =>
      Effect.gen(function* () {
        const long = yield* begin(pool.client.Wait({ gate: "long" }))
        yield* Effect.forEach(range(20), (text) => pool.client.Echo({ text }))
        assert.deepStrictEqual(probe.begun, ["long", ...range(20)])
        yield* probe.open("long")
        assert.strictEqual(yield* Fiber.join(long), "long")
      })
    )
  )

  it.effect("uses all workers, each in its turn, and answers each caller with its own (P3)", () =>
    setup({ size: 3 }, ({ pool }) =>
      Effect.gen(function* () {
        const who = yield* Effect.forEach(range(9), () => pool.client.Who())
        assert.deepStrictEqual(who, [1, 2, 3, 1, 2, 3, 1, 2, 3])
        const texts = range(500)
        const answers = yield* Effect.forEach(texts, (text) => pool.client.Echo({ text }), { concurrency: "unbounded" })
        assert.deepStrictEqual(answers, texts)
      })
    )
  )

  it.effect("runs queued calls in the order in which they came", () =>
    setup({ size: 1 }, ({ pool, probe }) =>
      Effect.gen(function* () {
        yield* Effect.forEach(range(300), (text) => pool.client.Echo({ text }), { concurrency: "unbounded" })
        assert.deepStrictEqual(probe.begun, range(300))
      })
    )
  )

  it.effect("gives one worker no more calls at a time than told", () =>
    setup({ concurrencyPerWorker: 2, size: 2 }, ({ pool, probe }) =>
      Effect.gen(function* () {
        const calls = yield* begin(
          Effect.forEach(range(6), (gate) => pool.client.Wait({ gate }), { concurrency: "unbounded" })
        )
        assert.deepStrictEqual(probe.begun, ["0", "1", "2", "3"])
        assert.deepStrictEqual(
          (yield* pool.info).workers.map((worker) => worker.running),
          [2, 2]
        )
        yield* probe.open(...range(6))
        assert.deepStrictEqual(yield* Fiber.join(calls), range(6))
      })
    )
  )

  it.effect("answers Busy when the queue is full, at once, and takes calls again when it is not (P2)", () =>
    setup({ size: 1, queue: 2 }, ({ pool, probe }) =>
      Effect.gen(function* () {
        const taken = yield* begin(
          Effect.forEach(["a", "b", "c"], (gate) => pool.client.Wait({ gate }), { concurrency: "unbounded" })
        )
        const busy = yield* Effect.flip(pool.client.Echo({ text: "no" }))
        assert.deepInclude(busy, { _tag: "Busy", pool: "pool", reason: "queue-full", waiting: 2, waitedMs: 0 })
        yield* probe.open("a", "b", "c")
        assert.deepStrictEqual(yield* Fiber.join(taken), ["a", "b", "c"])
        assert.strictEqual(yield* pool.client.Echo({ text: "yes" }), "yes")
        assert.notInclude(probe.begun, "no")
      })
    )
  )

  it.effect("calls by name, too", () =>
    setup({}, ({ pool }) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* pool.execute("Echo", { text: "hi" }), "hi")
        assert.deepStrictEqual([...(yield* Stream.runCollect(pool.execute("Count", { to: 3 })))], [1, 2, 3])
      })
    )
  )
})

describe("WorkerPool: errors", () => {
  it.effect("keeps an error's class and properties, and a defect's name, message and stack", () =>
    setup({}, ({ pool }) =>
      Effect.gen(function* () {
        const refused = yield* Effect.flip(pool.client.Refuse({ why: "no" }))
        assert.instanceOf(refused, Refused)
        assert.deepInclude(refused, { _tag: "Refused", why: "no", code: 42 })
        assert.include(refused.stack, "PoolWorker.ts")
        const died = yield* Effect.exit(pool.client.Die({ why: "boom" }))
        assert.isTrue(Exit.isFailure(died) && Cause.hasDies(died.cause))
        const defect = Exit.isFailure(died) ? Cause.squash(died.cause) : undefined
        assert.instanceOf(defect, RangeError)
        assert.deepInclude(defect, { name: "RangeError", message: "boom" })
        assert.propertyVal(defect, "attempt", 3)
        assert.include(defect.stack, "PoolWorker.ts")
        assert.strictEqual(yield* pool.client.Who(), 1)
      })
    )
  )

  it.effect("fails a call whose payload does not fit without giving it to a worker", () =>
    setup({}, ({ pool, probe }) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(pool.client.Echo({ text: 7 as unknown as string }))
        assert.deepInclude(error, { _tag: "ProtocolViolation", method: "Echo" })
        assert.deepStrictEqual(probe.begun, [])
        assert.deepInclude(yield* pool.info, { queued: 0, running: 0 })
      })
    )
  )

  it.effect("a payload that is larger than a frame fails that call alone, and frees its place", () =>
    setup({ size: 1 }, ({ pool }) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(pool.client.Echo({ text: "x".repeat(5_000_000) }))
        assert.deepInclude(error, { _tag: "ProtocolViolation", method: "Echo" })
        assert.strictEqual(yield* pool.client.Echo({ text: "small" }), "small")
      })
    )
  )
})

describe("WorkerPool: bounds", () => {
  it.effect("kills and replaces a worker whose call runs out of time, and goes on with the queue (P4)", () =>
    setup({ size: 1, execTimeout: "1 second" }, ({ children, events, pool, probe }) =>
      Effect.gen(function* () {
        const late = yield* begin(Effect.flip(pool.client.Wait({ gate: "late" })))
        const next = yield* begin(pool.client.Echo({ text: "next" }))
        yield* TestClock.adjust("1 second")
        assert.deepInclude(yield* Fiber.join(late), { _tag: "CallTimeout", method: "Wait", timeoutMs: 1000 })
        assert.strictEqual(yield* Fiber.join(next), "next")
        assert.deepStrictEqual(children.all()[0]?.signals[0], "SIGKILL")
        assert.deepInclude(yield* pool.info, { ready: 1, running: 0 })
        assert.strictEqual(yield* pool.client.Who(), 2)
        assert.include(tags(events), "CallTimedOut")
        // The answer of the killed one comes to nobody.
        yield* probe.open("late")
        yield* settle
        assert.deepStrictEqual(probe.begun, ["late", "next"])
      })
    )
  )

  it.effect("a late answer never answers another call (P4)", () =>
    setup({ size: 1, concurrencyPerWorker: 2 }, ({ pool, probe }) =>
      Effect.gen(function* () {
        const neighbour = yield* begin(pool.client.Wait({ gate: "neighbour" }))
        const late = yield* begin(Effect.exit(pool.client.Deaf({ gate: "late" }, { timeoutMs: 100 })))
        yield* TestClock.adjust(100)
        assert.strictEqual(errorTag(yield* Fiber.join(late)), "CallTimeout")
        yield* probe.open("late")
        yield* settle
        const other = yield* begin(pool.client.Wait({ gate: "other" }))
        assert.isUndefined(other.pollUnsafe())
        yield* probe.open("neighbour", "other")
        assert.strictEqual(yield* Fiber.join(neighbour), "neighbour")
        assert.strictEqual(yield* Fiber.join(other), "other")
        assert.strictEqual(yield* pool.client.Who(), 1)
      })
    )
  )

  it.effect("does not count queue time as run time", () =>
    setup({ size: 1, execTimeout: "1 second" }, ({ pool, probe }) =>
      Effect.gen(function* () {
        const first = yield* begin(pool.client.Wait({ gate: "first" }))
        const second = yield* begin(pool.client.Wait({ gate: "second" }))
        yield* TestClock.adjust(900)
        yield* probe.open("first")
        yield* Fiber.join(first)
        yield* TestClock.adjust(900)
        assert.isUndefined(second.pollUnsafe())
        yield* probe.open("second")
        assert.strictEqual(yield* Fiber.join(second), "second")
        assert.strictEqual(yield* pool.client.Who(), 1)
      })
    )
  )

  it.effect("bounds waiting by its own bound, with Busy", () =>
    setup({ size: 1, waitTimeout: "1 second" }, ({ pool, probe }) =>
      Effect.gen(function* () {
        const first = yield* begin(pool.client.Wait({ gate: "first" }))
        const patient = yield* begin(pool.client.Echo({ text: "patient" }, { waitMs: Infinity }))
        const second = yield* begin(Effect.flip(pool.client.Echo({ text: "second" })))
        yield* TestClock.adjust("1 second")
        assert.deepInclude(yield* Fiber.join(second), { _tag: "Busy", reason: "waited", waitedMs: 1000 })
        yield* probe.open("first")
        assert.strictEqual(yield* Fiber.join(first), "first")
        assert.strictEqual(yield* Fiber.join(patient), "patient")
        assert.deepStrictEqual(probe.begun, ["first", "patient"])
      })
    )
  )

  it.effect("a timer that comes late blames nobody: this process itself stood still", () =>
    Effect.gen(function* () {
      const clock = yield* TestClock.make()
      let skipped = 0
      // As after SIGSTOP: the clock has gone on, the timers have not.
      const jumping: TestClock.TestClock = {
        ...clock,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + BigInt(skipped) * 1_000_000n
      }
      yield* setup({ size: 1, execTimeout: "1 second" }, ({ pool, probe }) =>
        Effect.gen(function* () {
          const call = yield* Effect.forkChild(pool.client.Wait({ gate: "a" }))
          yield* clock.adjust(0)
          skipped = 600_000
          yield* clock.adjust(1000)
          assert.isUndefined(call.pollUnsafe())
          yield* probe.open("a")
          assert.strictEqual(yield* Fiber.join(call), "a")
          assert.strictEqual(yield* pool.client.Who(), 1)
        })
      ).pipe(Effect.provideService(Clock.Clock, jumping))
    })
  )
})

describe("WorkerPool: cancellation", () => {
  it.effect("forgets a call that waits when its caller goes", () =>
    setup({ size: 1 }, ({ pool, probe }) =>
      Effect.gen(function* () {
        const first = yield* begin(pool.client.Wait({ gate: "first" }))
        const second = yield* begin(pool.client.Echo({ text: "second" }))
        yield* Fiber.interrupt(second)
        yield* probe.open("first")
        yield* Fiber.join(first)
        assert.strictEqual(yield* pool.client.Echo({ text: "third" }), "third")
        assert.deepStrictEqual(probe.begun, ["first", "third"])
      })
    )
  )

  it.effect("tells the worker, and kills nobody when the worker confirms: neighbours go on", () =>
    setup({ size: 1, concurrencyPerWorker: 2 }, ({ children, pool, probe }) =>
      Effect.gen(function* () {
        const neighbour = yield* begin(pool.client.Wait({ gate: "neighbour" }))
        const cancelled = yield* begin(pool.client.Wait({ gate: "cancelled" }))
        yield* Fiber.interrupt(cancelled)
        yield* settle
        assert.deepStrictEqual(probe.interrupted, ["cancelled"])
        yield* TestClock.adjust("1 hour")
        yield* probe.open("neighbour")
        assert.strictEqual(yield* Fiber.join(neighbour), "neighbour")
        assert.strictEqual(children.all().length, 1)
      })
    )
  )

  it.effect("gives the place of a cancelled call to nobody before the worker has let go of it", () =>
    setup({ size: 1, cancelTimeout: "5 seconds" }, ({ pool, probe }) =>
      Effect.gen(function* () {
        const deaf = yield* begin(pool.client.Deaf({ gate: "deaf" }))
        yield* Fiber.interrupt(deaf)
        const next = yield* begin(pool.client.Echo({ text: "next" }))
        yield* TestClock.adjust("4 seconds")
        assert.deepStrictEqual(probe.begun, ["deaf"])
        yield* probe.open("deaf")
        assert.strictEqual(yield* Fiber.join(next), "next")
        assert.strictEqual(yield* pool.client.Who(), 1)
      })
    )
  )

  it.effect("kills a worker that does not confirm and has no other call", () =>
    setup({ size: 1 }, ({ children, pool }) =>
      Effect.gen(function* () {
        const deaf = yield* begin(pool.client.Deaf({ gate: "deaf" }))
        yield* Fiber.interrupt(deaf)
        const next = yield* begin(pool.client.Who())
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(next), 2)
        assert.deepStrictEqual(children.all()[0]?.signals, ["SIGKILL"])
      })
    )
  )

  it.effect("a worker that does not confirm ends its other calls, takes no more, then goes", () =>
    setup({ size: 1, concurrencyPerWorker: 2 }, ({ children, pool, probe }) =>
      Effect.gen(function* () {
        const neighbour = yield* begin(pool.client.Wait({ gate: "neighbour" }))
        const deaf = yield* begin(pool.client.Deaf({ gate: "deaf" }))
        yield* Fiber.interrupt(deaf)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* pool.client.Who(), 2)
        assert.isNull(children.all()[0]?.exited() ?? null)
        yield* probe.open("neighbour")
        assert.strictEqual(yield* Fiber.join(neighbour), "neighbour")
        yield* settle
        assert.deepStrictEqual(children.all()[0]?.exited(), { code: null, signal: "SIGKILL" })
      })
    )
  )
})

describe("WorkerPool: crashes", () => {
  it.effect("fails the calls of the worker that died, at once, and no others", () =>
    setup({}, ({ children, pool, probe }) =>
      Effect.gen(function* () {
        const lost = yield* begin(Effect.flip(pool.client.Wait({ gate: "lost" })))
        const safe = yield* begin(pool.client.Wait({ gate: "safe" }))
        children.all()[0]?.output.line("stderr", "out of cheese")
        yield* children.living("pool/0").exit({ code: 3, signal: null })
        assert.deepInclude(yield* Fiber.join(lost), {
          _tag: "WorkerDied",
          key: "pool/0",
          incarnation: 1,
          exit: { code: 3, signal: null },
          stderrTail: "out of cheese\n"
        })
        yield* probe.open("safe")
        assert.strictEqual(yield* Fiber.join(safe), "safe")
      })
    )
  )

  it.effect("queued calls go on after a crash without anybody calling", () =>
    setup({ size: 1, respawn: RespawnPolicy.spaced("2 seconds") }, ({ children, pool }) =>
      Effect.gen(function* () {
        const lost = yield* begin(Effect.exit(pool.client.Wait({ gate: "lost" })))
        const queued = yield* begin(
          Effect.forEach(range(5), (text) => pool.client.Echo({ text }), { concurrency: "unbounded" })
        )
        yield* children.living("pool/0").exit({ code: 0, signal: null })
        assert.strictEqual(errorTag(yield* Fiber.join(lost)), "WorkerDied")
        assert.isUndefined(queued.pollUnsafe())
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* Fiber.join(queued), range(5))
      })
    )
  )

  it.effect("runs no job twice, whatever dies under it", () =>
    setup({}, ({ children, pool, probe }) =>
      Effect.gen(function* () {
        const calls = yield* begin(
          Effect.forEach(range(10), (gate) => Effect.exit(pool.client.Wait({ gate })), { concurrency: "unbounded" })
        )
        for (let i = 0; i < 4; i++) {
          yield* children.living("pool/0").exit({ code: null, signal: "SIGSEGV" })
          yield* settle
        }
        yield* probe.open(...range(10))
        const ends = (yield* Fiber.join(calls)).map(errorTag)
        assert.strictEqual(ends.filter((tag) => tag === "WorkerDied").length, 4)
        assert.strictEqual(ends.filter((tag) => tag === "success").length, 6)
        assert.deepStrictEqual(probe.begun.toSorted(), range(10))
      })
    )
  )

  it.effect("a call that never left for a dying worker goes to another", () =>
    setup({ size: 1 }, ({ children, pool }) =>
      Effect.gen(function* () {
        // Its channel has ended; its exit has not been seen yet.
        children.all()[0]?.parentChannel.endUnsafe({ _tag: "Closed" })
        const call = yield* begin(pool.client.Who())
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(call), 2)
      })
    )
  )

  it.effect("a call that waits for a full channel goes to another worker as soon as the channel has ended", () =>
    setup({}, ({ children, pool, probe }) =>
      Effect.gen(function* () {
        const channel = children.all()[0]?.parentChannel
        channel?.setFullUnsafe(true)
        const call = yield* begin(pool.client.Who())
        const second = yield* begin(pool.client.Wait({ gate: "second" }))
        yield* probe.open("second")
        yield* Fiber.join(second)
        assert.isUndefined(call.pollUnsafe())
        // Its exit has not been seen yet, and no time passes.
        channel?.endUnsafe({ _tag: "Closed" })
        yield* settle
        assert.strictEqual(yield* Fiber.join(call), 2)
      })
    )
  )

  it.effect("a call that never left for its worker gives its place up at once when its caller goes", () =>
    setup({ size: 1 }, ({ children, pool, probe }) =>
      Effect.gen(function* () {
        const channel = children.all()[0]?.parentChannel
        channel?.setFullUnsafe(true)
        const call = yield* begin(pool.client.Wait({ gate: "never" }))
        yield* Fiber.interrupt(call)
        assert.deepInclude(yield* pool.info, { running: 0 })
        channel?.setFullUnsafe(false)
        assert.strictEqual(yield* pool.client.Who(), 1)
        assert.deepStrictEqual(probe.begun, [])
      })
    )
  )

  it.effect("a failed boot does not poison the pool: it is tried again by schedule (P1)", () => {
    let boots = 0
    return setup(
      {
        size: 1,
        respawn: RespawnPolicy.spaced("1 second"),
        program: (info, probe) => {
          boots += 1
          return boots <= 3 ? Effect.fail("no database") : program(probe, info)
        }
      },
      ({ events, pool }) =>
        Effect.gen(function* () {
          const call = yield* begin(pool.client.Echo({ text: "hi" }))
          yield* TestClock.adjust("2 seconds")
          assert.isUndefined(call.pollUnsafe())
          yield* TestClock.adjust("1 second")
          assert.strictEqual(yield* Fiber.join(call), "hi")
          const exits = events.filter((event) => event._tag === "WorkerExited")
          assert.strictEqual(exits.length, 3)
          assert.include(exits[0]?.stderrTail, "no database")
        })
    )
  })

  it.effect("a worker that is not ready in time is killed and tried again (P1)", () => {
    let boots = 0
    return setup(
      {
        size: 1,
        bootTimeout: "3 seconds",
        program: (info, probe) => {
          boots += 1
          return boots === 1 ? Effect.never : program(probe, info)
        }
      },
      ({ children, pool }) =>
        Effect.gen(function* () {
          const call = yield* begin(pool.client.Who())
          yield* TestClock.adjust("3 seconds")
          assert.strictEqual(yield* Fiber.join(call), 2)
          assert.deepStrictEqual(children.all()[0]?.exited(), { code: null, signal: "SIGKILL" })
        })
    )
  })

  it.effect("one slot that is given up leaves the others to work", () => {
    let broken = true
    return setup(
      {
        respawn: RespawnPolicy.intensity({ max: 2, within: "60 seconds" }),
        program: (info, probe) => (broken && info.key === "pool/0" ? Effect.fail("broken") : program(probe, info))
      },
      ({ children, events, pool }) =>
        Effect.gen(function* () {
          yield* Effect.forEach(range(10), (text) => pool.client.Echo({ text }), { concurrency: "unbounded" })
          assert.deepInclude(yield* pool.info, { size: 2, ready: 1, givenUp: 1 })
          assert.deepInclude(
            events.find((event) => event._tag === "WorkerGivenUp"),
            { key: 0, crashes: 2 }
          )
          assert.deepInclude(yield* Effect.flip(pool.ready), { _tag: "RespawnLimitReached", key: "pool/0" })
          broken = false
          yield* pool.reset
          yield* pool.ready
          assert.deepInclude(yield* pool.info, { ready: 2, givenUp: 0 })
          // The crashes before the reset are forgotten.
          yield* children.living("pool/0").exit({ code: 1, signal: null })
          yield* settle
          assert.deepInclude(yield* pool.info, { ready: 2, givenUp: 0 })
        })
    )
  })

  it.effect("the crash window does not depend on the wall clock", () =>
    setup({ size: 1, respawn: RespawnPolicy.intensity({ max: 3, within: "10 seconds" }) }, ({ children, pool }) =>
      Effect.gen(function* () {
        const crash = Effect.gen(function* () {
          yield* pool.ready
          yield* children.living("pool/0").exit({ code: 1, signal: null })
          yield* settle
        })
        yield* TestClock.adjust("1 hour")
        yield* crash
        yield* crash
        // The clock is set back by an hour; a minute passes.
        yield* TestClock.setTime(0)
        yield* TestClock.adjust("1 minute")
        yield* crash
        assert.deepInclude(yield* pool.info, { ready: 1, givenUp: 0 })
      })
    )
  )

  it.effect("when all slots are given up, calls that wait and calls that come fail with the reason", () =>
    setup(
      {
        respawn: RespawnPolicy.intensity({ max: 2, within: "60 seconds", delay: 10 }),
        program: () => Effect.fail("broken")
      },
      ({ pool }) =>
        Effect.gen(function* () {
          const waiting = yield* begin(Effect.flip(pool.client.Echo({ text: "a" })))
          yield* TestClock.adjust(10)
          assert.deepInclude(yield* Fiber.join(waiting), {
            _tag: "RespawnLimitReached",
            key: "pool",
            crashes: 4,
            lastFailure: "exit code 1 (stderr: Error: broken)"
          })
          const error = yield* Effect.flip(pool.client.Echo({ text: "b" }))
          assert.deepInclude(error, { _tag: "RespawnLimitReached" })
        })
    )
  )

  it.effect("a policy that throws, and one that cannot even begin, give the slot up and are named", () => {
    const throwing: RespawnPolicy.RespawnPolicy = Schedule.fromStep(
      Effect.succeed(() => {
        throw new Error("broken policy")
      })
    )
    const stillborn: RespawnPolicy.RespawnPolicy = Schedule.fromStep(Effect.die(new Error("broken policy")))
    return Effect.forEach([throwing, stillborn], (respawn) =>
      setup({ size: 1, respawn }, ({ children, pool }) =>
        Effect.gen(function* () {
          const call = yield* begin(Effect.flip(pool.client.Wait({ gate: "never" })))
          yield* children.living("pool/0").exit({ code: 1, signal: null })
          yield* Fiber.join(call)
          yield* settle
          const error = yield* Effect.flip(pool.client.Who())
          assert.strictEqual(error._tag, "RespawnLimitReached")
          assert.include(error.message, "broken policy")
        })
      )
    )
  })

  it.effect("a process that cannot be started, and a spec that cannot be made, are boots that failed", () => {
    let asked = 0
    return setup(
      {
        size: 1,
        respawn: RespawnPolicy.spaced("1 second"),
        worker: () => {
          asked += 1
          if (asked === 1) throw new Error("no such model")
          return WorkerSpec.command("fake")
        }
      },
      ({ children, events, pool }) =>
        Effect.gen(function* () {
          children.failSpawns("pool/0", true)
          yield* TestClock.adjust("1 second")
          children.failSpawns("pool/0", false)
          const call = yield* begin(pool.client.Who())
          yield* TestClock.adjust("1 second")
          assert.strictEqual(yield* Fiber.join(call), 3)
          const reasons = events.flatMap((event) => (event._tag === "WorkerExited" ? [event.reason] : []))
          assert.include(reasons[0], "no such model")
          assert.include(reasons[1], "the test says so")
        })
    )
  })

  it.effect("tells the last lines before an exit, and before it tells the exit", () =>
    setup({ size: 1 }, ({ children, events, pool }) =>
      Effect.gen(function* () {
        const child = children.living("pool/0")
        for (const line of range(100)) child.output.line("stderr", line)
        yield* child.exit({ code: 1, signal: null })
        yield* pool.client.Who()
        assert.notInclude(tags(events), "WorkerGivenUp")
        const exit = events.findIndex((event) => event._tag === "WorkerExited")
        const lines = events.slice(0, exit).flatMap((event) => (event._tag === "WorkerOutput" ? [event.line] : []))
        assert.deepStrictEqual(lines, range(100))
      })
    )
  )
})

describe("WorkerPool: recycling", () => {
  it.effect("replaces a worker after so many jobs, and every job is answered (P5)", () =>
    setup({ size: 1, maxJobs: 3 }, ({ children, events, pool }) =>
      Effect.gen(function* () {
        const who: Array<number> = []
        for (let i = 0; i < 9; i++) {
          who.push(yield* pool.client.Who())
          yield* settle
        }
        assert.deepStrictEqual(who, [1, 1, 1, 2, 2, 2, 3, 3, 3])
        assert.deepStrictEqual(children.all()[0]?.exited(), { code: 0, signal: null })
        assert.deepInclude(
          events.find((event) => event._tag === "WorkerRecycling"),
          { key: 0, incarnation: 1, successor: 2, reason: "jobs" }
        )
        assert.isTrue(
          events.every((event) => event._tag !== "WorkerExited" || event.expected),
          "a recycled worker did not crash"
        )
      })
    )
  )

  it.effect("the old worker serves until the new one is ready, and ends what it has (P5)", () => {
    const go = Deferred.makeUnsafe<void>()
    return setup(
      {
        size: 1,
        maxJobs: 1,
        program: (info, probe) =>
          Effect.andThen(info.incarnation === 1 ? Effect.void : Deferred.await(go), program(probe, info))
      },
      ({ children, pool, probe }) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* pool.client.Who(), 1)
          assert.strictEqual(yield* pool.client.Who(), 1)
          const long = yield* begin(pool.client.Wait({ gate: "long" }))
          yield* Deferred.succeed(go, undefined)
          yield* settle
          assert.strictEqual(yield* pool.client.Who(), 2)
          assert.isNull(children.all()[0]?.exited() ?? null)
          yield* probe.open("long")
          assert.strictEqual(yield* Fiber.join(long), "long")
          yield* settle
          assert.isNotNull(children.all()[0]?.exited() ?? null)
        })
    )
  })

  it.effect("recycles idle workers by age, one at a time, with never fewer ready than slots (P5)", () =>
    setup({ size: 3, ttl: "1 hour" }, ({ children, events, pool }) =>
      Effect.gen(function* () {
        const ready: Array<number> = []
        const watch = yield* begin(Stream.runForEach(pool.changes, (info) => Effect.sync(() => ready.push(info.ready))))
        yield* TestClock.adjust("59 minutes")
        assert.strictEqual(children.all().length, 3)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(children.all().length, 6)
        yield* Fiber.interrupt(watch)
        assert.isTrue(
          ready.every((count) => count >= 3),
          `ready: ${ready.join(" ")}`
        )
        // Each replacement begins when the one before it is over.
        const order = events.flatMap((event) =>
          event._tag === "WorkerRecycling"
            ? [`recycle ${event.incarnation}`]
            : event._tag === "WorkerExited"
              ? [`exit ${event.incarnation}`]
              : []
        )
        assert.deepStrictEqual(order, ["recycle 1", "exit 1", "recycle 2", "exit 2", "recycle 3", "exit 3"])
      })
    )
  )

  it.effect("replaces a worker that takes too much memory (P5)", () => {
    const memory = new Map<number, number>()
    return setup(
      {
        memoryLimit: "100 MB",
        rssEvery: "1 second",
        rss: (pid) => {
          const bytes = memory.get(pid)
          return bytes === undefined ? Effect.fail("no such process") : Effect.succeed(bytes)
        }
      },
      ({ children, events, pool }) =>
        Effect.gen(function* () {
          const [first, second] = children.all()
          memory.set(first?.pid ?? 0, 99_000_000)
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(children.all().length, 2)
          memory.set(second?.pid ?? 0, 101_000_000)
          yield* TestClock.adjust("1 second")
          assert.deepInclude(
            events.find((event) => event._tag === "WorkerRecycling"),
            { key: 1, incarnation: 2, reason: "memory" }
          )
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(children.all().length, 3)
          assert.deepInclude(yield* pool.info, { ready: 2 })
        })
    )
  })

  it.effect("kills one that passes the hard limit, and goes by what the Spawner tells", () =>
    setup({ memoryLimit: "100 MB", memoryHardLimit: "200 MB", rssEvery: "1 second" }, ({ children, events, pool }) =>
      Effect.gen(function* () {
        children.all()[0]?.setMemory(201_000_000)
        yield* TestClock.adjust("1 second")
        assert.deepInclude(
          events.find((event) => event._tag === "MemoryLimitPassed"),
          { key: 0, incarnation: 1, limit: "hard", bytes: 201_000_000 }
        )
        assert.deepInclude(
          events.find((event) => event._tag === "WorkerExited"),
          { incarnation: 1, cause: "memory", expected: false }
        )
        yield* TestClock.adjust("1 second")
        assert.deepInclude(yield* pool.info, { ready: 2 })
        assert.notInclude(
          events.map((event) => event._tag),
          "WorkerRecycling"
        )
      })
    )
  )
})

describe("WorkerPool: reload and size", () => {
  it.effect("reloads all workers under load without failing a request (P6)", () =>
    setup({ size: 3 }, ({ children, pool }) =>
      Effect.gen(function* () {
        const load = yield* Effect.forkChild(
          Effect.forEach(range(3000), (text) => Effect.exit(pool.client.Echo({ text })), { concurrency: 7 })
        )
        yield* pool.reload
        const ends = yield* Fiber.join(load)
        assert.deepStrictEqual(
          ends.map((exit) => (Exit.isSuccess(exit) ? exit.value : errorTag(exit))),
          range(3000)
        )
        assert.deepStrictEqual(
          children.all().map((child) => child.exited() === null),
          [false, false, false, true, true, true]
        )
        assert.deepInclude(yield* pool.info, { size: 3, ready: 3, generation: 1 })
      })
    )
  )

  it.effect("a reload waits for jobs that run, and starts what the spec says then", () => {
    let version = 1
    return setup(
      { size: 1, worker: () => WorkerSpec.command("fake", [String(version)]) },
      ({ children, pool, probe }) =>
        Effect.gen(function* () {
          const long = yield* begin(pool.client.Wait({ gate: "long" }))
          version = 2
          const reload = yield* begin(pool.reload)
          assert.isUndefined(reload.pollUnsafe())
          assert.strictEqual(yield* pool.client.Who(), 2)
          yield* probe.open("long")
          assert.strictEqual(yield* Fiber.join(long), "long")
          yield* Fiber.join(reload)
          assert.deepStrictEqual(
            children.all().map((child) => child.spec._tag === "Command" && child.spec.args),
            [["1"], ["2"]]
          )
        })
    )
  })

  it.effect("a reload whose new worker will not boot fails, and the old workers go on", () => {
    let broken = false
    return setup(
      {
        respawn: RespawnPolicy.intensity({ max: 3, within: "60 seconds" }),
        program: (info, probe) => (broken ? Effect.fail("syntax error") : program(probe, info))
      },
      ({ children, pool }) =>
        Effect.gen(function* () {
          broken = true
          const error = yield* Effect.flip(pool.reload)
          assert.deepInclude(error, { _tag: "RespawnLimitReached", key: "pool/0", crashes: 3 })
          assert.deepStrictEqual(yield* Effect.forEach(range(4), () => pool.client.Who()), [1, 2, 1, 2])
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(children.all().length, 5)
          broken = false
          yield* pool.reload
          assert.deepInclude(yield* pool.info, { ready: 2, generation: 2 })
          assert.isAbove(yield* pool.client.Who(), 5)
        })
    )
  })

  it.effect("grows when calls wait, up to its maximum, and shrinks when workers are idle", () =>
    setup({ size: { minimum: 1, maximum: 3 }, growAfter: 100, idleTimeout: "30 seconds" }, ({ events, pool, probe }) =>
      Effect.gen(function* () {
        assert.deepInclude(yield* pool.info, { size: 1, ready: 1 })
        const calls = yield* begin(
          Effect.forEach(range(5), (gate) => pool.client.Wait({ gate }), { concurrency: "unbounded" })
        )
        assert.deepInclude(yield* pool.info, { size: 1, queued: 4 })
        yield* TestClock.adjust(100)
        assert.deepInclude(yield* pool.info, { size: 3, ready: 3, running: 3, queued: 2 })
        yield* probe.open(...range(5))
        assert.deepStrictEqual(yield* Fiber.join(calls), range(5))
        yield* TestClock.adjust("30 seconds")
        assert.deepInclude(yield* pool.info, { size: 1, ready: 1 })
        assert.deepStrictEqual(
          events.flatMap((event) => (event._tag === "PoolResized" ? [event.size] : [])),
          [1, 2, 3, 2, 1]
        )
      })
    )
  )

  it.effect("is resized without failing a request", () =>
    setup({ size: 3 }, ({ pool, probe }) =>
      Effect.gen(function* () {
        const calls = yield* begin(
          Effect.forEach(range(3), (gate) => pool.client.Wait({ gate }), { concurrency: "unbounded" })
        )
        yield* pool.resize(1)
        assert.deepInclude(yield* pool.info, { size: 1, running: 3 })
        yield* probe.open(...range(3))
        assert.deepStrictEqual(yield* Fiber.join(calls), range(3))
        yield* settle
        assert.strictEqual((yield* pool.info).workers.length, 1)
        yield* pool.resize(4)
        yield* pool.ready
        assert.deepInclude(yield* pool.info, { size: 4, ready: 4 })
      })
    )
  )
})

describe("WorkerPool: streams", () => {
  it.effect("streams in order, with typed errors, no further ahead than the reader's window", () =>
    setup({}, ({ pool, probe }) =>
      Effect.gen(function* () {
        const all = yield* Stream.runCollect(pool.client.Count({ to: 500 }))
        assert.deepStrictEqual(
          [...all],
          Array.from({ length: 500 }, (_, i) => i + 1)
        )
        const error = yield* Effect.flip(Stream.runCollect(pool.client.Count({ to: -1 })))
        assert.deepInclude(error, { _tag: "Refused", code: -1 })
        probe.pulled = 0
        const some = yield* pool.client.Count({ to: 100_000 }).pipe(Stream.take(10), Stream.runCollect)
        yield* settle
        assert.strictEqual([...some].length, 10)
        assert.isBelow(probe.pulled, 200)
        assert.deepInclude(yield* pool.info, { running: 0 })
      })
    )
  )

  it.effect("a stream whose worker sends more characters than its reader may be behind fails", () =>
    setup({ size: 1 }, ({ children, pool }) =>
      Effect.gen(function* () {
        const reading = yield* begin(Effect.exit(Stream.runDrain(pool.client.Stall({ gate: "never" }))))
        const chunk = { t: "chunk", id: 1, values: [], padding: "x".repeat(1024 * 1024) }
        // All at once: the reader has no time to take any.
        for (let n = 0; n < 5; n++) children.all()[0]?.channel.sendUnsafe(chunk)
        const exit = yield* Fiber.join(reading)
        assert.isTrue(Exit.isFailure(exit))
        assert.include(String(exit), "4194304 characters, that were not acknowledged")
      })
    )
  )

  it.effect("a stream holds its worker, and frees it when its reader goes", () =>
    setup({ size: 1 }, ({ pool, probe }) =>
      Effect.gen(function* () {
        const reader = yield* begin(Stream.runDrain(pool.client.Stall({ gate: "never" })))
        const next = yield* begin(pool.client.Who())
        assert.isUndefined(next.pollUnsafe())
        yield* Fiber.interrupt(reader)
        assert.strictEqual(yield* Fiber.join(next), 1)
        assert.deepStrictEqual(probe.interrupted, ["never"])
      })
    )
  )

  it.effect("bounds the time that a worker takes for its next items", () =>
    setup({ size: 1, execTimeout: "1 second" }, ({ pool }) =>
      Effect.gen(function* () {
        const items: Array<number> = []
        const reader = yield* begin(
          Effect.flip(
            Stream.runForEach(pool.client.Stall({ gate: "never" }), (item) => Effect.sync(() => items.push(item)))
          )
        )
        yield* TestClock.adjust("1 second")
        assert.deepInclude(yield* Fiber.join(reader), { _tag: "CallTimeout", method: "Stall" })
        assert.deepStrictEqual(items, [1])
      })
    )
  )

  it.effect("does not take a slow reader for a slow worker", () =>
    setup({ size: 1, execTimeout: "1 second" }, ({ pool }) =>
      Effect.gen(function* () {
        const slowly = (item: number) => (item <= 5 ? Effect.sleep("10 seconds") : Effect.void)
        // More than the reader's window, so that the worker has to wait for the reader.
        const reader = yield* begin(Stream.runCollect(Stream.tap(pool.client.Count({ to: 200 }), slowly)))
        yield* TestClock.adjust("45 seconds")
        assert.deepInclude(yield* pool.info, { running: 1 })
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual([...(yield* Fiber.join(reader))].length, 200)
        assert.strictEqual(yield* pool.client.Who(), 1)
      })
    )
  )

  it.effect("lets a stream that goes on take longer than its bound in all", () =>
    setup({ size: 1, execTimeout: "1 second" }, ({ pool }) =>
      Effect.gen(function* () {
        const reader = yield* begin(Stream.runCollect(pool.client.Slow({ items: 5, ms: 900 })))
        for (let item = 0; item < 5; item++) yield* TestClock.adjust(900)
        assert.deepStrictEqual([...(yield* Fiber.join(reader))], [1, 2, 3, 4, 5])
        assert.strictEqual(yield* pool.client.Who(), 1)
      })
    )
  )

  it.effect("gives the worker its time from when the reader has taken what there was", () =>
    setup({ size: 1, execTimeout: "1 second" }, ({ pool, probe }) =>
      Effect.gen(function* () {
        // The reader takes the third item at 2.6 seconds, and the worker is asked for the next from then on.
        const items = Stream.tap(pool.client.Parts({ items: 3, gate: "last" }), () => Effect.sleep(1300))
        const reader = yield* begin(Stream.runCollect(items))
        yield* TestClock.adjust(3400)
        yield* probe.open("last")
        yield* TestClock.adjust(5000)
        assert.deepStrictEqual([...(yield* Fiber.join(reader))], [1, 2, 3, 4])
        assert.strictEqual(yield* pool.client.Who(), 1)
      })
    )
  )

  it.effect("a stream ends with WorkerDied when its worker does", () =>
    setup({ size: 1 }, ({ children, pool }) =>
      Effect.gen(function* () {
        const reader = yield* begin(Effect.flip(Stream.runDrain(pool.client.Stall({ gate: "never" }))))
        yield* children.living("pool/0").exit({ code: 9, signal: null })
        assert.deepInclude(yield* Fiber.join(reader), { _tag: "WorkerDied", exit: { code: 9, signal: null } })
      })
    )
  )
})

describe("WorkerPool: the end", () => {
  it.effect("shutdown ends the calls that it has, takes no more, and leaves no process (P6)", () =>
    setup({ size: 1 }, ({ children, pool, probe }) =>
      Effect.gen(function* () {
        const calls = yield* begin(
          Effect.forEach(["a", "b"], (gate) => pool.client.Wait({ gate }), { concurrency: "unbounded" })
        )
        const down = yield* begin(pool.shutdown())
        assert.deepInclude(yield* Effect.flip(pool.client.Who()), { _tag: "WorkerStopped" })
        assert.deepInclude(yield* Effect.flip(pool.reload), { _tag: "WorkerStopped" })
        yield* probe.open("a", "b")
        assert.deepStrictEqual(yield* Fiber.join(calls), ["a", "b"])
        yield* Fiber.join(down)
        assert.isTrue(children.all().every((child) => child.exited() !== null))
        assert.deepInclude(yield* pool.info, { state: "closed" })
        yield* pool.shutdown()
      })
    )
  )

  it.effect("shutdown cuts off at its bound what does not end (P6)", () =>
    setup({ size: 1, stop: StopPolicy.make({ polite: "1 second", term: "1 second" }) }, ({ children, pool }) =>
      Effect.gen(function* () {
        children.stubborn("pool/0", true)
        const running = yield* begin(Effect.exit(pool.client.Wait({ gate: "never" })))
        const queued = yield* begin(Effect.exit(pool.client.Echo({ text: "queued" })))
        const down = yield* begin(pool.shutdown({ within: "10 seconds" }))
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(errorTag(yield* Fiber.join(queued)), "WorkerStopped")
        assert.isUndefined(down.pollUnsafe())
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(down)
        assert.strictEqual(errorTag(yield* Fiber.join(running)), "WorkerStopped")
        assert.deepStrictEqual(children.all()[0]?.signals, ["SIGTERM", "SIGKILL"])
      })
    )
  )

  it.effect("a boot that keeps failing does not outlive a shutdown (P1)", () =>
    setup(
      { size: 1, respawn: RespawnPolicy.spaced("1 second"), program: () => Effect.fail("broken") },
      ({ children, pool }) =>
        Effect.gen(function* () {
          const call = yield* begin(Effect.exit(pool.client.Who()))
          yield* pool.shutdown()
          assert.strictEqual(errorTag(yield* Fiber.join(call)), "WorkerStopped")
          const count = children.all().length
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(children.all().length, count)
        })
    )
  )

  it.effect("closing the scope stops all workers, and those that boot", () =>
    Effect.gen(function* () {
      let children: FakeSpawner.FakeChildren["Service"] | undefined
      yield* setup(
        { program: (info, probe) => (info.key === "pool/0" ? Effect.never : program(probe, info)) },
        (test) =>
          Effect.sync(() => {
            children = test.children
          })
      ).pipe(
        Effect.forkChild,
        Effect.tap(settle),
        Effect.tap(TestClock.adjust("10 seconds")),
        Effect.flatMap(Fiber.join)
      )
      assert.isTrue(children?.all().every((child) => child.exited() !== null))
    })
  )

  it.effect("an onEvent that dies harms nothing", () =>
    setup({ onEvent: () => Effect.die("oops") }, ({ pool }) =>
      Effect.gen(function* () {
        assert.strictEqual(yield* pool.client.Echo({ text: "hi" }), "hi")
      })
    )
  )
})

describe("WorkerPool.config (P8)", () => {
  const read = (env: Record<string, string>) =>
    Effect.provideService(WorkerPool.config("PDF_POOL"), ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

  it.effect("reads what is set, and nothing else", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read({}), {})
      assert.deepStrictEqual(
        yield* read({
          PDF_POOL_SIZE: "2-8",
          PDF_POOL_QUEUE: "0",
          PDF_POOL_CONCURRENCY: "3",
          PDF_POOL_EXEC_TIMEOUT: "90s",
          PDF_POOL_WAIT_TIMEOUT: "500ms",
          PDF_POOL_CANCEL_TIMEOUT: "2s",
          PDF_POOL_BOOT_TIMEOUT: "1m",
          PDF_POOL_MAX_JOBS: "1000",
          PDF_POOL_TTL: "1h",
          PDF_POOL_GROW_AFTER: "10ms",
          PDF_POOL_IDLE_TIMEOUT: "5m",
          PDF_POOL_MEMORY_LIMIT: "512MiB",
          PDF_POOL_MEMORY_HARD_LIMIT: "1GiB",
          OTHER_SIZE: "7"
        }),
        {
          size: { minimum: 2, maximum: 8 },
          queue: 0,
          concurrencyPerWorker: 3,
          execTimeout: 90_000,
          waitTimeout: 500,
          cancelTimeout: 2000,
          bootTimeout: 60_000,
          maxJobs: 1000,
          ttl: 3_600_000,
          growAfter: 10,
          idleTimeout: 300_000,
          memoryLimit: 536_870_912,
          memoryHardLimit: 1_073_741_824
        }
      )
      assert.deepStrictEqual(yield* read({ PDF_POOL_SIZE: "4" }), { size: 4 })
    })
  )

  it.effect("refuses what makes no sense, with the name of the variable", () =>
    Effect.gen(function* () {
      const wrong = {
        SIZE: ["0", "-1", "8-2", "many", "2.5"],
        QUEUE: ["-1", "x"],
        CONCURRENCY: ["0"],
        EXEC_TIMEOUT: ["5", "soon", "-5s"],
        MAX_JOBS: ["-1"],
        MEMORY_LIMIT: ["big"]
      }
      for (const [name, values] of Object.entries(wrong)) {
        for (const value of values) {
          const error = yield* Effect.flip(read({ [`PDF_POOL_${name}`]: value }))
          assert.include(error.message, `PDF_POOL_${name}`, `${name}=${value}`)
        }
      }
    })
  )

  it.effect("overrides what the code says, when spread over it", () =>
    Effect.gen(function* () {
      const settings = yield* read({ PDF_POOL_SIZE: "3" })
      yield* setup({ size: 1, queue: 5, ...settings }, ({ pool }) =>
        Effect.gen(function* () {
          assert.deepInclude(yield* pool.info, { size: 3, ready: 3 })
        })
      )
    })
  )
})
