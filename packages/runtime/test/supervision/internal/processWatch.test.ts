/** Processes of a supervisor that are watched, under simulated time: ready, silent, too large, without a channel. */
import { assert, describe, it } from "@effect/vitest"
import * as Frame from "@nerve/core/wire/Frame"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StateTree from "@nerve/core/supervision/StateTree"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Worker from "@nerve/runtime/ipc/Worker"
import * as CommandWorker from "@nerve/runtime/supervision/CommandWorker"
import * as Lifecycle from "@nerve/runtime/supervision/Lifecycle"
import * as ProcessWorker from "@nerve/runtime/supervision/ProcessWorker"
import * as Supervisor from "@nerve/runtime/supervision/Supervisor"
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import { Effect, Fiber, Logger } from "effect"
import { RpcGroup } from "effect/rpc"
import { TestClock } from "effect/testing"

const settle = Effect.forEach(Array.from({ length: 60 }), () => Effect.yieldNow, { discard: true })

const pass = (seconds: number) =>
  Effect.forEach(Array.from({ length: seconds }), () => Effect.andThen(TestClock.adjust("1 second"), settle), {
    discard: true
  })

const serving = Worker.serve(RpcGroup.make(), {})

/** Says once that it is ready, and answers nothing. */
const mute = (ready: object) =>
  Effect.gen(function* () {
    const { channel } = yield* Worker.WorkerPort
    channel.sendUnsafe({ t: "ready", v: 1, ...ready })
    return yield* Effect.never
  })

/** Answers no ping, and says something else every second. */
const talkative = Effect.gen(function* () {
  const { channel } = yield* Worker.WorkerPort
  channel.onFrameUnsafe(() => {})
  channel.sendUnsafe({ t: "ready", v: 1, ping: true })
  const line = { t: "log", level: "Info", message: "at it", fields: {} }
  return yield* Effect.forever(
    Effect.andThen(
      Effect.sleep("1 second"),
      Effect.sync(() => channel.sendUnsafe(line))
    )
  )
})

const heartbeat = { interval: "1 second", timeout: "10 seconds" } as const

const test = (
  options: ProcessWorker.Options,
  program: FakeSpawner.Program,
  body: (worker: Lifecycle.Worker, children: FakeSpawner.FakeChildren["Service"]) => Effect.Effect<void, unknown>
) =>
  Effect.gen(function* () {
    const children = yield* FakeSpawner.FakeChildren
    const worker = yield* Lifecycle.make(ProcessWorker.make("file:///w.ts", options), {
      id: "w",
      stop: StopPolicy.kill
    })
    yield* worker.start
    yield* settle
    yield* body(worker, children)
  }).pipe(Effect.scoped, Effect.provide(FakeSpawner.layer(() => program)))

