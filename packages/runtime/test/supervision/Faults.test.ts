/** What must not happen whatever users' code, workers and callers do at the wrong moment. */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Spawner from "@nerve/runtime/supervision/Spawner"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import { Cause, Clock, Effect, Exit, Fiber, Latch, Layer, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { EchoRpcs, makeProbe, program, ways } from "./EchoWorker.ts"
import { errorTag, settle, setup, staying } from "./harness.ts"

const exitsOf = (events: ReadonlyArray<WorkerEvent<string>>) => events.filter((event) => event._tag === "WorkerExited")

const livingOf = (children: FakeSpawner.FakeChildren["Service"]) =>
  children.all().filter((child) => child.exited() === null)

/** A fork that nothing but the test's end interrupts, and how it ended. */
const inBackground = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(Effect.exit(effect))

describe("users' functions that throw", () => {
  it.effect("one that names the worker: the key is given up, nobody waits for ever", () =>
    setup(
      {
        respawn: RespawnPolicy.intensity({ max: 2, within: "1 minute" }),
        worker: () => {
          throw new Error("no such worker")
        }
      },
      ({ events, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          assert.deepInclude(yield* Effect.flip(a.Echo({ text: "x" })), {
            _tag: "RespawnLimitReached",
            lastFailure: "cannot start: no such worker"
          })
          assert.strictEqual(exitsOf(events).length, 2)
        })
    )
  )

  it.effect("one that may veto a respawn: the key is given up and comes back by reset", () => {
    let broken = true
    return setup(
      {
        shouldRespawn: () => {
          if (broken) throw new Error("broken veto")
          return true
        }
      },
      ({ children, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          yield* runtime.start("a")
          yield* children.living("a").exit({ code: 1, signal: null })
          const error = yield* Effect.flip(a.Echo({ text: "x" }))
          assert.deepInclude(error, { _tag: "RespawnLimitReached" })
          assert.include(error.message, "broken veto")
          broken = false
          yield* runtime.reset("a")
          assert.strictEqual(yield* a.Echo({ text: "back" }), "back")
        })
    )
  })
})

describe("policies that are none", () => {
  it.effect("one that throws gives the key up, and says by what", () => {
    const throwing: RespawnPolicy.RespawnPolicy = Schedule.fromStep(
      Effect.succeed(() => {
        throw new Error("broken policy")
      })
    )
    return setup({ respawn: throwing }, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        yield* children.living("a").exit({ code: 1, signal: null })
        yield* settle
        const error = yield* Effect.flip(runtime.start("a"))
        assert.deepInclude(error, {
          _tag: "RespawnLimitReached",
          lastFailure: "the respawn policy failed: broken policy"
        })
        assert.deepInclude(events.at(-1), { _tag: "WorkerGivenUp", reason: "the respawn policy failed: broken policy" })
      })
    )
  })

  it.effect("one that never answers holds up no eviction (R7)", () =>
    setup({ respawn: Schedule.fromStep(Effect.succeed(() => Effect.never)) }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        yield* children.living("a").exit({ code: 1, signal: null })
        const waiting = yield* inBackground(a.Echo({ text: "x" }))
        yield* settle
        const evicted = yield* inBackground(runtime.evict("a"))
        yield* settle
        assert.deepStrictEqual(evicted.pollUnsafe(), Exit.succeed(Exit.void))
        assert.strictEqual(errorTag(yield* Fiber.join(waiting)), "WorkerStopped")
        assert.strictEqual(yield* a.Echo({ text: "anew" }), "anew")
      })
    )
  )
})

describe("the crash window", () => {
  it.effect("does not depend on the wall clock (R6)", () =>
    setup({ respawn: RespawnPolicy.intensity({ max: 3, within: "10 seconds" }) }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const crash = Effect.gen(function* () {
          yield* runtime.start("a")
          yield* children.living("a").exit({ code: 1, signal: null })
          yield* settle
        })
        yield* TestClock.adjust("1 hour")
        yield* crash
        yield* crash
        // The clock is set back by an hour; a minute passes.
        yield* TestClock.setTime(0)
        yield* TestClock.adjust("1 minute")
        yield* crash
        yield* runtime.start("a")
        assert.strictEqual((yield* runtime.info("a")).incarnation, 4)
      })
    )
  )
})

