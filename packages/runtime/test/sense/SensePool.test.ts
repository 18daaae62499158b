/**
 * The sense pool over fake workers, on the test's clock: groups and their workers (M1, M2), when senses
 * compute and whom their signals trigger (S5, S10), computes that go wrong (S4, S7).
 */
import { assert, describe, it } from "@effect/vitest"
import { SenseName } from "@nerve/core/domain/Ids"
import type { Problem } from "@nerve/core/domain/Problem"
import { ComputeFailed, ComputeTimeout, SenseUnavailable } from "@nerve/core/wire/SenseRpcs"
import { WorkerPort } from "@nerve/runtime/ipc/Worker"
import type { TicksDropped } from "@nerve/runtime/sense/SenseEvent"
import { SleepMeter } from "@nerve/runtime/sense/SleepMeter"
import { Clock, Deferred, Effect, Fiber } from "effect"
import { noSignal, pass, sense, settle, signal, start } from "./harness.ts"

const problem: Problem = {
  code: "module-throws",
  message: "senses/bad/index.ts: boom",
  file: "senses/bad/index.ts",
  hint: ""
}

describe("workers", () => {
  it.effect("start with the pool, one per group, and are told their senses and peers", () =>
    Effect.gen(function* () {
      const { children } = yield* start({
        senses: [sense("cpu"), sense("memory"), sense("disk", { group: "slow", timeoutMs: 9_000 })]
      })
      assert.deepStrictEqual(
        children.all().map((child) => child.key),
        ["main", "slow"]
      )
      assert.deepStrictEqual(children.living("slow").spec.options.init, {
        group: "slow",
        workspace: "/workspace",
        senses: [{ name: "disk", timeoutMs: 9_000 }],
        peers: ["cpu", "memory", "disk"]
      })
    })
  )

  it.effect("that die come back after a second, and no other group notices", () =>
    Effect.gen(function* () {
      const { children, pool, startsOf, of } = yield* start({
        senses: [sense("cpu", { intervalMs: 10_000 }), sense("disk", { group: "slow", intervalMs: 10_000 })]
      })
      yield* pass(5_000)
      yield* children.living("main").exit({ code: null, signal: "SIGSEGV" })
      yield* settle
      assert.deepStrictEqual(
        (yield* pool.views).map((view) => [view.name, view.status]),
        [
          ["cpu", "waiting"],
          ["disk", "ok"]
        ]
      )
      yield* pass(900)
      assert.lengthOf(children.all(), 2)
      yield* pass(200)
      assert.lengthOf(children.all(), 3)
      yield* pass(60_000)
      assert.deepStrictEqual([...new Set(startsOf("disk").map((one) => one.incarnation))], [1])
      assert.deepStrictEqual([...new Set(startsOf("cpu").map((one) => one.incarnation))], [1, 2])
      assert.lengthOf(startsOf("cpu"), 7)
      assert.lengthOf(startsOf("disk"), 7)
      const exits = of("Worker").flatMap(({ event }) => (event._tag === "WorkerExited" ? [event] : []))
      assert.deepStrictEqual(
        exits.map((exit) => [exit.key, exit.incarnation, exit.expected]),
        [["main", 1, false]]
      )
    })
  )

  it.effect("that cannot be spawned are tried again each second, however often that fails", () =>
    Effect.gen(function* () {
      const { children, pool, starts } = yield* start({ senses: [sense("cpu")] })
      yield* pool.trigger("cpu")
      yield* settle
      children.failSpawns("main", true)
      yield* children.living("main").exit({ code: 1, signal: null })
      yield* pool.trigger("cpu")
      yield* pass(600_000, 1_000)
      assert.lengthOf(starts, 1)
      children.failSpawns("main", false)
      yield* pass(2_000)
      assert.deepStrictEqual(
        starts.map((one) => one.nth),
        [0, 1]
      )
    })
  )

  it.effect("are shown with their state", () =>
    Effect.gen(function* () {
      const { children, pool } = yield* start({ senses: [sense("cpu")] })
      const { pid } = children.living("main")
      assert.deepStrictEqual(yield* pool.workers, [
        { key: "sense:main", state: "ready", pid, incarnation: 1, crashes: 0 }
      ])
    })
  )
})

