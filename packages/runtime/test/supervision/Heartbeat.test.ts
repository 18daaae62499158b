/** Workers that are asked whether they still work, under simulated time. */
import { assert, describe, it } from "@effect/vitest"
import * as Frame from "@nerve/core/wire/Frame"
import * as Worker from "@nerve/runtime/ipc/Worker"
import type { Channel } from "@nerve/runtime/ipc/Channel"
import { Effect, Fiber, Latch, Metric } from "effect"
import { TestClock } from "effect/testing"
import { program } from "./EchoWorker.ts"
import { settle, setup, tags } from "./harness.ts"

interface Behaviour {
  readonly declares: boolean
  /** What it does with a ping; nothing unless told. */
  readonly onPing?: (n: number, channel: Channel) => void
  /** What it does besides. */
  readonly beside?: (channel: Channel) => Effect.Effect<void>
}

/** A worker made by hand, that says and does what it is told, and ends when it is asked to. */
const handmade = ({ beside, declares, onPing }: Behaviour) =>
  Effect.gen(function* () {
    const { channel } = yield* Worker.WorkerPort
    const stop = Latch.makeUnsafe(false)
    channel.onFrameUnsafe((raw) => {
      const frame = Frame.toWorker(raw)
      if (typeof frame === "string") return
      if (frame.t === "ping") onPing?.(frame.n, channel)
      if (frame.t === "stop") stop.openUnsafe()
    })
    channel.sendUnsafe({ t: "ready", v: 1, ...(declares ? { ping: true } : {}) })
    return yield* Effect.raceFirst(stop.await, beside?.(channel) ?? Effect.never)
  })

const mute = handmade({ declares: true })

const heartbeat = { interval: "1 second", timeout: "10 seconds" } as const

/** The count of a counter of the runtime's, over all its series that carry these attributes. */
const counted = (id: string, attributes: Readonly<Record<string, string>>) =>
  Effect.map(Metric.snapshot, (all) =>
    all
      .filter(
        (one) => one.id === id && Object.entries(attributes).every(([name, value]) => one.attributes?.[name] === value)
      )
      .reduce((sum, one) => sum + (one.type === "Counter" ? Number(one.state.count) : 0), 0)
  )