describe("streams and calls in flight", () => {
  it.effect("a stream longer than its window finishes while its worker drains (R3)", () =>
    setup({}, ({ probe, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const reading = Latch.makeUnsafe(false)
        const all = yield* inBackground(
          a.Count({ to: 1000 }).pipe(
            Stream.tap((item) => (item === 1 ? reading.await : Effect.void)),
            Stream.runCount
          )
        )
        yield* settle
        const draining = yield* Effect.forkChild(runtime.drain("a"))
        yield* settle
        reading.openUnsafe()
        yield* settle
        assert.deepStrictEqual(yield* Fiber.join(all), Exit.succeed(1000))
        yield* Fiber.join(draining)
        assert.strictEqual(probe.pulled, 1000)
      })
    )
  )

  it.effect("a call whose caller goes while the worker drains is cancelled in the worker", () =>
    setup({}, ({ probe, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const [first, second] = [yield* inBackground(a.Hang()), yield* inBackground(a.Hang())]
        yield* settle
        yield* Effect.forkChild(runtime.drain("a"))
        yield* settle
        yield* Fiber.interrupt(first)
        yield* settle
        assert.strictEqual(probe.interrupted, 1)
        assert.isUndefined(second.pollUnsafe())
        yield* Fiber.interrupt(second)
      })
    )
  )

  it.effect("a call made after the channel has closed waits for the next incarnation", () =>
    setup({ program: staying }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        children.living("a").channel.closeUnsafe()
        yield* settle
        const call = yield* inBackground(a.Echo({ text: "later" }))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(call), Exit.succeed("later"))
        assert.strictEqual(children.all().length, 2)
        yield* runtime.evict("a", StopPolicy.kill)
      })
    )
  )

  for (const how of ways) {
    it.effect(`an answer that cannot be sent is answered all the same: ${how}`, () =>
      setup({}, ({ children, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          const exit = yield* inBackground(a.Answer({ how })).pipe(Effect.flatMap(Fiber.join))
          assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
          assert.strictEqual(yield* a.Echo({ text: "still" }), "still")
          assert.strictEqual(children.all().length, 1)
        })
      )
    )
  }

  it.effect("a payload that is no JSON fails its call and no other, while it waits or at once", () =>
    setup({}, ({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const circular: { self?: unknown } = {}
        circular.self = circular
        const waiting = yield* inBackground(a.Any({ value: 10n }))
        const echo = yield* inBackground(a.Echo({ text: "after it" }))
        yield* settle
        assert.strictEqual(errorTag(yield* Fiber.join(waiting)), "ProtocolViolation")
        assert.deepStrictEqual(yield* Fiber.join(echo), Exit.succeed("after it"))
        assert.deepInclude(yield* Effect.flip(a.Any({ value: circular })), { _tag: "ProtocolViolation", method: "Any" })
        // Nothing is left in flight for a drain to wait for.
        yield* runtime.drain("a")
      })
    )
  )

  it.effect("a stream whose chunk is larger than a frame arrives in parts", () =>
    setup({}, ({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const items = yield* Stream.runCollect(a.Wide({ items: 13, length: 1024 * 1024 }))
        assert.deepStrictEqual(
          [...items].map((item) => item.length),
          Array.from({ length: 13 }, () => 1024 * 1024)
        )
        const exit = yield* Effect.exit(Stream.runCollect(a.Wide({ items: 2, length: 5 * 1024 * 1024 })))
        assert.include(String(exit), "an item of Wide is larger than a frame may be")
      })
    )
  )

  it.effect("an answer that is malformed fails its call, which would get no other", () =>
    setup({}, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const call = yield* inBackground(a.Hang())
        yield* settle
        children.living("a").channel.sendUnsafe({ t: "die", id: 1, defect: "text" })
        yield* settle
        assert.strictEqual(errorTag(yield* Fiber.join(call)), "ProtocolViolation")
        assert.strictEqual(events.filter((event) => event._tag === "ProtocolViolated").length, 1)
      })
    )
  )

  it.effect("a chunk without items is taken, acknowledged, and gives none", () =>
    setup({ program: () => Effect.never, stop: StopPolicy.kill }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const arrays: Array<ReadonlyArray<number>> = []
        const reading = yield* inBackground(
          Stream.runForEachArray(a.Count({ to: 1 }), (items) => Effect.sync(() => arrays.push(items)))
        )
        yield* settle
        const { channel } = children.living("a")
        channel.sendUnsafe({ t: "ready", v: 1, info: null })
        yield* settle
        // More of them than the window has, so that those that were taken must have left it.
        for (let i = 0; i < 200; i++) {
          channel.sendUnsafe({ t: "chunk", id: 1, values: i % 100 === 99 ? [i] : [] })
          yield* settle
        }
        channel.sendUnsafe({ t: "done", id: 1, value: null })
        assert.deepStrictEqual(yield* Fiber.join(reading), Exit.void)
        // Stream's own operators count on arrays that are not empty.
        assert.deepStrictEqual(arrays, [[99], [199]])
      })
    )
  )

  it.effect("a worker that sends more of a stream than its window fails that stream", () =>
    setup({ program: () => Effect.never, stop: StopPolicy.kill }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const never = yield* inBackground(
          a.Count({ to: 1 }).pipe(
            Stream.mapEffect(() => Effect.never),
            Stream.runDrain
          )
        )
        yield* settle
        const { channel } = children.living("a")
        channel.sendUnsafe({ t: "ready", v: 1, info: null })
        yield* settle
        for (let i = 0; i < 200; i++) channel.sendUnsafe({ t: "chunk", id: 1, values: [i] })
        yield* settle
        // Who reads nothing learns of it when it reads on; the worker has been told to stop.
        yield* Fiber.interrupt(never)
        const reading = yield* inBackground(Stream.runDrain(a.Count({ to: 1 }).pipe(Stream.tap(() => settle))))
        yield* settle
        for (let i = 0; i < 200; i++) channel.sendUnsafe({ t: "chunk", id: 2, values: [i] })
        yield* settle
        assert.strictEqual(errorTag(yield* Fiber.join(reading)), "ProtocolViolation")
      })
    )
  )
})

