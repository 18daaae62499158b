/** One key's worker when two things come at once, or come late: the shell around the machine. */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type * as Spawner from "@nerve/runtime/supervision/Spawner"
import { Deferred, Effect, Exit, Fiber, Latch, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { program } from "./EchoWorker.ts"
import { errorTag, settle, setup, tags } from "./harness.ts"

type Service = Spawner.Spawner["Service"]

const inBackground = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(Effect.exit(effect))

/** The fake Spawner, its children changed. */
const children =
  (change: (child: Spawner.Child) => Spawner.Child) =>
  (fake: Service): Service => ({
    ...fake,
    spawn: (spec, context) => Effect.map(fake.spawn(spec, context), change)
  })

/** The fake Spawner, with something before each spawn. */
const before =
  (wait: Effect.Effect<void>) =>
  (fake: Service): Service => ({ ...fake, spawn: (spec, context) => Effect.andThen(wait, fake.spawn(spec, context)) })

/** Children that can be left unread, as processes can. */
const readable = children((child) => ({
  ...child,
  reading: { pauseUnsafe: child.channel.pauseUnsafe, resumeUnsafe: child.channel.resumeUnsafe }
}))

describe("while the spawn is under way", () => {
  for (const [what, policy] of [
    ["an eviction", undefined],
    ["an eviction by force", StopPolicy.kill]
  ] as const) {
    it.effect(`${what} ends what comes of it (R9)`, () => {
      const spawned = Latch.makeUnsafe(false)
      return setup(
        { spawner: before(spawned.await), stop: StopPolicy.make({ polite: "1 second", term: "1 second" }) },
        ({ children, events, runtime }) =>
          Effect.gen(function* () {
            const starting = yield* inBackground(runtime.start("a"))
            yield* settle
            const evicting = yield* inBackground(runtime.evict("a", policy))
            yield* settle
            assert.strictEqual(errorTag(yield* Fiber.join(starting)), "WorkerStopped")
            spawned.openUnsafe()
            yield* TestClock.adjust("2 seconds")
            assert.deepStrictEqual(evicting.pollUnsafe(), Exit.succeed(Exit.void))
            assert.isNotNull(children.all()[0]?.exited())
            assert.deepInclude(events.at(-1), { _tag: "WorkerExited", expected: true })
          })
      )
    })
  }

  it.effect("a kill ends what comes of it, and that is a crash", () => {
    const spawned = Latch.makeUnsafe(false)
    return setup({ spawner: before(spawned.await) }, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        const starting = yield* inBackground(runtime.start("a"))
        yield* settle
        yield* runtime.kill("a", "told to")
        yield* settle
        spawned.openUnsafe()
        assert.deepStrictEqual(yield* Fiber.join(starting), Exit.void)
        assert.deepStrictEqual(children.all()[0]?.exited(), { code: null, signal: "SIGKILL" })
        assert.deepInclude(
          events.find((event) => event._tag === "WorkerExited"),
          { incarnation: 1, expected: false, cause: "killed", reason: "told to" }
        )
        assert.strictEqual((yield* runtime.info("a")).incarnation, 2)
      })
    )
  })
})

describe("what a dead incarnation still sends (R12)", () => {
  it.effect("answers nobody, makes nobody ready, and breaks no rule", () => {
    // A child of the dead process may hold its end of the channel.
    const receivers: Array<(frame: unknown) => void> = []
    const ghosts = children((child) => ({
      ...child,
      channel: {
        ...child.channel,
        onFrameUnsafe: (receive) => {
          receivers.push((frame) => receive(frame, 100))
          child.channel.onFrameUnsafe(receive)
        }
      }
    }))
    const boot = Latch.makeUnsafe(true)
    return setup(
      { spawner: ghosts, program: (_info, probe) => Effect.andThen(boot.await, program(probe)) },
      ({ children, events, probe, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          yield* runtime.start("a")
          boot.closeUnsafe()
          yield* children.living("a").exit({ code: 1, signal: null })
          const call = yield* inBackground(a.Hang())
          yield* settle
          const ghost = receivers[0]
          assert.isDefined(ghost)
          ghost({ t: "ready", v: 1, info: null })
          yield* settle
          assert.strictEqual((yield* runtime.info("a")).state, "starting")
          boot.openUnsafe()
          yield* settle
          for (let id = 1; id < 5; id++) ghost({ t: "done", id, value: "the ghost's" })
          ghost("no frame at all")
          yield* settle
          assert.isUndefined(call.pollUnsafe())
          yield* Deferred.succeed(probe.release, "its own")
          assert.deepStrictEqual(yield* Fiber.join(call), Exit.succeed("its own"))
          assert.notInclude(tags(events), "ProtocolViolated")
        })
    )
  })

  it.effect("does not make one ready that was told to die before it said so (R8)", () => {
    const exited = Deferred.makeUnsafe<void>()
    let first = true
    // Its exit takes a while, and it still speaks.
    const lingering = children((child) => {
      if (!first) return child
      first = false
      return { ...child, exit: Effect.andThen(Deferred.await(exited), child.exit), kill: () => Effect.succeed(true) }
    })
    const boot = Latch.makeUnsafe(false)
    return setup(
      { spawner: lingering, program: (_info, probe) => Effect.andThen(boot.await, program(probe)) },
      ({ children, events, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          const call = yield* inBackground(a.Echo({ text: "x" }))
          yield* TestClock.adjust("10 seconds")
          boot.openUnsafe()
          yield* settle
          assert.strictEqual((yield* runtime.info("a")).state, "starting")
          assert.isUndefined(call.pollUnsafe())
          yield* children.all()[0]?.exit({ code: null, signal: "SIGKILL" }) ?? Effect.void
          yield* Deferred.succeed(exited, undefined)
          assert.deepStrictEqual(yield* Fiber.join(call), Exit.succeed("x"))
          assert.deepStrictEqual(
            events.filter((event) => event._tag === "WorkerReady").map(({ incarnation }) => incarnation),
            [2]
          )
        })
    )
  })
})