describe("triggers", () => {
  it.effect("of an unknown sense fail with the names that there are", () =>
    Effect.gen(function* () {
      const { pool } = yield* start({ senses: [sense("cpu"), sense("disk")] })
      const error = yield* Effect.flip(pool.trigger("cpi"))
      assert.strictEqual(error._tag, "UnknownSense")
      assert.deepStrictEqual([error.sense, error.known], ["cpi", ["cpu", "disk"]])
    })
  )

  it.effect("during a compute collapse into one more", () =>
    Effect.gen(function* () {
      const { pool, starts, of } = yield* start({
        senses: [sense("cpu")],
        compute: () => Effect.as(Effect.sleep(1_000), noSignal)
      })
      yield* pool.trigger("cpu")
      yield* pass(500)
      yield* pool.trigger("cpu")
      yield* pool.trigger("cpu")
      yield* pool.trigger("cpu")
      assert.lengthOf(starts, 1)
      yield* pass(5_000)
      assert.lengthOf(starts, 2)
      assert.lengthOf(of("ComputeEnded"), 2)
    })
  )

  it.effect("by a signal reach those that name it under `on:`, and go on from there", () =>
    Effect.gen(function* () {
      const { pool, starts, of } = yield* start({
        senses: [
          sense("cpu"),
          sense("load", { group: "slow", on: ["cpu"] }),
          sense("alarm", { on: ["load", "disk"] }),
          sense("disk")
        ],
        compute: ({ sense }) => Effect.succeed(sense === "disk" ? noSignal : signal)
      })
      yield* pool.trigger("cpu")
      yield* settle
      assert.deepStrictEqual(
        starts.map((one) => one.sense),
        ["cpu", "load", "alarm"]
      )
      assert.deepStrictEqual(
        of("SignalEmitted").map((event) => event.cause),
        [
          { _tag: "Manual" },
          { _tag: "On", sense: SenseName.make("cpu") },
          { _tag: "On", sense: SenseName.make("load") }
        ]
      )
      // Without a signal nothing follows.
      yield* pool.trigger("disk")
      yield* settle
      assert.deepStrictEqual(
        starts.map((one) => one.sense),
        ["cpu", "load", "alarm", "disk"]
      )
    })
  )

  it.effect("by a signal wait until the signal has been recorded", () =>
    Effect.gen(function* () {
      const recorded = yield* Deferred.make<void>()
      const { pool, starts } = yield* start({
        senses: [sense("cpu"), sense("load", { on: ["cpu"] })],
        compute: () => Effect.succeed(signal),
        onEvent: (event) =>
          event._tag === "SignalEmitted" && event.sense === "cpu" ? Deferred.await(recorded) : Effect.void
      })
      yield* pool.trigger("cpu")
      yield* pass(60_000, 1_000)
      assert.deepStrictEqual(
        starts.map((one) => one.sense),
        ["cpu"]
      )
      yield* Deferred.succeed(recorded, undefined)
      yield* settle
      assert.deepStrictEqual(
        starts.map((one) => one.sense),
        ["cpu", "load"]
      )
    })
  )

  it.effect("more often than the throttle allows are deferred to its end, all as one", () =>
    Effect.gen(function* () {
      const { pool, startsOf } = yield* start({
        senses: [sense("cpu"), sense("load", { on: ["cpu"], throttleMs: 60_000 })],
        compute: () => Effect.succeed(signal)
      })
      for (let n = 0; n < 10; n++) {
        yield* pool.trigger("cpu")
        yield* pass(5_000)
      }
      assert.lengthOf(startsOf("cpu"), 10)
      assert.deepStrictEqual(
        startsOf("load").map((one) => one.at),
        [0]
      )
      yield* pass(300_000, 1_000)
      assert.deepStrictEqual(
        startsOf("load").map((one) => one.at),
        [0, 60_000]
      )
    })
  )
})