describe("what a stream holds in this process", () => {
  /** A chunk whose frame has a mebibyte, whatever its items. */
  const large = (id: number) => ({ t: "chunk", id, values: [1], padding: "x".repeat(1024 * 1024) })

  it.effect("a worker that sends more of a stream than a slow reader may be behind fails that stream", () =>
    setup({ program: () => Effect.never, stop: StopPolicy.kill }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const reads = Latch.makeUnsafe(false)
        const items: Array<number> = []
        const reading = yield* inBackground(
          Stream.runForEach(a.Count({ to: 1 }), (n) =>
            Effect.andThen(
              reads.await,
              Effect.sync(() => items.push(n))
            )
          )
        )
        yield* settle
        const { channel } = children.living("a")
        channel.sendUnsafe({ t: "ready", v: 1, info: null })
        yield* settle
        // The reader takes the first one; four more it may be behind.
        for (let n = 0; n < 5; n++) {
          channel.sendUnsafe(large(1))
          yield* settle
        }
        channel.sendUnsafe({ t: "log", level: "INFO", message: "so far it may", fields: {} })
        channel.sendUnsafe(large(1))
        yield* settle
        reads.openUnsafe()
        assert.strictEqual(errorTag(yield* Fiber.join(reading)), "ProtocolViolation")
        assert.strictEqual(items.length, 5)
      })
    )
  )

  it.effect("one that waits for its reader may send any number of them", () =>
    setup({ program: () => Effect.never, stop: StopPolicy.kill }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const reading = yield* inBackground(Stream.runCount(a.Count({ to: 1 })))
        yield* settle
        const { channel } = children.living("a")
        channel.sendUnsafe({ t: "ready", v: 1, info: null })
        yield* settle
        for (let n = 0; n < 20; n++) {
          channel.sendUnsafe(large(1))
          yield* settle
        }
        channel.sendUnsafe({ t: "done", id: 1, value: null })
        assert.deepStrictEqual(yield* Fiber.join(reading), Exit.succeed(20))
      })
    )
  )
})