describe("a worker that is not read, for its consumer is slow", () => {
  /** Takes a line each half second, until it is told to hurry. */
  const consumer = () => {
    let isSlow = true
    return {
      onEvent: (event: { readonly _tag: string }) =>
        isSlow && event._tag === "WorkerOutput" ? Effect.sleep(500) : Effect.void,
      hurry: Effect.suspend(() => {
        isSlow = false
        return TestClock.adjust(500)
      })
    }
  }
  const print = (child: { readonly output: Spawner.OutputSink }, lines: number) => {
    for (let line = 0; line < lines; line++) child.output.line("stdout", `${line}`)
  }

  it.effect("is not taken for hung", () => {
    const { hurry, onEvent } = consumer()
    return setup(
      { spawner: readable, onEvent, heartbeat: { interval: "1 second", timeout: "10 seconds" } },
      ({ children, events, runtime }) =>
        Effect.gen(function* () {
          yield* runtime.start("a")
          print(children.living("a"), 1100)
          yield* TestClock.adjust("2 minutes")
          assert.notInclude(tags(events), "WorkerHung")
          assert.strictEqual((yield* runtime.info("a")).incarnation, 1)
          yield* hurry
        })
    )
  })

  for (const [when, printed, later] of [
    ["before", 1100, 0],
    ["meanwhile", 0, 1100]
  ] as const) {
    it.effect(`is read when it drains, whatever it has printed ${when}: what is in flight finishes (R3)`, () => {
      const { hurry, onEvent } = consumer()
      return setup(
        { spawner: readable, onEvent, heartbeat: false, stop: StopPolicy.make({ drain: "5 seconds" }) },
        ({ children, probe, runtime }) =>
          Effect.gen(function* () {
            const a = yield* runtime.client("a")
            yield* runtime.start("a")
            const call = yield* inBackground(a.Hang())
            yield* settle
            const child = children.living("a")
            print(child, printed)
            const draining = yield* inBackground(runtime.drain("a"))
            yield* settle
            print(child, later)
            yield* Deferred.succeed(probe.release, "finished")
            yield* TestClock.adjust("100 millis")
            assert.deepStrictEqual(call.pollUnsafe(), Exit.succeed(Exit.succeed("finished")))
            assert.deepStrictEqual(draining.pollUnsafe(), Exit.succeed(Exit.void))
            yield* hurry
          })
      )
    })
  }
})