describe("processWatch", () => {
  it.effect("kills a process that is silent for the timeout after it was asked, and says so", () =>
    test({ heartbeat }, mute({ ping: true }), (worker, children) =>
      Effect.gen(function* () {
        yield* pass(10)
        assert.strictEqual(yield* worker.state, "Running")
        yield* pass(1)
        assert.deepStrictEqual(yield* worker.wait, {
          outcome: "Killed",
          code: null,
          signal: "SIGKILL",
          error: "hung: no answer for 10000 ms"
        })
        assert.deepStrictEqual(children.all()[0]?.signals, ["SIGKILL"])
      })
    )
  )

  it.effect("leaves one that was told to stop before it was ready to the stop ladder", () =>
    test({ readyTimeout: "10 seconds" }, Effect.never, (worker, children) =>
      Effect.gen(function* () {
        const stopping = yield* Effect.forkChild(worker.stop(StopPolicy.make({ polite: "30 seconds" })))
        yield* pass(29)
        assert.deepStrictEqual(children.all()[0]?.signals, [])
        yield* pass(1)
        assert.deepInclude(yield* Fiber.join(stopping), { outcome: "Stopped", signal: "SIGTERM", error: null })
      })
    )
  )

  it.effect("leaves one that was told to stop to the stop ladder, however much memory it has", () =>
    test({ memoryHardLimit: 100, rssEvery: "1 second" }, mute({}), (worker, children) =>
      Effect.gen(function* () {
        const stopping = yield* Effect.forkChild(worker.stop(StopPolicy.make({ polite: "30 seconds" })))
        yield* settle
        children.all()[0]?.setMemory(101)
        yield* pass(30)
        assert.deepInclude(yield* Fiber.join(stopping), { outcome: "Stopped", signal: "SIGTERM", error: null })
      })
    )
  )

  it.effect("asks every 5 seconds and waits for 30 unless told", () =>
    test({}, mute({ ping: true }), (worker) =>
      Effect.gen(function* () {
        yield* pass(34)
        assert.strictEqual(yield* worker.state, "Running")
        yield* pass(1)
        assert.strictEqual((yield* worker.wait).error, "hung: no answer for 30000 ms")
      })
    )
  )

  it.effect(
    "leaves alone who answers, who says anything else, who never said that it would, and who is not to be asked",
    () =>
      Effect.gen(function* () {
        for (const [options, program] of [
          [{ heartbeat }, serving],
          [{ heartbeat }, talkative],
          [{ heartbeat }, mute({})],
          [{ heartbeat: false }, mute({ ping: true })]
        ] as const) {
          yield* test(options, program, (worker) =>
            Effect.gen(function* () {
              yield* pass(60)
              assert.strictEqual(yield* worker.state, "Running")
            })
          )
        }
      })
  )

  it.effect("a suspended process may be silent; resumed, its bound begins anew", () =>
    test({ heartbeat }, mute({ ping: true }), (worker) =>
      Effect.gen(function* () {
        yield* pass(5)
        yield* worker.suspend
        yield* pass(60)
        assert.strictEqual(yield* worker.state, "Suspended")
        yield* worker.resume
        yield* pass(9)
        assert.strictEqual(yield* worker.state, "Running")
        yield* pass(1)
        assert.include((yield* worker.wait).error, "hung")
      })
    )
  )

  it.effect("one that was told to stop is left to the stop ladder, however long that is", () =>
    test({ heartbeat }, mute({ ping: true }), (worker) =>
      Effect.gen(function* () {
        const stopping = yield* Effect.forkChild(worker.stop(StopPolicy.make({ polite: "1 minute", term: "1 second" })))
        yield* pass(59)
        assert.strictEqual(yield* worker.state, "Stopping")
        yield* pass(2)
        assert.deepInclude(yield* Fiber.join(stopping), { outcome: "Stopped", error: null })
      })
    )
  )

  it.effect("kills a process above its memory limit, by what the Spawner or the worker tells", () =>
    Effect.gen(function* () {
      yield* test({ memoryHardLimit: 1000, rssEvery: "1 second" }, serving, (worker, children) =>
        Effect.gen(function* () {
          children.living("w").setMemory(1000)
          yield* pass(3)
          assert.strictEqual(yield* worker.state, "Running")
          children.living("w").setMemory(1001)
          yield* pass(1)
          assert.deepInclude(yield* worker.wait, { outcome: "Killed", error: "memory: 1001 bytes are above its limit" })
        })
      )
      const telling = Effect.gen(function* () {
        const { channel } = yield* Worker.WorkerPort
        channel.onFrameUnsafe((raw) => {
          const frame = Frame.toWorker(raw)
          if (typeof frame !== "string" && frame.t === "ping")
            channel.sendUnsafe({ t: "pong", n: frame.n, memory: 2000 })
        })
        channel.sendUnsafe({ t: "ready", v: 1, ping: true })
        return yield* Effect.never
      })
      yield* test({ heartbeat, memoryHardLimit: 1000, rssEvery: "1 second" }, telling, (worker) =>
        Effect.gen(function* () {
          yield* pass(3)
          assert.strictEqual((yield* worker.wait).error, "memory: 2000 bytes are above its limit")
        })
      )
    })
  )

  it.effect("kills a process that closes its channel and goes on for a second", () =>
    test({ heartbeat: false }, serving, (worker, children) =>
      Effect.gen(function* () {
        children.living("w").parentChannel.endUnsafe({ _tag: "Closed" })
        yield* settle
        assert.strictEqual(yield* worker.state, "Running")
        yield* pass(1)
        assert.strictEqual((yield* worker.wait).error, "it closed its channel and did not exit")
      })
    )
  )

  it.effect("hands on what the worker logs, with its level and annotations", () => {
    const lines: Array<CommandWorker.OutputLine> = []
    const output = (line: CommandWorker.OutputLine) => Effect.sync(() => void lines.push(line))
    const logging = Effect.gen(function* () {
      const { channel } = yield* Worker.WorkerPort
      channel.sendUnsafe({ t: "ready", v: 1 })
      channel.sendUnsafe({ t: "log", level: "Warn", message: "careful", fields: { a: 1 } })
      return yield* Effect.never
    })
    return test({ output }, logging, () =>
      Effect.gen(function* () {
        const fields = { a: 1, level: "Warn" }
        assert.deepStrictEqual(lines, [{ id: "w", incarnation: 1, stream: "log", line: "careful", fields }])
        const logged: Array<string> = []
        const logger = Logger.make(({ logLevel, message }) => void logged.push(`${logLevel} ${String(message)}`))
        for (const line of lines) {
          yield* CommandWorker.logOutput(line).pipe(Effect.provide(Logger.layer([logger])))
        }
        assert.deepStrictEqual(logged, ["Warn careful"])
      })
    )
  })

  it.effect("in a tree, one that hangs is a crash by the tree's policy: its strategy, its backoff, its true exit", () =>
    Effect.gen(function* () {
      const children = yield* FakeSpawner.FakeChildren
      const process = (id: string) =>
        ({ id, worker: ProcessWorker.make("file:///w.ts", { heartbeat }), restart: "on-failure" }) as const
      const supervisor = yield* Supervisor.make({
        strategy: "rest-for-one",
        respawn: RespawnPolicy.spaced("5 seconds"),
        children: [process("before"), process("stuck"), process("after")]
      })
      yield* supervisor.start
      yield* settle
      yield* pass(12)
      const down = StateTree.find(yield* supervisor.snapshot, ["stuck"])
      assert.deepInclude(down, { state: "Killed", plan: "queued", crashes: 1 })
      assert.strictEqual(down?.exit?.error, "hung: no answer for 10000 ms")
      yield* pass(5)
      assert.deepStrictEqual(
        (yield* supervisor.snapshot).children.map((child) => `${child.id} ${child.state} ${child.incarnation}`),
        ["before Running 1", "stuck Running 2", "after Running 2"]
      )
      assert.strictEqual(children.living("stuck").spec.options.env?.["NERVE_PREV_EXIT"], "SIGKILL")
    }).pipe(
      Effect.scoped,
      Effect.provide(
        FakeSpawner.layer((_spec, { incarnation, key }) =>
          key === "stuck" && incarnation === 1 ? mute({ ping: true }) : serving
        )
      )
    )
  )
})