describe("incarnations", () => {
  it.effect("what is left of a dead one writes to stderr: that is told, and is not its successor's (R10, R12)", () =>
    setup({}, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        const dead = children.living("a")
        yield* dead.exit({ code: 1, signal: null })
        yield* settle
        yield* runtime.start("a")
        children.living("a").output.line("stderr", "mine")
        dead.output.line("stderr", "a ghost's")
        yield* settle
        assert.strictEqual((yield* runtime.info("a")).stderrTail, "mine\n")
        const told = events.filter((event) => event._tag === "WorkerOutput")
        assert.deepStrictEqual(
          told.map(({ incarnation, line }) => [incarnation, line]),
          [
            [2, "mine"],
            [1, "a ghost's"]
          ]
        )
      })
    )
  )

  it.effect("a kill that was meant for one does not hit its successor (R12)", () => {
    const told = Latch.makeUnsafe(false)
    return setup(
      { onEvent: (event) => (event._tag === "WorkerExited" ? told.await : Effect.void) },
      ({ children, runtime }) =>
        Effect.gen(function* () {
          yield* runtime.start("a")
          yield* children.living("a").exit({ code: 1, signal: null })
          yield* settle
          yield* runtime.kill("a", "it hangs")
          told.openUnsafe()
          yield* settle
          yield* runtime.start("a")
          assert.deepInclude(yield* runtime.info("a"), { incarnation: 2, crashes: 1 })
        })
    )
  })

  it.effect("one that says ready while it is being stopped breaks no rule", () => {
    const booted = Latch.makeUnsafe(false)
    return setup({ program: (_info, probe) => Effect.andThen(booted.await, program(probe)) }, ({ events, runtime }) =>
      Effect.gen(function* () {
        yield* inBackground(runtime.start("a"))
        yield* settle
        const evicting = yield* Effect.forkChild(runtime.evict("a"))
        yield* settle
        booted.openUnsafe()
        yield* Fiber.join(evicting)
        assert.deepStrictEqual(
          events.filter((event) => event._tag === "ProtocolViolated"),
          []
        )
      })
    )
  })

  it.effect("one that closes its channel when asked to stop has the whole polite bound to exit (R9)", () =>
    setup(
      {
        stop: StopPolicy.make({ polite: "5 seconds", term: "5 seconds" }),
        program: (_info, probe) => Effect.andThen(program(probe), Effect.sleep("3 seconds"))
      },
      ({ children, runtime }) =>
        Effect.gen(function* () {
          yield* runtime.start("a")
          const child = children.living("a")
          const evicting = yield* Effect.forkChild(runtime.evict("a"))
          yield* settle
          child.channel.closeUnsafe()
          yield* TestClock.adjust("3 seconds")
          yield* Fiber.join(evicting)
          assert.deepStrictEqual(child.exited(), { code: 0, signal: null })
        })
    )
  )

  it.effect("the exit of one that could not be spawned while it was drained has its own number (R11)", () => {
    let spawns = 0
    const spawned = Latch.makeUnsafe(false)
    const slow = Layer.effect(
      Spawner.Spawner,
      Effect.map(Spawner.Spawner, ({ spawn }) => ({
        spawn: (spec: WorkerSpec.WorkerSpec, options: Parameters<typeof spawn>[1]) =>
          ++spawns === 1
            ? Effect.andThen(spawned.await, Effect.fail(new Spawner.SpawnFailed({ message: "no", cause: null })))
            : spawn(spec, options)
      }))
    )
    return Effect.scoped(
      Effect.gen(function* () {
        const events: Array<WorkerEvent<string>> = []
        const runtime = yield* WorkerRuntime.make({
          rpcs: EchoRpcs,
          worker: (_key: string) => WorkerSpec.command("fake"),
          onEvent: (event) => Effect.sync(() => void events.push(event))
        })
        const starting = yield* Effect.forkChild(runtime.start("a"))
        yield* settle
        const draining = yield* Effect.forkChild(runtime.drain("a"))
        yield* settle
        spawned.openUnsafe()
        yield* Fiber.join(draining)
        yield* Fiber.join(starting)
        assert.deepStrictEqual(
          exitsOf(events).map((event) => [event.incarnation, event.pid]),
          [[1, null]]
        )
      })
    ).pipe(
      Effect.provide(
        Layer.provide(
          slow,
          FakeSpawner.layer(() => program(makeProbe()))
        )
      )
    )
  })
})