describe("bounds", () => {
  it.effect("those of one drain hold for it, and for no later one (R9)", () =>
    setup({ stop: StopPolicy.make({ drain: "30 seconds" }) }, ({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        for (const [bound, policy] of [
          [2, StopPolicy.make({ drain: "2 seconds" })],
          [30, undefined]
        ] as const) {
          yield* runtime.start("a")
          const call = yield* inBackground(a.Hang())
          yield* settle
          const draining = yield* inBackground(runtime.drain("a", policy))
          yield* TestClock.adjust(bound * 1000 - 1)
          assert.isUndefined(draining.pollUnsafe())
          yield* TestClock.adjust(1)
          assert.deepStrictEqual(draining.pollUnsafe(), Exit.succeed(Exit.void))
          assert.strictEqual(errorTag(yield* Fiber.join(call)), "WorkerStopped")
        }
      })
    )
  )

  it.effect("an eviction whose caller has gone is waited for by the next worker of the key (R4)", () =>
    setup({ stop: StopPolicy.make({ polite: "5 seconds", term: "5 seconds" }) }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* runtime.start("a")
        children.stubborn("a", true)
        yield* Effect.timeoutOption(runtime.evict("a"), "1 millis").pipe(Effect.forkChild)
        yield* TestClock.adjust("1 second")
        const call = yield* inBackground(a.Echo({ text: "next" }))
        yield* TestClock.adjust("8 seconds")
        assert.lengthOf(children.all(), 1)
        children.stubborn("a", false)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(call.pollUnsafe(), Exit.succeed(Exit.succeed("next")))
      })
    )
  )

  it.effect("stderr's tail is the last 2048 characters (R10)", () =>
    setup({}, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        const child = children.living("a")
        for (let line = 0; line < 100; line++) child.output.line("stderr", `${line} ${"x".repeat(96)}`)
        const { stderrTail } = yield* runtime.info("a")
        assert.lengthOf(stderrTail, 2048)
        assert.isTrue(stderrTail.endsWith(`99 ${"x".repeat(96)}\n`))
        yield* child.exit({ code: 1, signal: null })
        yield* settle
        assert.deepInclude(
          events.find((event) => event._tag === "WorkerExited"),
          { stderrTail }
        )
      })
    )
  )
})

describe("a giving up (R6)", () => {
  it.effect("is told before anybody is refused for it: what comes meanwhile waits, and fails with the rest", () => {
    const told = Latch.makeUnsafe(false)
    return setup(
      {
        respawn: RespawnPolicy.never,
        onEvent: (event) => (event._tag === "WorkerGivenUp" ? told.await : Effect.void)
      },
      ({ children, events, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          yield* runtime.start("a")
          yield* children.living("a").exit({ code: 1, signal: null })
          yield* settle
          assert.strictEqual(events.at(-1)?._tag, "WorkerGivenUp")
          const call = yield* inBackground(a.Echo({ text: "meanwhile" }))
          yield* settle
          assert.isUndefined(call.pollUnsafe())
          told.openUnsafe()
          assert.strictEqual(errorTag(yield* Fiber.join(call)), "RespawnLimitReached")
          assert.strictEqual(errorTag(yield* Effect.exit(a.Echo({ text: "later" }))), "RespawnLimitReached")
        }).pipe(Effect.ensuring(told.open))
    )
  })
})

describe("a reset (R6)", () => {
  it.effect("forgets the crashes, for the policy too", () =>
    setup({ respawn: RespawnPolicy.intensity({ max: 2, within: "1 hour" }) }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const crash = Effect.gen(function* () {
          yield* runtime.start("a")
          yield* children.living("a").exit({ code: 1, signal: null })
          yield* settle
        })
        yield* crash
        yield* crash
        assert.deepInclude(yield* runtime.info("a"), { state: "given-up", crashes: 2 })
        yield* runtime.reset("a")
        assert.deepInclude(yield* runtime.info("a"), { state: "stopped", crashes: 0 })
        yield* crash
        yield* runtime.start("a")
        assert.deepInclude(yield* runtime.info("a"), { state: "ready", crashes: 1 })
      })
    )
  )

  it.effect("by a policy that cannot be made any more gives the key up again, and nobody waits for ever", () => {
    let isBroken = false
    const policy: RespawnPolicy.RespawnPolicy = Schedule.fromStep(
      Effect.suspend(() => (isBroken ? Effect.die("broken policy") : Schedule.toStep(RespawnPolicy.never)))
    )
    return setup({ respawn: policy }, ({ children, runtime }) =>
      Effect.gen(function* () {
        const crash = Effect.gen(function* () {
          yield* runtime.start("a")
          yield* children.living("a").exit({ code: 1, signal: null })
          yield* settle
        })
        yield* crash
        isBroken = true
        yield* runtime.reset("a")
        yield* crash
        assert.deepInclude(yield* Effect.flip(runtime.start("a")), {
          _tag: "RespawnLimitReached",
          lastFailure: "the respawn policy failed: broken policy"
        })
      })
    )
  })
})

describe("an onOutputUnsafe that throws", () => {
  it.effect("harms neither the worker nor this process, and onEvent is told all the same", () =>
    setup(
      {
        onOutputUnsafe: () => {
          throw new Error("thrown by onOutputUnsafe")
        }
      },
      ({ children, events, runtime }) =>
        Effect.gen(function* () {
          yield* runtime.start("a")
          const child = children.living("a")
          child.output.line("stdout", "printed")
          child.channel.sendUnsafe({ t: "log", level: "INFO", message: "logged", fields: {} })
          yield* settle
          assert.deepStrictEqual(
            events.flatMap((event) => (event._tag === "WorkerOutput" ? [event.line] : [])),
            ["printed", "logged"]
          )
          assert.deepInclude(yield* runtime.info("a"), { state: "ready", incarnation: 1 })
        })
    )
  )
})