describe("events", () => {
  it.effect("tell a signal with its launches, and say so when there is none", () =>
    Effect.gen(function* () {
      const { pool, events } = yield* start({
        senses: [sense("cpu")],
        compute: ({ nth }) =>
          Effect.succeed(
            nth === 0
              ? { _tag: "Signal", value: { usage: 0.9 }, launches: [{ workflow: "look" as never, prompt: "why?" }] }
              : { _tag: "NoSignal", reason: "all quiet" }
          )
      })
      yield* pool.trigger("cpu")
      yield* settle
      yield* pool.trigger("cpu")
      yield* settle
      const base = {
        sense: SenseName.make("cpu"),
        group: "main",
        cause: { _tag: "Manual" },
        durationMs: 0,
        dueAt: 0,
        startedAt: 0,
        lines: [],
        linesLeftOut: 0
      }
      assert.deepStrictEqual<ReadonlyArray<unknown>>(
        events.filter((event) => event._tag !== "Worker"),
        [
          {
            ...base,
            _tag: "SignalEmitted",
            value: { usage: 0.9 },
            launches: [{ workflow: "look", prompt: "why?" }]
          },
          { ...base, _tag: "ComputeEnded", reason: "all quiet" }
        ]
      )
    })
  )

  it.effect("whose handler dies stop nothing; a signal that was not recorded triggers nobody", () =>
    Effect.gen(function* () {
      const { pool, startsOf, of } = yield* start({
        senses: [
          sense("cpu", { intervalMs: 10_000 }),
          sense("load", { on: ["cpu"] }),
          sense("disk", { intervalMs: 10_000 })
        ],
        compute: () => Effect.succeed(signal),
        onEvent: (event) => (event._tag === "Worker" || event.sense === "cpu" ? Effect.die("full disk") : Effect.void)
      })
      yield* pass(25_000)
      assert.lengthOf(startsOf("cpu"), 3)
      assert.lengthOf(startsOf("disk"), 3)
      assert.lengthOf(startsOf("load"), 0)
      yield* pool.trigger("load")
      yield* settle
      assert.lengthOf(
        of("SignalEmitted").filter((event) => event.sense === "load"),
        1
      )
    })
  )

  it.effect("whose handler is slow hold up their own sense and no other", () =>
    Effect.gen(function* () {
      const { children, startsOf } = yield* start({
        senses: [sense("cpu", { intervalMs: 10_000 }), sense("disk", { intervalMs: 10_000 })],
        onEvent: (event) => (event._tag !== "Worker" && event.sense === "cpu" ? Effect.never : Effect.void)
      })
      yield* pass(55_000)
      assert.lengthOf(startsOf("cpu"), 1)
      assert.lengthOf(startsOf("disk"), 6)
      // The compute was answered in time: its worker is not to blame.
      assert.lengthOf(children.all(), 1)
    })
  )
})