describe("before anything else happens to a key", () => {
  it.effect(
    "what is left of its worker is gone: the next one starts, and the exit is told, only then (R8, R11)",
    () => {
      const released = Latch.makeUnsafe(false)
      let spawns = 0
      const slow = Layer.effect(
        Spawner.Spawner,
        Effect.map(Spawner.Spawner, ({ spawn }) => ({
          spawn: (spec: WorkerSpec.WorkerSpec, options: Parameters<typeof spawn>[1]) =>
            Effect.suspend(() => {
              spawns += 1
              return Effect.andThen(
                Effect.addFinalizer(() => released.await),
                spawn(spec, options)
              )
            })
        }))
      )
      const events: Array<WorkerEvent<string>> = []
      return Effect.gen(function* () {
        const children = yield* FakeSpawner.FakeChildren
        const runtime = yield* WorkerRuntime.make({
          rpcs: EchoRpcs,
          worker: (_key: string) => WorkerSpec.command("fake"),
          respawn: RespawnPolicy.immediately,
          onEvent: (event) => Effect.sync(() => void events.push(event))
        })
        const a = yield* runtime.client("a")
        const hang = yield* inBackground(a.Hang())
        yield* settle
        yield* children.living("a").exit({ code: 1, signal: null })
        const next = yield* inBackground(a.Echo({ text: "next" }))
        yield* settle
        assert.strictEqual(spawns, 1)
        assert.deepStrictEqual(exitsOf(events), [])
        released.openUnsafe()
        assert.deepStrictEqual(yield* Fiber.join(next), Exit.succeed("next"))
        assert.strictEqual(errorTag(yield* Fiber.join(hang)), "WorkerDied")
        assert.strictEqual(spawns, 2)
      }).pipe(
        Effect.scoped,
        Effect.provide(
          Layer.provideMerge(
            slow,
            FakeSpawner.layer(() => program(makeProbe()))
          )
        )
      )
    }
  )

  it.effect("a bound of a call that passed while this process stood still leaves time to read the answer", () =>
    Effect.gen(function* () {
      const clock = yield* TestClock.make()
      let skipped = 0
      // As after SIGSTOP: the clock has gone on, the timers have not.
      const jumping: TestClock.TestClock = {
        ...clock,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + BigInt(skipped) * 1_000_000n
      }
      const unread = Latch.makeUnsafe(false)
      const pipe = (fake: Spawner.Spawner["Service"]): Spawner.Spawner["Service"] => ({
        ...fake,
        spawn: (spec, options) =>
          Effect.map(fake.spawn(spec, options), (child) => ({
            ...child,
            channel: {
              ...child.channel,
              onFrameUnsafe: (receive) =>
                child.channel.onFrameUnsafe((frame) => {
                  const isReady = typeof frame === "object" && frame !== null && "v" in frame
                  if (isReady || unread.isOpen()) return receive(frame)
                  Effect.runFork(Effect.map(unread.await, () => receive(frame)))
                })
            }
          }))
      })
      yield* setup({ spawner: pipe, heartbeat: false }, ({ runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          const call = yield* inBackground(a.Echo({ text: "there" }, { timeoutMs: 5000 }))
          const items = yield* inBackground(Stream.runCount(a.Count({ to: 5 }, { timeoutMs: 5000 })))
          const never = yield* inBackground(Effect.flip(a.Hang(undefined, { timeoutMs: 5000 })))
          yield* clock.adjust(0)
          skipped = 600_000
          yield* clock.adjust("5 seconds")
          for (const one of [call, items, never]) assert.isUndefined(one.pollUnsafe())
          unread.openUnsafe()
          yield* clock.adjust(0)
          assert.deepStrictEqual(yield* Fiber.join(call), Exit.succeed("there"))
          assert.deepStrictEqual(yield* Fiber.join(items), Exit.succeed(5))
          // What has no answer fails all the same, a second later.
          yield* clock.adjust("1 second")
          const late = yield* Fiber.join(never)
          assert.deepInclude(Exit.isSuccess(late) ? late.value : late, { _tag: "CallTimeout", timeoutMs: 5000 })
        })
      ).pipe(Effect.provideService(Clock.Clock, jumping))
    })
  )

  it.effect("a bound for ready that passed while this process stood still begins anew (R8)", () =>
    Effect.gen(function* () {
      const clock = yield* TestClock.make()
      let skipped = 0
      // As after SIGSTOP: the clock has gone on, the timers have not.
      const jumping: TestClock.TestClock = {
        ...clock,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + BigInt(skipped) * 1_000_000n
      }
      const boot = Latch.makeUnsafe(false)
      yield* setup(
        { program: (_info, probe) => Effect.andThen(boot.await, program(probe)) },
        ({ children, events, runtime }) =>
          Effect.gen(function* () {
            const starting = yield* inBackground(runtime.start("a"))
            yield* clock.adjust(0)
            skipped = 600_000
            yield* clock.adjust("10 seconds")
            assert.deepStrictEqual(exitsOf(events), [])
            boot.openUnsafe()
            yield* clock.adjust(0)
            assert.deepStrictEqual(yield* Fiber.join(starting), Exit.void)
            assert.lengthOf(children.all(), 1)
          })
      ).pipe(Effect.provideService(Clock.Clock, jumping))
    })
  )
})

