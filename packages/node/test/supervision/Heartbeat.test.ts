/** Real processes that hang: stopped, stuck in a loop; and a daemon that was suspended itself. */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StateTree from "@nerve/core/supervision/StateTree"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as ProcessWorker from "@nerve/runtime/supervision/ProcessWorker"
import * as Supervisor from "@nerve/runtime/supervision/Supervisor"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerPool from "@nerve/runtime/supervision/WorkerPool"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Fiber, Metric, Queue, Schedule, Stream } from "effect"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { EchoRpcs } from "./EchoRpcs.ts"

const module = new URL("./echo.worker.ts", import.meta.url)

/** For what must come, on a machine however busy. */
const bound = "60 seconds"

const setup = (
  heartbeat: WorkerRuntime.HeartbeatOptions,
  body: (test: {
    readonly runtime: WorkerRuntime.WorkerRuntime<string, WorkerRuntime.RpcsOf<typeof EchoRpcs>>
    readonly event: <Tag extends WorkerEvent<string>["_tag"]>(
      tag: Tag
    ) => Effect.Effect<Extract<WorkerEvent<string>, { readonly _tag: Tag }>, unknown>
  }) => Effect.Effect<void, unknown>
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const events = yield* Queue.unbounded<WorkerEvent<string>>()
      const runtime = yield* WorkerRuntime.make({
        rpcs: EchoRpcs,
        worker: (_key: string) => WorkerSpec.module(module),
        respawn: RespawnPolicy.immediately,
        heartbeat,
        onEvent: (event) => Queue.offer(events, event)
      })
      yield* body({
        runtime,
        event: <Tag extends WorkerEvent<string>["_tag"]>(tag: Tag) =>
          Queue.take(events).pipe(
            Effect.repeat({
              until: (event): event is Extract<WorkerEvent<string>, { readonly _tag: Tag }> => event._tag === tag
            }),
            Effect.timeout(bound)
          )
      })
    })
  ).pipe(Effect.provide(NodeSpawner.layer()))

/** Short, and still long enough for a worker on a machine that is busy with other things. */
const short = { interval: "250 millis", timeout: "5 seconds" } as const