describe("computes that go wrong", () => {
  it.effect("by an error or a soft timeout are told, and run again at the next tick", () =>
    Effect.gen(function* () {
      const cpu = SenseName.make("cpu")
      const { of, startsOf, view, children } = yield* start({
        senses: [sense("cpu", { intervalMs: 10_000 })],
        compute: ({ nth }) =>
          nth === 0
            ? Effect.fail(new ComputeFailed({ sense: cpu, message: "no such file", stack: "at x" }))
            : nth === 1
              ? Effect.fail(new ComputeTimeout({ sense: cpu, timeoutMs: 30_000 }))
              : nth === 2
                ? Effect.die(new Error("handler bug"))
                : Effect.succeed(noSignal)
      })
      yield* pass(35_000)
      assert.lengthOf(startsOf("cpu"), 4)
      assert.deepStrictEqual(
        of("ComputeFailed").map((event) => event.message.split("\n")[0]),
        ["no such file", "Error: handler bug"]
      )
      assert.strictEqual(of("ComputeFailed")[0]?.stack, "at x")
      assert.deepStrictEqual(
        of("ComputeTimedOut").map((event) => event.timeoutMs),
        [30_000]
      )
      const seen = yield* view("cpu")
      assert.deepStrictEqual([seen.computes, seen.signals, seen.errors], [4, 0, 3])
      assert.lengthOf(children.all(), 1)
    })
  )

  it.effect("by never ending are killed with their worker, and only the innocent run again", () =>
    Effect.gen(function* () {
      const { children, of, pool, startsOf } = yield* start({
        senses: [
          sense("stuck", { timeoutMs: 4_000, gracePeriodMs: 1_000 }),
          sense("slow", { timeoutMs: 60_000 }),
          sense("idle"),
          sense("other", { group: "elsewhere", timeoutMs: 60_000 })
        ],
        compute: ({ sense, nth }) =>
          sense === "stuck" && nth === 0 ? Effect.never : Effect.as(Effect.sleep(10_000), noSignal)
      })
      for (const name of ["stuck", "slow", "other"]) yield* pool.trigger(name)
      yield* pass(4_900)
      assert.lengthOf(children.all(), 2)
      yield* pass(200)
      assert.deepStrictEqual(children.all()[0]?.exited(), { code: null, signal: "SIGKILL" })
      assert.deepStrictEqual(
        of("ComputeKilled").map((event) => [event.sense, event.boundMs, event.others]),
        [[SenseName.make("stuck"), 5_000, [SenseName.make("slow")]]]
      )
      assert.deepStrictEqual(
        of("ComputeInterrupted").map((event) => event.sense),
        [SenseName.make("slow")]
      )
      yield* pass(60_000)
      assert.deepStrictEqual(
        startsOf("slow").map((one) => one.incarnation),
        [1, 2]
      )
      assert.lengthOf(startsOf("stuck"), 1)
      assert.lengthOf(startsOf("idle"), 0)
      assert.deepStrictEqual(
        startsOf("other").map((one) => one.incarnation),
        [1]
      )
      assert.deepStrictEqual(
        of("ComputeEnded").map((event) => event.sense),
        [SenseName.make("other"), SenseName.make("slow")]
      )
      // It is not out of the game: the next trigger runs it.
      yield* pool.trigger("stuck")
      yield* pass(11_000)
      assert.lengthOf(of("ComputeKilled"), 2)
    })
  )

  it.effect("by taking their worker along run once more, alone, so that their neighbours get through", () =>
    Effect.gen(function* () {
      let crash: Effect.Effect<void> = Effect.void
      const { children, of, pool, startsOf } = yield* start({
        senses: [sense("bomb"), sense("a"), sense("b")],
        compute: ({ sense }) =>
          sense === "bomb"
            ? Effect.andThen(
                Effect.sleep(1_000),
                Effect.andThen(
                  Effect.suspend(() => crash),
                  Effect.never
                )
              )
            : Effect.as(Effect.sleep(3_000), noSignal)
      })
      crash = Effect.suspend(() => children.living("main").exit({ code: 7, signal: null }))
      for (const name of ["bomb", "a", "b"]) yield* pool.trigger(name)
      yield* pass(30_000)
      // All three died once; then each was tried alone, and only the bomb died again.
      assert.deepStrictEqual(
        of("ComputeInterrupted").map((event) => event.sense),
        ["bomb", "a", "b"].map((name) => SenseName.make(name))
      )
      assert.deepStrictEqual(
        of("ComputeFailed").map((event) => event.sense),
        [SenseName.make("bomb")]
      )
      assert.include(of("ComputeFailed")[0]?.message, "exit code 7")
      assert.deepStrictEqual(
        of("ComputeEnded").map((event) => event.sense),
        [SenseName.make("a"), SenseName.make("b")]
      )
      assert.deepStrictEqual(
        startsOf("bomb").map((one) => one.incarnation),
        [1, 2]
      )
      assert.deepStrictEqual(
        startsOf("a").map((one) => one.incarnation),
        [1, 3]
      )
      assert.lengthOf(children.all(), 3)
    })
  )

  it.effect("by their worker's death run again each time, if they came to an end in between", () =>
    Effect.gen(function* () {
      const { children, of, pool, startsOf } = yield* start({
        senses: [sense("cpu")],
        compute: () => Effect.as(Effect.sleep(2_000), noSignal)
      })
      for (let n = 0; n < 3; n++) {
        yield* pool.trigger("cpu")
        yield* pass(1_000)
        yield* children.living("main").exit({ code: null, signal: "SIGKILL" })
        yield* pass(10_000)
      }
      assert.lengthOf(of("ComputeFailed"), 0)
      assert.lengthOf(of("ComputeInterrupted"), 3)
      assert.lengthOf(of("ComputeEnded"), 3)
      assert.lengthOf(startsOf("cpu"), 6)
    })
  )

  it.effect("and do not load any more afterwards hold nobody up", () =>
    Effect.gen(function* () {
      const { children, pool, startsOf, view } = yield* start({
        senses: [sense("bad"), sense("good")],
        compute: () => Effect.as(Effect.sleep(2_000), noSignal),
        problem: (name, incarnation) => (name === "bad" && incarnation > 1 ? problem : null)
      })
      yield* pool.trigger("bad")
      yield* pool.trigger("good")
      yield* settle
      yield* children.living("main").exit({ code: 1, signal: null })
      yield* pass(10_000)
      assert.lengthOf(startsOf("bad"), 1)
      assert.strictEqual((yield* view("bad")).status, "failed")
      assert.deepStrictEqual(
        startsOf("good").map((one) => one.incarnation),
        [1, 2]
      )
      assert.strictEqual((yield* view("good")).computes, 1)
    })
  )

  it.effect("by an answer that does not fit are an error event, and the worker goes on", () =>
    Effect.gen(function* () {
      let calls = 0
      const { children, of, pool } = yield* start({
        senses: [sense("cpu"), sense("disk")],
        program: Effect.gen(function* () {
          const { channel } = yield* WorkerPort
          channel.onFrameUnsafe((frame) => {
            if (
              typeof frame !== "object" ||
              frame === null ||
              !("t" in frame) ||
              frame.t !== "call" ||
              !("id" in frame)
            )
              return
            calls++
            if (calls === 1) channel.sendUnsafe({ t: "done", id: frame.id, value: { _tag: "Singal", value: 1 } })
            else if (calls === 2) channel.sendUnsafe({ t: "fail", id: frame.id, error: { message: "?" } })
            else channel.sendUnsafe({ t: "done", id: frame.id, value: noSignal })
            channel.sendUnsafe({ t: "done", id: 4711, value: noSignal })
            channel.sendUnsafe(["no frame"])
          })
          channel.sendUnsafe({
            t: "ready",
            v: 1,
            info: {
              senses: [
                { name: "cpu", problem: null },
                { name: "disk", problem: null }
              ]
            }
          })
          return yield* Effect.never
        })
      })
      for (const name of ["cpu", "cpu", "disk"]) {
        yield* pool.trigger(name)
        yield* settle
      }
      assert.deepStrictEqual(
        of("ComputeFailed").map((event) => event.sense),
        [SenseName.make("cpu"), SenseName.make("cpu")]
      )
      assert.deepStrictEqual(
        of("ComputeEnded").map((event) => event.sense),
        [SenseName.make("disk")]
      )
      assert.lengthOf(children.all(), 1)
    })
  )
})