describe("backpressure", () => {
  it.effect("calls that wait while a worker's ready is being told do not spin", () => {
    const told = Latch.makeUnsafe(false)
    let looks = 0
    const counted = Layer.effect(
      Spawner.Spawner,
      Effect.map(Spawner.Spawner, ({ spawn }) => ({
        spawn: (spec: WorkerSpec.WorkerSpec, options: Parameters<typeof spawn>[1]) =>
          Effect.map(spawn(spec, options), (child) => ({
            ...child,
            channel: {
              ...child.channel,
              drained: Effect.suspend(() => {
                looks += 1
                return child.channel.drained
              })
            }
          }))
      }))
    )
    return Effect.scoped(
      Effect.gen(function* () {
        const runtime = yield* WorkerRuntime.make({
          rpcs: EchoRpcs,
          worker: (_key: string) => WorkerSpec.command("fake"),
          onEvent: (event) => (event._tag === "WorkerReady" ? told.await : Effect.void)
        })
        const a = yield* runtime.client("a")
        yield* inBackground(runtime.start("a"))
        yield* settle
        const call = yield* Effect.forkChild(a.Echo({ text: "x" }))
        for (let i = 0; i < 20; i++) yield* settle
        assert.isAtMost(looks, 2)
        told.openUnsafe()
        assert.strictEqual(yield* Fiber.join(call), "x")
      })
    ).pipe(
      Effect.provide(
        Layer.provide(
          counted,
          FakeSpawner.layer(() => program(makeProbe()))
        )
      )
    )
  })
})

