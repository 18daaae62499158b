import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import { Cause, Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { EchoRpcs, makeProbe, program } from "./EchoWorker.ts"
import { errorTag, type Key, settle, setup, staying, tags } from "./harness.ts"

describe("WorkerRuntime", () => {
  it.effect("starts a worker with its first call and answers it (R1)", () =>
    setup({}, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        assert.strictEqual(children.all().length, 0)
        const a = yield* runtime.client("a")
        assert.strictEqual(yield* a.Echo({ text: "hi" }), "hi")
        assert.deepStrictEqual(tags(events), ["WorkerStarting", "WorkerReady"])
        assert.deepInclude(events[1], { pid: 1000, incarnation: 1, info: { greeting: "hello" } })
        assert.strictEqual((yield* runtime.info("a")).state, "ready")
        assert.isFalse(runtime.has("b"))
      })
    )
  )

  it.effect("starts one worker for many calls at once, and keeps their order (R1, R4)", () =>
    setup({}, ({ children, probe, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const texts = Array.from({ length: 200 }, (_, i) => String(i))
        yield* Effect.forEach(texts, (text) => a.Echo({ text }), { concurrency: "unbounded" })
        assert.deepStrictEqual(probe.echoed, texts)
        assert.strictEqual(children.all().length, 1)
      })
    )
  )

  it.effect("keeps order across a crash in the middle of cold start", () => {
    let first = true
    return setup(
      {
        program: (_info, probe) => {
          if (!first) return program(probe)
          first = false
          return Effect.never
        }
      },
      ({ children, probe, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          const calls = yield* Effect.forkChild(
            Effect.forEach(["1", "2", "3"], (text) => a.Echo({ text }), { concurrency: "unbounded" })
          )
          yield* settle
          yield* children.living("a").exit({ code: 3, signal: null })
          assert.deepStrictEqual(yield* Fiber.join(calls), ["1", "2", "3"])
          assert.deepStrictEqual(probe.echoed, ["1", "2", "3"])
          assert.strictEqual(children.all().length, 2)
        })
    )
  })

  it.effect("gives typed errors, defects and dates to the caller as they were", () =>
    setup({}, ({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const refused = yield* Effect.flip(a.Refuse({ why: "no" }))
        assert.deepInclude(refused, { _tag: "Refused", why: "no" })
        const died = yield* Effect.exit(a.Die({ why: "boom" }))
        assert.isTrue(Exit.isFailure(died) && Cause.hasDies(died.cause))
        const defect = Exit.isFailure(died) ? Cause.squash(died.cause) : undefined
        assert.deepInclude(defect, { name: "RangeError", message: "boom" })
        const at = new Date("2026-11-21T10:00:00Z")
        assert.deepStrictEqual(yield* a.WhenIs({ at }), at)
        assert.strictEqual(yield* a.Echo({ text: "still there" }), "still there")
      })
    )
  )

  it.effect("fails a call whose payload does not fit, without sending it (S7)", () =>
    setup({}, ({ probe, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const error = yield* Effect.flip(a.Echo({ text: 7 as unknown as string }))
        assert.deepInclude(error, { _tag: "ProtocolViolation", method: "Echo" })
        assert.deepStrictEqual(probe.echoed, [])
      })
    )
  )

  it.effect("streams in order, no further ahead than the reader's window, and stops when the reader does", () =>
    setup({}, ({ probe, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const all = yield* Stream.runCollect(a.Count({ to: 500 }))
        assert.deepStrictEqual(
          [...all],
          Array.from({ length: 500 }, (_, i) => i + 1)
        )
        probe.pulled = 0
        const some = yield* a.Count({ to: 100_000 }).pipe(Stream.take(10), Stream.runCollect)
        yield* settle
        assert.strictEqual([...some].length, 10)
        assert.isBelow(probe.pulled, 200)
        assert.deepInclude(yield* Effect.flip(Stream.runCollect(a.Count({ to: -1 }))), { _tag: "Refused" })
      })
    )
  )

  it.effect("cancels the work in the worker when the caller goes", () =>
    setup({}, ({ probe, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const hanging = yield* Effect.forkChild(a.Hang())
        yield* settle
        yield* Fiber.interrupt(hanging)
        yield* settle
        assert.strictEqual(probe.interrupted, 1)
      })
    )
  )

  it.effect("bounds a call by its own timeout, and tells the worker to stop", () =>
    setup({}, ({ probe, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const call = yield* Effect.forkChild(Effect.flip(a.Hang(undefined, { timeoutMs: 500 })))
        yield* TestClock.adjust(500)
        assert.deepInclude(yield* Fiber.join(call), { _tag: "CallTimeout", method: "Hang" })
        yield* settle
        assert.strictEqual(probe.interrupted, 1)
      })
    )
  )

  it.effect("fails what is in flight when the worker dies, respawns, and goes on (R5)", () =>
    setup({}, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const call = yield* Effect.forkChild(Effect.exit(a.Hang()))
        yield* settle
        children.living("a").output.line("stderr", "segmentation fault")
        // Exit code 0 that nobody asked for is a crash too.
        yield* children.living("a").exit({ code: 0, signal: null })
        assert.strictEqual(errorTag(yield* Fiber.join(call)), "WorkerDied")
        assert.strictEqual(yield* a.Echo({ text: "again" }), "again")
        const exited = events.find((event) => event._tag === "WorkerExited")
        assert.deepInclude(exited, {
          incarnation: 1,
          expected: false,
          exit: { code: 0, signal: null },
          stderrTail: "segmentation fault\n"
        })
        assert.strictEqual((yield* runtime.info("a")).incarnation, 2)
        assert.strictEqual((yield* runtime.info("a")).stderrTail, "")
      })
    )
  )

  it.effect("gives up at the n-th crash within the window, tells callers, and comes back by reset (R6)", () =>
    setup({ respawn: RespawnPolicy.intensity({ max: 3, within: "60 seconds" }) }, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        for (let crash = 1; crash <= 3; crash++) {
          yield* runtime.start("a")
          yield* children.living("a").exit({ code: 1, signal: null })
          yield* TestClock.adjust("1 second")
        }
        assert.deepInclude(yield* Effect.flip(a.Echo({ text: "x" })), {
          _tag: "RespawnLimitReached",
          crashes: 3,
          lastFailure: "exit code 1"
        })
        assert.strictEqual(children.all().length, 3)
        assert.include(tags(events), "WorkerGivenUp")
        assert.deepInclude(yield* Effect.flip(runtime.start("a")), { _tag: "RespawnLimitReached" })
        yield* runtime.reset("a")
        yield* settle
        assert.strictEqual(yield* a.Echo({ text: "back" }), "back")
      })
    )
  )

  it.effect("does not give up when the crashes are further apart than the window (R6)", () =>
    setup({ respawn: RespawnPolicy.intensity({ max: 2, within: "10 seconds" }) }, ({ children, runtime }) =>
      Effect.gen(function* () {
        for (let crash = 1; crash <= 10; crash++) {
          yield* runtime.start("a")
          yield* TestClock.adjust("11 seconds")
          yield* children.living("a").exit({ code: 1, signal: null })
          yield* settle
        }
        yield* runtime.start("a")
        assert.strictEqual((yield* runtime.info("a")).incarnation, 11)
      })
    )
  )

  it.effect("waits for the delay; evicting meanwhile takes effect at once (R7)", () =>
    setup({ respawn: RespawnPolicy.spaced("1 hour") }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        yield* children.living("a").exit({ code: 1, signal: null })
        yield* settle
        assert.strictEqual((yield* runtime.info("a")).state, "backoff")
        const waiting = yield* Effect.forkChild(Effect.exit(a.Echo({ text: "x" })))
        yield* settle
        yield* runtime.evict("a")
        assert.strictEqual(errorTag(yield* Fiber.join(waiting)), "WorkerStopped")
        yield* TestClock.adjust("2 hours")
        assert.strictEqual(children.all().length, 1)
      })
    )
  )

  it.effect("asks the veto before and after the delay (R7)", () => {
    let allowed = true
    return setup(
      { respawn: RespawnPolicy.spaced("10 seconds"), shouldRespawn: () => allowed },
      ({ children, runtime }) =>
        Effect.gen(function* () {
          yield* runtime.start("a")
          yield* children.living("a").exit({ code: 1, signal: null })
          yield* TestClock.adjust("5 seconds")
          allowed = false
          yield* TestClock.adjust("5 seconds")
          assert.strictEqual((yield* runtime.info("a")).state, "stopped")
          yield* runtime.start("a")
          yield* children.living("a").exit({ code: 1, signal: null })
          yield* settle
          assert.strictEqual((yield* runtime.info("a")).state, "stopped")
          assert.strictEqual(children.all().length, 2)
        })
    )
  })

  it.effect("kills and reaps a worker that is not ready in time before it starts another (R8)", () => {
    let boots = 0
    return setup(
      {
        program: (_info, probe) => {
          boots += 1
          return boots < 3 ? Effect.never : program(probe)
        }
      },
      ({ children, events, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          // Many calls wait for one boot at a time: no fork storm.
          const calls = yield* Effect.forkChild(
            Effect.forEach([1, 2, 3, 4, 5], (i) => a.Echo({ text: String(i) }), { concurrency: "unbounded" })
          )
          yield* TestClock.adjust("10 seconds")
          yield* TestClock.adjust("10 seconds")
          assert.deepStrictEqual(yield* Fiber.join(calls), ["1", "2", "3", "4", "5"])
          assert.strictEqual(children.all().length, 3)
          assert.deepStrictEqual(
            children.all().map((child) => child.signals.includes("SIGKILL")),
            [true, true, false]
          )
          assert.deepInclude(
            events.find((event) => event._tag === "WorkerExited"),
            { reason: "not ready within 10000 ms" }
          )
        })
    )
  })

  it.effect("treats a spawn that fails as a crash", () =>
    setup({ respawn: RespawnPolicy.intensity({ max: 2, within: "1 minute" }) }, ({ children, runtime }) =>
      Effect.gen(function* () {
        children.failSpawns("a", true)
        const error = yield* Effect.flip(runtime.start("a"))
        assert.deepInclude(error, { _tag: "RespawnLimitReached", lastFailure: "cannot start: the test says so" })
      })
    )
  )

  it.effect("goes down the stop ladder: ask, SIGTERM, SIGKILL (R9)", () =>
    setup({ stop: StopPolicy.make({ polite: "3 seconds", term: "2 seconds" }) }, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        yield* runtime.start("b")
        const [polite, stubborn] = [children.living("a"), children.living("b")]
        children.stubborn("b", true)
        yield* runtime.evict("a")
        assert.deepStrictEqual(polite.exited(), { code: 0, signal: null })
        assert.notInclude(polite.signals, "SIGTERM")
        const evicting = yield* Effect.forkChild(runtime.evict("b"))
        yield* settle
        assert.isFalse(runtime.has("b"))
        yield* TestClock.adjust("3 seconds")
        assert.deepStrictEqual(stubborn.signals, ["SIGTERM"])
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(evicting)
        assert.deepStrictEqual(stubborn.exited(), { code: null, signal: "SIGKILL" })
        const exits = events.filter((event) => event._tag === "WorkerExited")
        assert.deepStrictEqual(
          exits.map((event) => event.expected),
          [true, true]
        )
        assert.deepStrictEqual(
          exits.map((event) => event.reason),
          ["ask: exit code 0", "kill: SIGKILL"]
        )
      })
    )
  )

  it.effect("skips the polite step when the channel is dead (R9)", () =>
    setup({ program: staying }, ({ children, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        const child = children.living("a")
        child.channel.closeUnsafe()
        yield* settle
        yield* runtime.evict("a")
        assert.strictEqual(child.signals[0], "SIGTERM")
      })
    )
  )

  it.effect("kills a worker that closed its channel and stays", () =>
    setup({ program: staying, stop: StopPolicy.kill }, ({ children, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        children.living("a").channel.closeUnsafe()
        yield* settle
        assert.isNull(children.living("a").exited())
        yield* TestClock.adjust("1 second")
        yield* runtime.start("a")
        assert.strictEqual((yield* runtime.info("a")).incarnation, 2)
      })
    )
  )

  it.effect("drains: what is in flight finishes, what arrives meanwhile waits for the next one (R3, R4)", () =>
    setup({}, ({ children, events, probe, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const inFlight = yield* Effect.forkChild(a.Hang())
        yield* settle
        const draining = yield* Effect.forkChild(runtime.drain("a"))
        yield* settle
        const later = yield* Effect.forkChild(
          Effect.forEach(["1", "2"], (text) => a.Echo({ text }), { concurrency: "unbounded" })
        )
        yield* settle
        assert.strictEqual((yield* runtime.info("a")).state, "draining")
        assert.deepStrictEqual(probe.echoed, [])
        yield* Deferred.succeed(probe.release, "done")
        assert.strictEqual(yield* Fiber.join(inFlight), "done")
        yield* Fiber.join(draining)
        assert.deepStrictEqual(yield* Fiber.join(later), ["1", "2"])
        assert.strictEqual(children.all().length, 2)
        assert.deepInclude(
          events.find((event) => event._tag === "WorkerExited"),
          { expected: true }
        )
        assert.strictEqual((yield* runtime.info("a")).crashes, 0)
      })
    )
  )

  it.effect("a worker that dies while it finishes its work has crashed, not drained", () =>
    setup({}, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const inFlight = yield* Effect.forkChild(Effect.exit(a.Hang()))
        yield* settle
        const draining = yield* Effect.forkChild(runtime.drain("a"))
        yield* settle
        yield* children.living("a").exit({ code: null, signal: "SIGSEGV" })
        yield* Fiber.join(draining)
        assert.strictEqual(errorTag(yield* Fiber.join(inFlight)), "WorkerDied")
        assert.deepInclude(
          events.find((event) => event._tag === "WorkerExited"),
          { expected: false, reason: "SIGSEGV" }
        )
      })
    )
  )

  it.effect("bounds a drain whose work never ends", () =>
    setup({ stop: StopPolicy.make({ drain: "30 seconds" }) }, ({ probe, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const inFlight = yield* Effect.forkChild(Effect.exit(a.Hang()))
        yield* settle
        const draining = yield* Effect.forkChild(runtime.drain("a"))
        yield* TestClock.adjust("30 seconds")
        yield* Fiber.join(draining)
        assert.strictEqual(errorTag(yield* Fiber.join(inFlight)), "WorkerStopped")
        assert.strictEqual(probe.interrupted, 1)
      })
    )
  )

  it.effect("evicts during boot at once, and a call after it waits for the old process to be gone", () => {
    let boots = 0
    return setup(
      {
        stop: StopPolicy.make({ polite: "5 seconds", term: "5 seconds" }),
        program: (_info, probe) => {
          boots += 1
          return boots === 1 ? Effect.never : program(probe)
        }
      },
      ({ children, runtime }) =>
        Effect.gen(function* () {
          const starting = yield* Effect.forkChild(Effect.exit(runtime.start("a")))
          yield* settle
          children.stubborn("a", true)
          const evicting = yield* Effect.forkChild(runtime.evict("a"))
          yield* settle
          const a = yield* runtime.client("a")
          const call = yield* Effect.forkChild(a.Echo({ text: "new" }))
          yield* TestClock.adjust("9 seconds")
          assert.strictEqual(children.all().length, 1)
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(evicting)
          assert.strictEqual(errorTag(yield* Fiber.join(starting)), "WorkerStopped")
          assert.strictEqual(yield* Fiber.join(call), "new")
          assert.strictEqual(children.all().length, 2)
          children.stubborn("a", false)
        })
    )
  })

  it.effect("an event of a dead incarnation does not touch its successor (R12)", () =>
    setup({}, ({ children, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        const first = children.living("a")
        yield* first.exit({ code: 1, signal: null })
        yield* settle
        yield* runtime.start("a")
        yield* first.exit({ code: 9, signal: null })
        first.channel.sendUnsafe({ t: "ready", v: 1, info: null })
        yield* settle
        assert.deepInclude(yield* runtime.info("a"), { state: "ready", incarnation: 2, crashes: 1 })
      })
    )
  )

  it.effect("reports answers that nobody asked for, a second ready and garbage, and goes on", () =>
    setup({}, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const violations = yield* runtime.events.pipe(
          Stream.filter((event) => event._tag === "ProtocolViolated"),
          Stream.take(4),
          Stream.map((event) => event.detail),
          Stream.runCollect,
          Effect.forkChild
        )
        yield* settle
        const { channel } = children.living("a")
        channel.sendUnsafe({ t: "done", id: 99, value: "stray" })
        channel.sendUnsafe({ t: "ready", v: 1, info: null })
        channel.sendUnsafe({ nonsense: true })
        channel.sendUnsafe("text")
        assert.strictEqual(yield* a.Echo({ text: "fine" }), "fine")
        assert.deepStrictEqual(
          [...(yield* Fiber.join(violations))],
          [
            "an answer that nobody asked for: id 99",
            "a second ready",
            'not a frame of the protocol: {"nonsense":true}',
            'not a frame of the protocol: "text"'
          ]
        )
        assert.strictEqual(children.all().length, 1)
      })
    )
  )

  it.effect("does not give a late answer to another call", () =>
    setup({}, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const hanging = yield* Effect.forkChild(a.Hang())
        yield* settle
        yield* Fiber.interrupt(hanging)
        const second = yield* Effect.forkChild(Effect.exit(a.Hang()))
        yield* settle
        children.living("a").channel.sendUnsafe({ t: "done", id: 1, value: "for the first" })
        yield* settle
        assert.isUndefined(second.pollUnsafe())
        yield* Fiber.interrupt(second)
      })
    )
  )

  it.effect("bounds the mailbox (MailboxFull)", () =>
    setup({ mailbox: 2, program: () => Effect.never, stop: StopPolicy.kill }, ({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* Effect.forkChild(Effect.exit(a.Echo({ text: "1" })))
        yield* Effect.forkChild(Effect.exit(a.Echo({ text: "2" })))
        yield* settle
        assert.deepInclude(yield* Effect.flip(a.Echo({ text: "3" })), { _tag: "MailboxFull", capacity: 2 })
      })
    )
  )

  it.effect("lets calls wait while the channel is full, and sends them in order when it has drained", () =>
    setup({}, ({ children, probe, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        const parent = children.living("a").parentChannel
        parent.setFullUnsafe(true)
        const calls = yield* Effect.forkChild(
          Effect.forEach(["1", "2", "3"], (text) => a.Echo({ text }), { concurrency: "unbounded" })
        )
        yield* settle
        assert.deepStrictEqual(probe.echoed, [])
        parent.setFullUnsafe(false)
        yield* Fiber.join(calls)
        assert.deepStrictEqual(probe.echoed, ["1", "2", "3"])
      })
    )
  )

  it.effect("shuts down all workers side by side and takes no calls afterwards (R3)", () =>
    setup({ stop: StopPolicy.make({ polite: "5 seconds", term: "5 seconds" }) }, ({ children, runtime }) =>
      Effect.gen(function* () {
        yield* Effect.forEach(["a", "b", "c"] as const, (key) => runtime.start(key))
        for (const key of ["a", "b", "c"]) children.stubborn(key, true)
        const stopping = yield* Effect.forkChild(runtime.shutdown)
        yield* TestClock.adjust("5 seconds")
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(stopping)
        assert.isTrue(children.all().every((child) => child.exited() !== null))
        const a = yield* runtime.client("a")
        assert.deepInclude(yield* Effect.flip(a.Echo({ text: "x" })), { _tag: "WorkerStopped" })
        assert.strictEqual(children.all().length, 3)
      })
    )
  )

  it.effect("an onEvent that dies harms nothing", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const runtime = yield* WorkerRuntime.make({
          rpcs: EchoRpcs,
          worker: (_key: Key) => WorkerSpec.command("fake"),
          onEvent: () => Effect.die("onEvent is broken")
        })
        const a = yield* runtime.client("a")
        assert.strictEqual(yield* a.Echo({ text: "hi" }), "hi")
      })
    ).pipe(Effect.provide(FakeSpawner.layer(() => program(makeProbe()))))
  )

  it.effect("tells of changes as a stream (R2)", () =>
    setup({}, ({ runtime }) =>
      Effect.gen(function* () {
        const seen = yield* runtime.changes.pipe(
          Stream.map((all) => all.get("a")?.state),
          Stream.takeUntil((state) => state === "ready"),
          Stream.runCollect,
          Effect.forkChild
        )
        yield* settle
        yield* runtime.start("a")
        assert.strictEqual([...(yield* Fiber.join(seen))].at(-1), "ready")
      })
    )
  )
})