describe("senses that do not load", () => {
  it.effect("are told of and not computed; their group goes on; they come back with a worker that loads them", () =>
    Effect.gen(function* () {
      const { of, pool, startsOf, view } = yield* start({
        senses: [sense("bad", { intervalMs: 10_000 }), sense("good", { intervalMs: 10_000 })],
        problem: (name, incarnation) => (name === "bad" && incarnation === 1 && !mended ? problem : null)
      })
      yield* pass(25_000)
      assert.deepStrictEqual(
        of("SenseBroken").map((event) => [event.sense, event.problem]),
        [[SenseName.make("bad"), problem]]
      )
      assert.lengthOf(startsOf("bad"), 0)
      assert.lengthOf(startsOf("good"), 3)
      const broken = yield* view("bad")
      assert.deepStrictEqual([broken.status, broken.problem, broken.nextAt], ["failed", problem, null])
      mended = true
      yield* pool.restartGroup("main")
      yield* pass(1_000)
      assert.deepStrictEqual(
        of("SenseRecovered").map((event) => event.sense),
        [SenseName.make("bad")]
      )
      assert.lengthOf(startsOf("bad"), 1)
      assert.strictEqual((yield* view("bad")).status, "ok")
      mended = false
    })
  )
  let mended = false

  it.effect("count as such too when a compute says so", () =>
    Effect.gen(function* () {
      const { of, pool, startsOf, view } = yield* start({
        senses: [sense("bad")],
        compute: () => Effect.fail(new SenseUnavailable({ sense: SenseName.make("bad"), problem }))
      })
      yield* pool.trigger("bad")
      yield* settle
      yield* pool.trigger("bad")
      yield* pass(5_000)
      assert.lengthOf(startsOf("bad"), 1)
      assert.deepStrictEqual(
        of("ComputeFailed").map((event) => event.message),
        [problem.message]
      )
      assert.lengthOf(of("SenseBroken"), 1)
      assert.strictEqual((yield* view("bad")).status, "failed")
    })
  )

  it.effect("include all of a worker whose report makes no sense", () =>
    Effect.gen(function* () {
      const { of, pool } = yield* start({
        senses: [sense("cpu"), sense("disk", { group: "slow" })],
        program: Effect.gen(function* () {
          const { channel, key } = yield* WorkerPort
          channel.sendUnsafe({
            t: "ready",
            v: 1,
            info: key === "main" ? { senses: "all" } : { senses: [{ name: "disk", problem: null }] }
          })
          return yield* Effect.never
        })
      })
      assert.deepStrictEqual(
        of("SenseBroken").map((event) => [event.sense, event.problem.code]),
        [[SenseName.make("cpu"), "worker-report-invalid"]]
      )
      assert.deepStrictEqual(
        (yield* pool.views).map((view) => view.status),
        ["failed", "ok"]
      )
    })
  )
})