describe("heartbeat", () => {
  it.effect("kills a worker that says nothing when asked, tells so, and starts the next", () => {
    let first = true
    return setup(
      {
        heartbeat,
        program: (_info, probe) => {
          if (!first) return program(probe)
          first = false
          return mute
        }
      },
      ({ children, events, runtime }) =>
        Effect.gen(function* () {
          const before = yield* counted("nerve_worker_hangs_total", { runtime: "workers" })
          yield* runtime.start("a")
          yield* TestClock.adjust("10 seconds")
          assert.deepStrictEqual(tags(events), ["WorkerStarting", "WorkerReady"])
          yield* TestClock.adjust("2 seconds")
          assert.deepStrictEqual(tags(events), [
            "WorkerStarting",
            "WorkerReady",
            "WorkerHung",
            "WorkerExited",
            "RespawnScheduled",
            "WorkerStarting",
            "WorkerReady"
          ])
          assert.deepInclude(events[2], { key: "a", incarnation: 1, silentMs: 10_000 })
          assert.deepInclude(events[3], { cause: "hung", expected: false, reason: "hung: no answer for 10000 ms" })
          assert.deepStrictEqual(children.all()[0]?.signals, ["SIGKILL"])
          assert.strictEqual((yield* counted("nerve_worker_hangs_total", { runtime: "workers" })) - before, 1)
          assert.isAtLeast(yield* counted("nerve_worker_exits_total", { cause: "hung" }), 1)
          // The one that answers stays.
          yield* TestClock.adjust("10 minutes")
          assert.strictEqual((yield* runtime.info("a")).incarnation, 2)
        })
    )
  })

  it.effect("fails what is in flight with it, and gives what waits to the next (R5)", () => {
    let first = true
    return setup(
      {
        heartbeat,
        program: (_info, probe) => {
          if (!first) return program(probe)
          first = false
          return mute
        }
      },
      ({ runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          const inFlight = yield* Effect.forkChild(Effect.flip(a.Echo({ text: "lost" })))
          yield* TestClock.adjust("12 seconds")
          const error = yield* Fiber.join(inFlight)
          assert.deepInclude(error, { _tag: "WorkerDied", incarnation: 1 })
          assert.match(
            error instanceof Error ? error.message : "",
            /in flight: hung: no answer for \d+ ms \(SIGKILL\)$/
          )
          assert.strictEqual(yield* a.Echo({ text: "next" }), "next")
        })
    )
  })

  it.effect("does not ask a worker that did not say that it answers", () =>
    setup({ heartbeat, program: () => handmade({ declares: false }) }, ({ events, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(tags(events), ["WorkerStarting", "WorkerReady"])
      })
    )
  )

  it.effect("asks nobody when told so", () => {
    const asked: Array<number> = []
    const program = () => handmade({ declares: true, onPing: (n) => void asked.push(n) })
    return setup({ heartbeat: false, program }, ({ events, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(asked, [])
        assert.deepStrictEqual(tags(events), ["WorkerStarting", "WorkerReady"])
      })
    )
  })

  it.effect("lets a worker with a call be silent where told so, and no longer than that", () =>
    setup(
      {
        heartbeat: { ...heartbeat, while: "idle" },
        program: () => mute
      },
      ({ events, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          const call = yield* Effect.forkChild(Effect.flip(a.Hang(undefined, { timeoutMs: 60_000 })))
          yield* TestClock.adjust("59 seconds")
          assert.notInclude(tags(events), "WorkerHung")
          yield* TestClock.adjust("1 second")
          assert.deepInclude(yield* Fiber.join(call), { _tag: "CallTimeout" })
          yield* TestClock.adjust("9 seconds")
          assert.notInclude(tags(events), "WorkerHung")
          yield* TestClock.adjust("3 seconds")
          assert.include(tags(events), "WorkerHung")
        })
    )
  )

  it.effect("takes any frame for a sign of life", () => {
    const log = (channel: Channel) =>
      Effect.sync(() => channel.sendUnsafe({ t: "log", message: "busy", level: "INFO", fields: {} }))
    const beside = (channel: Channel) => Effect.forever(Effect.andThen(Effect.sleep("5 seconds"), log(channel)))
    return setup({ heartbeat, program: () => handmade({ declares: true, beside }) }, ({ events, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        yield* TestClock.adjust("5 minutes")
        assert.notInclude(tags(events), "WorkerHung")
      })
    )
  })

  it.effect("shows what the worker tells of its event loop, or how long its answer took", () => {
    const told = handmade({
      declares: true,
      onPing: (n, channel) => void channel.sendUnsafe({ t: "pong", n, delayMs: 1234 })
    })
    let asked: number | undefined
    const silent = handmade({
      declares: true,
      onPing: (n) => {
        asked = n
      },
      // It answers at 1040 ms what it was asked at 1000.
      beside: (channel) =>
        Effect.andThen(
          Effect.sleep(1040),
          Effect.suspend(() => (channel.sendUnsafe({ t: "pong", n: asked }), Effect.never))
        )
    })
    return setup({ heartbeat, program: (info) => (info.key === "a" ? told : silent) }, ({ runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        yield* runtime.start("b")
        assert.isNull((yield* runtime.info("a")).loopDelayMs)
        yield* TestClock.adjust("1100 millis")
        assert.strictEqual((yield* runtime.info("a")).loopDelayMs, 1234)
        assert.strictEqual((yield* runtime.info("b")).loopDelayMs, 40)
        const histogram = (yield* Metric.snapshot).find((one) => one.id === "nerve_worker_loop_delay_ms")
        assert.isTrue(histogram?.type === "Histogram" && histogram.state.max >= 1234)
      })
    )
  })

  it.effect("only measures where the timeout is infinite", () =>
    setup({ heartbeat: { interval: "1 second", timeout: "Infinity" }, program: () => mute }, ({ events, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(tags(events), ["WorkerStarting", "WorkerReady"])
      })
    )
  )

  it.effect("leaves one that is being stopped to the stop ladder (R9)", () =>
    setup({ heartbeat: { interval: 10, timeout: 20 }, program: () => mute }, ({ children, events, runtime }) =>
      Effect.gen(function* () {
        yield* runtime.start("a")
        children.stubborn("a", true)
        const evicted = yield* Effect.forkChild(runtime.evict("a"))
        yield* settle
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(evicted)
        assert.notInclude(tags(events), "WorkerHung")
        assert.deepInclude(events.at(-1), { _tag: "WorkerExited", expected: true, cause: "asked" })
        assert.deepStrictEqual(children.all()[0]?.signals, ["SIGTERM", "SIGKILL"])
      })
    )
  )
})