describe("stopping", () => {
  const ladder = StopPolicy.make({ polite: "5 seconds", term: "5 seconds" })

  it.effect("an eviction whose caller goes is carried through", () =>
    setup({ stop: ladder }, ({ children, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        children.stubborn("a", true)
        const evicting = yield* Effect.forkChild(Effect.timeoutOption(runtime.evict("a"), "1 second"))
        yield* settle
        yield* TestClock.adjust("1 second")
        // Who bounds the wait gets it bounded.
        assert.strictEqual((yield* Fiber.join(evicting))._tag, "None")
        assert.strictEqual(livingOf(children).length, 1)
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual(livingOf(children).length, 0)
        children.stubborn("a", false)
      })
    )
  )

  it.effect("calls that wait fail as soon as their worker is evicted, not at the ladder's end", () =>
    setup({ stop: ladder, program: () => Effect.never }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const call = yield* inBackground(a.Echo({ text: "x" }))
        const starting = yield* inBackground(runtime.start("a"))
        yield* settle
        children.stubborn("a", true)
        yield* Effect.forkChild(runtime.evict("a"))
        yield* settle
        assert.strictEqual(errorTag(yield* Fiber.join(call)), "WorkerStopped")
        assert.strictEqual(errorTag(yield* Fiber.join(starting)), "WorkerStopped")
        yield* TestClock.adjust("10 seconds")
      })
    )
  )

  it.effect("a second eviction with shorter bounds hurries the first", () =>
    setup({ stop: ladder }, ({ children, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        children.stubborn("a", true)
        const first = yield* Effect.forkChild(runtime.evict("a"))
        yield* settle
        yield* runtime.evict("a", StopPolicy.kill)
        yield* Fiber.join(first)
        assert.deepStrictEqual(children.all()[0]?.signals, ["SIGKILL"])
      })
    )
  )

  it.effect("asking again does not start the ladder anew", () =>
    setup({ stop: ladder }, ({ children, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        children.stubborn("a", true)
        const stops = []
        for (let i = 0; i < 4; i++) {
          stops.push(yield* Effect.forkChild(runtime.shutdown))
          yield* TestClock.adjust("2500 millis")
        }
        yield* settle
        assert.deepStrictEqual(children.all()[0]?.exited(), { code: null, signal: "SIGKILL" })
        yield* Fiber.joinAll(stops)
      })
    )
  )

  it.effect("a reset that is under way does not revive what is being shut down", () =>
    setup({ respawn: RespawnPolicy.never }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        yield* children.living("a").exit({ code: 1, signal: null })
        yield* settle
        yield* Effect.all([runtime.reset("a"), runtime.shutdown], { concurrency: "unbounded" })
        assert.strictEqual(errorTag(yield* Effect.exit(a.Echo({ text: "x" }))), "WorkerStopped")
        assert.strictEqual(children.all().length, 1)
      })
    )
  )

  it.effect("after the shutdown calls are refused without a trace", () =>
    setup({}, ({ runtime }) =>
      Effect.gen(function* () {
        yield* runtime.shutdown
        const a = yield* runtime.client("a")
        for (let i = 0; i < 3; i++)
          assert.strictEqual(errorTag(yield* Effect.exit(a.Echo({ text: "x" }))), "WorkerStopped")
        assert.isFalse(runtime.has("a"))
      })
    )
  )

  it.effect("whoever asks for something after the runtime's scope has closed does not wait for ever", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const runtime = yield* Scope.provide(
        WorkerRuntime.make({ rpcs: EchoRpcs, worker: (_key: string) => WorkerSpec.command("fake") }),
        scope
      )
      yield* runtime.start("a")
      yield* Scope.close(scope, Exit.void)
      const a = yield* runtime.client("a")
      const all = yield* Effect.forkChild(
        Effect.gen(function* () {
          yield* runtime.drain("a")
          yield* runtime.reset("a")
          yield* runtime.kill("a")
          yield* runtime.shutdown
          const answers = [
            errorTag(yield* Effect.exit(runtime.start("a"))),
            errorTag(yield* Effect.exit(a.Echo({ text: "x" })))
          ]
          yield* runtime.evict("a")
          return answers
        })
      )
      yield* settle
      assert.deepStrictEqual(all.pollUnsafe(), Exit.succeed(["WorkerStopped", "WorkerStopped"]))
    }).pipe(Effect.provide(FakeSpawner.layer(() => program(makeProbe()))))
  )

  it.effect("what a worker printed last is told before the runtime is gone", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      yield* Effect.scoped(
        Effect.gen(function* () {
          const runtime = yield* WorkerRuntime.make({
            rpcs: EchoRpcs,
            worker: (_key: string) => WorkerSpec.command("fake"),
            onEvent: (event) =>
              event._tag === "WorkerOutput"
                ? Effect.andThen(
                    Effect.yieldNow,
                    Effect.sync(() => void lines.push(event.line))
                  )
                : Effect.void
          })
          yield* runtime.start("a")
          const child = (yield* FakeSpawner.FakeChildren).living("a")
          for (let i = 0; i < 50; i++) child.output.line("stdout", `line ${i}`)
        })
      )
      assert.strictEqual(lines.length, 50)
    }).pipe(Effect.provide(FakeSpawner.layer(() => program(makeProbe()))))
  )
})