describe("restartGroup", () => {
  it.effect("of an unknown group does nothing", () =>
    Effect.gen(function* () {
      const { children, events, pool } = yield* start({ senses: [sense("cpu")] })
      const before = events.length
      yield* pool.restartGroup("nope")
      yield* pass(2_000)
      assert.lengthOf(children.all(), 1)
      assert.lengthOf(events, before)
    })
  )

  it.effect("counts the group as gone at once and runs what it interrupted again, without a delay", () =>
    Effect.gen(function* () {
      const { children, of, pool, startsOf, view } = yield* start({
        senses: [sense("cpu"), sense("disk")],
        compute: () => Effect.as(Effect.sleep(10_000), noSignal)
      })
      children.stubborn("main", true)
      yield* pool.trigger("cpu")
      yield* pass(1_000)
      const restart = yield* Effect.forkChild(pool.restartGroup("main"))
      yield* settle
      assert.isNull(children.all()[0]?.exited())
      assert.strictEqual((yield* view("disk")).status, "waiting")
      yield* pool.trigger("disk")
      // The old worker is deaf: it is killed after five seconds, and only then is there a new one.
      yield* pass(4_900)
      assert.lengthOf(children.all(), 1)
      yield* pass(200)
      yield* Fiber.join(restart)
      assert.deepStrictEqual(
        children.all().map((child) => child.exited()?.signal),
        ["SIGKILL", undefined]
      )
      yield* pass(11_000)
      assert.lengthOf(startsOf("disk"), 1)
      assert.lengthOf(startsOf("cpu"), 2)
      assert.deepStrictEqual(
        of("ComputeInterrupted").map((event) => event.sense),
        [SenseName.make("cpu")]
      )
      assert.deepStrictEqual(
        of("ComputeEnded").map((event) => event.cause),
        [{ _tag: "Restart" }, { _tag: "Manual" }]
      )
    })
  )
})

describe("restartGroup, time and again,", () => {
  it.effect("blames no compute for being interrupted", () =>
    Effect.gen(function* () {
      const { of, pool } = yield* start({
        senses: [sense("cpu")],
        compute: () => Effect.as(Effect.sleep(5_000), noSignal)
      })
      yield* pool.trigger("cpu")
      for (let n = 0; n < 3; n++) {
        yield* pass(1_000)
        yield* pool.restartGroup("main")
      }
      yield* pass(10_000)
      assert.lengthOf(of("ComputeFailed"), 0)
      assert.lengthOf(of("ComputeInterrupted"), 3)
      assert.lengthOf(of("ComputeEnded"), 1)
    })
  )
})

