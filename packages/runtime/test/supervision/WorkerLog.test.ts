import { assert, describe, it } from "@effect/vitest"
import { RespawnPolicy } from "@nerve/core"
import { CommandWorker, Worker, WorkerLog, WorkerPool, WorkerRuntime, WorkerSpec } from "@nerve/runtime"
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import { Effect, Fiber, Layer, Logger, References, Schema, Stream } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

const EchoRpcs = RpcGroup.make(Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }))

const serving = Effect.gen(function* () {
  const { channel, incarnation } = yield* Worker.WorkerPort
  const logged = Effect.provide(
    Effect.annotateLogs(Effect.logWarning("low on", { paper: 3 }, "and ink"), { tray: 2 }),
    Logger.layer([Worker.logger(channel)])
  )
  return yield* Worker.serve(EchoRpcs, {
    Echo: ({ text }) => (incarnation === 1 ? Effect.as(logged, text) : Effect.never)
  })
})

interface Said {
  readonly level: string
  readonly message: unknown
  readonly annotations: { readonly [name: string]: unknown }
}

/** Runs with all that is logged collected. */
const collecting = <A, E, R>(body: (said: ReadonlyArray<Said>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const said: Array<Said> = []
    const logger = Logger.map(Logger.formatStructured, ({ annotations, level, message }) => {
      said.push({ level, message, annotations })
    })
    return body(said).pipe(
      Effect.scoped,
      Effect.provide(
        Layer.mergeAll(
          FakeSpawner.layer(() => serving),
          Logger.layer([logger])
        )
      ),
      Effect.provideService(References.MinimumLogLevel, "Debug")
    )
  })

describe("WorkerLog", () => {
  it.effect("tells a keyed worker's life, what it logged at its own level and with its fields", () =>
    collecting((said) =>
      Effect.gen(function* () {
        const { all } = yield* FakeSpawner.FakeChildren
        yield* Effect.scoped(
          Effect.gen(function* () {
            const runtime = yield* WorkerRuntime.make({
              rpcs: EchoRpcs,
              worker: (_key: string) => WorkerSpec.module("echo"),
              respawn: RespawnPolicy.never,
              onEvent: WorkerLog.log
            })
            const client = yield* runtime.client("ada")
            yield* client.Echo({ text: "a" })
            const givenUp = yield* runtime.events.pipe(
              Stream.filter(({ _tag }) => _tag === "WorkerGivenUp"),
              Stream.runHead,
              Effect.forkChild({ startImmediately: true })
            )
            yield* Effect.forEach(all(), (child) => child.exit({ code: 1, signal: null }))
            yield* Fiber.join(givenUp)
          })
        )
        const ada = { worker: "ada", incarnation: 1 }
        assert.deepStrictEqual(
          said.filter(({ message }) => message !== "worker died"),
          [
            { level: "DEBUG", message: "worker starts", annotations: ada },
            { level: "INFO", message: "worker is ready", annotations: { ...ada, pid: 1000 } },
            {
              level: "ERROR",
              message: "worker given up",
              annotations: { worker: "ada", crashes: 1, reason: "exit code 1" }
            },
            {
              level: "WARN",
              message: 'low on {"paper":3} and ink',
              annotations: { ...ada, stream: "log", tray: 2 }
            }
          ].toSorted((left, right) => order(said, left.message) - order(said, right.message))
        )
        const died = said.find(({ message }) => message === "worker died")
        assert.deepInclude(died, { level: "ERROR" })
        assert.deepInclude(died?.annotations, { ...ada, cause: "exited", reason: "exit code 1" })
      })
    )
  )

  it.effect("tells a pool's, by slot", () =>
    collecting((said) =>
      Effect.gen(function* () {
        const pool = yield* WorkerPool.make({
          rpcs: EchoRpcs,
          worker: () => WorkerSpec.module("echo"),
          size: 1,
          onEvent: WorkerLog.log
        })
        yield* pool.ready
        yield* pool.reload
        yield* pool.shutdown()
        const told = said.map(({ annotations, message }) => `${String(message)} ${String(annotations["incarnation"])}`)
        assert.includeMembers(told, [
          "worker is ready 1",
          "worker is replaced 1",
          "worker is ready 2",
          "worker stopped 1",
          "worker stopped 2"
        ])
        assert.deepInclude(said.find(({ message }) => message === "worker is replaced")?.annotations, {
          worker: 0,
          successor: 2,
          reason: "reload"
        })
      })
    )
  )
})

describe("a line of a worker's own", () => {
  const lineOf = (fields: { readonly [key: string]: Schema.Json } | null) =>
    WorkerLog.lineOf({ _tag: "WorkerOutput", key: "ada", incarnation: 2, stream: "log", line: "said", fields })

  for (const [said, level] of [
    ["WARNING", "Warn"],
    ["warn", "Warn"],
    ["Error", "Error"],
    ["FATAL", "Fatal"],
    ["debug", "Debug"],
    ["TRACE", "Trace"],
    ["chatty", "Info"],
    [7, "Info"]
  ] as const) {
    it(`is worth ${level} when it says ${said}`, () => assert.strictEqual(lineOf({ level: said }).level, level))
  }

  it("says what it likes, but not whose it is", () =>
    assert.deepStrictEqual(lineOf({ tray: 3, worker: "eve", incarnation: 1, stream: "stderr" }).fields, {
      tray: 3,
      worker: "ada",
      incarnation: 2,
      stream: "log"
    }))

  it.effect("is logged alike where it is a worker of a tree that says it", () =>
    collecting((said) =>
      Effect.gen(function* () {
        const fields = { level: "WARNING", tray: 3, worker: "eve" }
        yield* CommandWorker.logOutput({ id: "ada", incarnation: 2, stream: "log", line: "said", fields })
        const annotations = { tray: 3, worker: "ada", incarnation: 2, stream: "log" }
        assert.deepStrictEqual(said, [{ level: "WARN", message: "said", annotations }])
      })
    )
  )
})

/** Output is told beside the other events: its place among them is not given. */
const order = (said: ReadonlyArray<Said>, message: string) => said.findIndex((one) => one.message === message)