/** A daemon in a process of its own, that tells what has become of its worker. */
const suspendable = Effect.acquireRelease(
  Effect.sync(() => {
    const file = fileURLToPath(new URL("./suspended.fixture.ts", import.meta.url))
    const child = spawn(process.execPath, [file], { stdio: ["pipe", "pipe", "inherit"] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const told = Effect.timeout(
      Effect.promise(() => lines.next()),
      bound
    ).pipe(Effect.map(({ value }): Told => JSON.parse(String(value))))
    return { child, told, ask: Effect.suspend(() => (child.stdin.write("\n"), told)) }
  }),
  ({ child }) =>
    Effect.callback<void>((resume) => {
      child.once("exit", () => resume(Effect.void))
      child.kill("SIGCONT")
      child.stdin.end()
    }).pipe(Effect.timeoutOption("10 seconds"), Effect.andThen(Effect.sync(() => child.kill("SIGKILL"))))
)

interface Told {
  readonly pid: number
  readonly incarnation: number
  readonly hung: number
}

describe("heartbeat of real processes", () => {
  it.live(
    "a worker that was stopped is killed, and the next one serves",
    () =>
      setup(short, ({ event, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          yield* a.Echo({ text: "up" })
          const ready = yield* event("WorkerReady")
          process.kill(ready.pid, "SIGSTOP")
          assert.deepInclude(yield* event("WorkerHung"), { key: "a", incarnation: 1 })
          assert.deepInclude(yield* event("WorkerExited"), {
            cause: "hung",
            expected: false,
            exit: { code: null, signal: "SIGKILL" }
          })
          assert.strictEqual(yield* a.Echo({ text: "back" }), "back")
          assert.strictEqual((yield* runtime.info("a")).incarnation, 2)
        })
      ),
    120_000
  )

  it.live(
    "a worker that is stuck in a loop is killed, its call fails, and its neighbour is left alone",
    () =>
      setup(short, ({ event, runtime }) =>
        Effect.gen(function* () {
          const [a, b] = [yield* runtime.client("a"), yield* runtime.client("b")]
          yield* b.Echo({ text: "b" })
          const stuck = yield* Effect.forkChild(Effect.flip(a.Spin()))
          assert.deepInclude(yield* event("WorkerHung"), { key: "a" })
          assert.deepInclude(yield* Fiber.join(stuck), { _tag: "WorkerDied", incarnation: 1 })
          assert.strictEqual(yield* a.Echo({ text: "back" }), "back")
          assert.strictEqual((yield* runtime.info("b")).incarnation, 1)
        })
      ),
    120_000
  )

  it.live(
    "in a tree, processes that are stopped or stuck in a loop are killed and started again by its strategy",
    () =>
      Effect.gen(function* () {
        const worker = ProcessWorker.make(new URL("./signalled.worker.ts", import.meta.url), { heartbeat: short })
        const branch = Supervisor.blueprint({
          strategy: "rest-for-one",
          respawn: RespawnPolicy.immediately,
          children: [
            { id: "before", worker },
            { id: "stuck", worker },
            { id: "after", worker }
          ]
        })
        const tree = yield* Supervisor.make({
          children: [
            { id: "stopped", worker: branch },
            { id: "spinning", worker: branch }
          ]
        })
        yield* tree.start
        const reaches = (fits: (now: StateTree.StateTree) => boolean) =>
          tree.changes.pipe(Stream.filter(fits), Stream.runHead, Effect.timeout(bound))
        yield* reaches((now) => now.state === "Running")
        const pidOf = (now: StateTree.StateTree, at: string) => StateTree.find(now, [at, "stuck"])?.pid ?? 0
        const before = yield* tree.snapshot
        process.kill(pidOf(before, "stopped"), "SIGSTOP")
        process.kill(pidOf(before, "spinning"), "SIGUSR2")
        const ends: Array<string> = []
        yield* reaches((now) => {
          for (const { children } of now.children) {
            for (const { exit, incarnation } of children) {
              if (incarnation === 1 && exit !== null) ends.push(`${exit.outcome} ${exit.error?.slice(0, 5)}`)
            }
          }
          return now.children.every(({ children }) =>
            children.every(
              ({ id, incarnation, state }) => state === "Running" && (id === "before") === (incarnation === 1)
            )
          )
        })
        assert.include(ends, "Killed hung:")
        for (const at of ["stopped", "spinning"]) {
          assert.throws(() => process.kill(pidOf(before, at), 0), /ESRCH/)
          const now = StateTree.find(yield* tree.snapshot, [at])
          assert.deepStrictEqual(
            now?.children.map((child) => child.crashes),
            [0, 1, 0]
          )
        }
      }).pipe(Effect.scoped, Effect.provide(NodeSpawner.layer())),
    120_000
  )

  it.live(
    "tells how long the event loop was held up",
    () =>
      setup({ interval: "100 millis", timeout: "1 minute" }, ({ runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          // The longest of all: what `info` shows is gone with the next pong.
          const longest = Effect.map(Metric.snapshot, (all) => {
            const delays = all.find((one) => one.id === "nerve_worker_loop_delay_ms")
            return delays?.type === "Histogram" && delays.state.count > 0 ? delays.state.max : -1
          })
          const seen = (atLeast: number) =>
            longest.pipe(
              Effect.repeat({ until: (delay) => delay >= atLeast, schedule: Schedule.spaced("10 millis") }),
              Effect.timeout(bound)
            )
          yield* a.Echo({ text: "up" })
          yield* seen(0)
          assert.isNumber((yield* runtime.info("a")).loopDelayMs)
          yield* a.Block({ ms: 2000 })
          yield* seen(1000)
        })
      ).pipe(Effect.provideService(Metric.MetricRegistry, new Map())),
    120_000
  )

  it.live(
    "a job of a pool may compute for longer than the heartbeat's bound, and an idle worker may not",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const hung = yield* Queue.unbounded<number>()
          const pool = yield* WorkerPool.make({
            rpcs: EchoRpcs,
            worker: () => WorkerSpec.module(module),
            size: 1,
            heartbeat: { interval: "100 millis", timeout: "2 seconds" },
            onEvent: (event) => (event._tag === "WorkerHung" ? Queue.offer(hung, event.incarnation) : Effect.void)
          })
          yield* pool.client.Block({ ms: 4000 })
          assert.deepStrictEqual(yield* Queue.clear(hung), [])
          const before = (yield* pool.info).workers[0]
          if (typeof before?.pid !== "number") return assert.fail("no worker")
          process.kill(before.pid, "SIGSTOP")
          assert.strictEqual(yield* Effect.timeout(Queue.take(hung), bound), before.incarnation)
          assert.strictEqual(yield* pool.client.Echo({ text: "back" }), "back")
        })
      ).pipe(Effect.provide(NodeSpawner.layer())),
    120_000
  )

  it.live(
    "a daemon that was suspended does not take its workers for dead",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { ask, child, told } = yield* suspendable
          const before = yield* told
          assert.deepInclude(before, { incarnation: 1, hung: 0 })
          // Alone, by a signal; then with its worker, as a computer that sleeps, and with a ping unanswered: the worker
          // stops some beats earlier, but less than the bound.
          for (const pids of [[], [before.pid]]) {
            for (const pid of pids) process.kill(pid, "SIGSTOP")
            yield* Effect.sleep("400 millis")
            child.kill("SIGSTOP")
            yield* Effect.sleep("3 seconds")
            child.kill("SIGCONT")
            for (const pid of pids) process.kill(pid, "SIGCONT")
            assert.deepStrictEqual(yield* ask, before)
          }
        })
      ),
    180_000
  )
})