describe("restartGroup of a worker that is just getting ready", () => {
  it.effect("sends it nothing any more", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { children, of, pool, starts, view } = yield* start({
        senses: [sense("cpu")],
        onEvent: (event) =>
          event._tag === "Worker" && event.event._tag === "WorkerReady" ? Deferred.await(gate) : Effect.void
      })
      children.stubborn("main", true)
      yield* pool.trigger("cpu")
      const restart = yield* Effect.forkChild(pool.restartGroup("main"))
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.lengthOf(children.all(), 1)
      assert.strictEqual((yield* view("cpu")).status, "waiting")
      yield* pass(6_000)
      yield* Fiber.join(restart)
      yield* settle
      assert.lengthOf(children.all(), 2)
      assert.lengthOf(starts, 1)
      assert.lengthOf(of("ComputeInterrupted"), 0)
      assert.lengthOf(of("ComputeEnded"), 1)
    })
  )
})

describe("views", () => {
  it.effect("show what a sense does, did and will do", () =>
    Effect.gen(function* () {
      const { pool, starts, view } = yield* start({
        senses: [sense("cpu", { intervalMs: 20_000 }), sense("load", { on: ["cpu"] })],
        compute: ({ sense }) => Effect.as(Effect.sleep(2_000), sense === "cpu" ? signal : noSignal)
      })
      const before = yield* view("cpu")
      assert.deepStrictEqual(
        [before.status, before.lastAt, before.computes, before.intervalMs],
        ["ok", null, 0, 20_000]
      )
      const first = before.nextAt ?? -1
      assert.isAtLeast(first, 0)
      assert.isBelow(first, 2_000)
      yield* pass(first + 500)
      assert.strictEqual((yield* view("cpu")).status, "running")
      yield* pass(2_000)
      const after = yield* view("cpu")
      assert.deepStrictEqual(
        [after.status, after.lastAt, after.nextAt, after.computes, after.signals, after.errors],
        ["ok", first, first + 20_000, 1, 1, 0]
      )
      const load = yield* view("load")
      assert.deepStrictEqual([load.status, load.nextAt, load.on], ["running", null, [SenseName.make("cpu")]])
      assert.lengthOf(starts, 2)
      assert.lengthOf(yield* pool.views, 2)
    })
  )
})

describe("configure", () => {
  it.effect("adds, removes and changes senses; those that stay keep what they have", () =>
    Effect.gen(function* () {
      const { asked, children, pool, startsOf, view } = yield* start({
        senses: [sense("cpu", { intervalMs: 10_000 }), sense("disk", { group: "slow", intervalMs: 10_000 })]
      })
      yield* pass(20_500)
      yield* pool.configure([sense("cpu", { intervalMs: 5_000 }), sense("net", { group: "fast", intervalMs: 10_000 })])
      const net = SenseName.make("net")
      yield* pass(20_500)
      assert.deepStrictEqual(
        (yield* pool.views).map((one) => one.name),
        ["cpu", "net"].map((name) => SenseName.make(name))
      )
      assert.lengthOf(startsOf("disk"), 2)
      assert.isAtLeast(startsOf("cpu").length, 5)
      assert.isAtLeast(startsOf("net").length, 2)
      assert.isAtLeast((yield* view("cpu")).computes, 5)
      const living = children.all().filter((child) => child.exited() === null)
      assert.deepStrictEqual(living.map((child) => child.key).sort(), ["fast", "main"])
      assert.lengthOf(children.all(), 3)
      assert.isEmpty(asked.filter(({ _tag }) => _tag === "Boot"))
      assert.isTrue(asked.some((one) => one._tag === "Peers" && one.group === "main" && one.peers.includes(net)))
    })
  )

  it.effect("with what is in force already restarts nothing", () =>
    Effect.gen(function* () {
      const senses = [sense("cpu", { intervalMs: 10_000 }), sense("disk", { group: "slow" })]
      const { children, pool } = yield* start({ senses })
      yield* pool.configure(senses.map((one) => ({ ...one, throttleMs: 1_000 })))
      yield* pass(5_000)
      assert.lengthOf(children.all(), 2)
    })
  )
})

describe("log lines", () => {
  it.effect("of a compute are told with its end, up to a bound, and are nobody else's", () =>
    Effect.gen(function* () {
      const { children, of, pool } = yield* start({
        senses: [sense("cpu"), sense("disk")],
        compute: ({ nth, sense: name }) =>
          Effect.suspend(() => {
            const { channel } = children.living("main")
            const count = name === "disk" ? 0 : nth === 0 ? 2 : 500
            for (let line = 0; line < count; line++) {
              channel.sendUnsafe({ t: "log", level: "Warn", message: `line ${line}`, fields: { sense: name, line } })
            }
            return Effect.succeed(noSignal)
          })
      })
      yield* pool.trigger("cpu")
      yield* pool.trigger("disk")
      yield* settle
      yield* pool.trigger("cpu")
      yield* settle
      const ended = of("ComputeEnded")
      const [few, many] = ended.filter((event) => event.sense === "cpu")
      assert.deepStrictEqual(few?.lines, [
        { level: "Warn", message: "line 0", fields: { line: 0 } },
        { level: "Warn", message: "line 1", fields: { line: 1 } }
      ])
      assert.strictEqual(few?.linesLeftOut, 0)
      assert.lengthOf(many?.lines ?? [], 20)
      assert.strictEqual(many?.linesLeftOut, 480)
      assert.deepStrictEqual(
        ended.filter((event) => event.sense === "disk").flatMap((event) => event.lines),
        []
      )
    })
  )
})

describe("a machine that sleeps", () => {
  /** A machine that can be put to sleep: its clock of timers stands still, its own time goes on. */
  const machine = () => {
    let slept = 0
    let set = 0
    const awake = (clock: Clock.Clock) => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    return {
      sleep: (ms: number) => void (slept += ms),
      setTime: (ms: number) => void (set += ms),
      provide: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.clockWith((clock) =>
          effect.pipe(
            Effect.provideService(SleepMeter, { upMs: () => awake(clock) + slept }),
            Effect.provideService(Clock.Clock, {
              ...clock,
              currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + slept + set,
              currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() + slept + set),
              monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
              sleep: (duration) => clock.sleep(duration)
            })
          )
        )
    }
  }

  it.effect("computes within half a minute of waking, once, when a tick fell into its sleep", () =>
    Effect.gen(function* () {
      const box = machine()
      const dropped: Array<TicksDropped> = []
      const { startsOf } = yield* box.provide(
        start({ senses: [sense("hourly", { intervalMs: 3_600_000 })], onDropped: (one) => dropped.push(one) })
      )
      yield* pass(60_000, 1_000)
      assert.lengthOf(startsOf("hourly"), 1)
      box.sleep(8 * 3_600_000)
      yield* pass(31_000, 1_000)
      assert.lengthOf(startsOf("hourly"), 2)
      assert.strictEqual(
        dropped.reduce((sum, { count }) => sum + count, 0),
        7
      )
      yield* pass(3_600_000, 10_000)
      assert.lengthOf(startsOf("hourly"), 3)
    })
  )

  it.effect("does not hold the sleep against the compute that was running", () =>
    Effect.gen(function* () {
      const box = machine()
      const { of, pool } = yield* box.provide(
        start({
          senses: [sense("slow", { timeoutMs: 50_000, gracePeriodMs: 10_000 })],
          compute: () => Effect.delay(Effect.succeed(noSignal), "55 seconds")
        })
      )
      yield* pool.trigger("slow")
      yield* pass(10_000, 1_000)
      box.sleep(8 * 3_600_000)
      yield* pass(50_000, 1_000)
      assert.lengthOf(of("ComputeKilled"), 0)
      assert.lengthOf(of("ComputeEnded"), 1)
    })
  )

  it.effect("cron goes by the machine's time when that is set; an interval does not", () =>
    Effect.gen(function* () {
      const box = machine()
      const { startsOf } = yield* box.provide(
        start({
          senses: [
            sense("daily", { cron: { expression: "0 12 * * *", timeZone: "UTC" } }),
            sense("hourly", { intervalMs: 3_600_000 })
          ]
        })
      )
      yield* pass(60_000, 1_000)
      assert.lengthOf(startsOf("hourly"), 1)
      // From a minute past midnight to a minute before noon.
      box.setTime(12 * 3_600_000 - 120_000)
      yield* pass(50_000, 1_000)
      assert.lengthOf(startsOf("daily"), 0)
      yield* pass(20_000, 1_000)
      assert.lengthOf(startsOf("daily"), 1)
      assert.lengthOf(startsOf("hourly"), 1)
    })
  )
})
