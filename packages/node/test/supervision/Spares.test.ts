/** Spares that are real processes: taken, killed, left over (L6). */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as WorkerPool from "@nerve/runtime/supervision/WorkerPool"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Fiber, Schedule } from "effect"
import { spawn } from "node:child_process"
import { readdirSync, readFileSync, realpathSync } from "node:fs"
import { tmpdir } from "node:os"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { EchoRpcs } from "./EchoRpcs.ts"

const module = new URL("./echo.worker.ts", import.meta.url)
const here = realpathSync(tmpdir())
const bound = "60 seconds"

const runtimeOf = (worker: (key: string) => WorkerSpec.WorkerSpec, spares = 1) =>
  WorkerRuntime.make({
    rpcs: EchoRpcs,
    worker,
    respawn: RespawnPolicy.intensity({ max: 3, within: "60 seconds" }),
    spares
  })

type Runtime = WorkerRuntime.WorkerRuntime<string, WorkerRuntime.RpcsOf<typeof EchoRpcs>>

const untilWarm = (runtime: Runtime, count = 1) =>
  runtime.spares.pipe(
    Effect.repeat({ until: (info) => info.warm >= count, schedule: Schedule.spaced("10 millis") }),
    Effect.timeout(bound)
  )

/** Command lines of processes of this system that are children of `parent`, by pid. Linux tells. */
const childrenOf = (parent: number): ReadonlyMap<number, string> => {
  const found = new Map<number, string>()
  for (const name of readdirSync("/proc")) {
    try {
      if (!/^\d+$/.test(name) || !readFileSync(`/proc/${name}/status`, "utf8").includes(`\nPPid:\t${parent}\n`))
        continue
      found.set(Number(name), readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " "))
    } catch {
      // It has gone meanwhile.
    }
  }
  return found
}

const sparesOf = (parent: number): ReadonlyArray<number> =>
  [...childrenOf(parent)].flatMap(([pid, command]) => (command.includes("--spare") ? [pid] : []))

const alive = (pid: number): boolean => {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

const onLinux = process.platform === "linux" ? it.live : it.live.skip

describe("spares that are processes", () => {
  it.live(
    "a worker that was a spare is none the worse: environment, folder, arguments, handover",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const runtime = yield* runtimeOf((key) =>
            WorkerSpec.module(module, { env: { GREETING: `hi ${key}` }, cwd: here, args: ["one", "two"] })
          )
          yield* untilWarm(runtime)
          const a = yield* runtime.client("a")
          const place = yield* a.Place()
          assert.deepInclude(yield* runtime.spares, { used: 1 })
          assert.strictEqual(place.cwd, here)
          assert.deepStrictEqual(place.argv, [module.href, "one", "two"])
          const env = yield* a.Environment()
          assert.deepInclude(env, { NERVE_WORKER_KEY: "a", NERVE_INCARNATION: "1", GREETING: "hi a" })
          // What its own children get is the environment of the process, not a copy of its program's.
          assert.include(yield* a.Shell({ command: "echo $GREETING $NERVE_WORKER_KEY" }), "hi a a")
          // What it prints is the worker's (R10).
          yield* a.Talk({ text: "hello" })
          yield* Effect.repeat(runtime.info("a"), {
            until: ({ stderrTail }) => stderrTail === "err hello\n",
            schedule: Schedule.spaced("10 millis")
          }).pipe(Effect.timeout("60 seconds"))
          yield* untilWarm(runtime)
          process.kill((yield* runtime.info("a")).pid ?? 0, "SIGKILL")
          const again = yield* a
            .Environment()
            .pipe(Effect.retry({ times: 3, while: (error) => error._tag === "WorkerDied" }))
          assert.deepInclude(again, {
            NERVE_INCARNATION: "2",
            NERVE_PREV_EXIT: "SIGKILL",
            NERVE_RESUME_ID: env.NERVE_RESUME_ID
          })
          assert.deepInclude(yield* runtime.spares, { used: 2 })
        })
      ).pipe(Effect.provide(NodeSpawner.layer())),
    180_000
  )

  it.live(
    "what must be said at boot boots: heap size, permissions, variables that Node reads once, a folder that is missing",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const runtime = yield* runtimeOf((key) =>
            WorkerSpec.module(
              module,
              key === "heap"
                ? { heapSizeMb: 100 }
                : key === "permissions"
                  ? { permissions: { read: true } }
                  : key === "env"
                    ? { env: { NODE_OPTIONS: "--no-warnings" } }
                    : { cwd: "/no/such/folder" }
            )
          )
          yield* untilWarm(runtime)
          for (const key of ["heap", "permissions", "env"]) {
            const client = yield* runtime.client(key)
            assert.strictEqual(yield* client.Echo({ text: key }), key)
          }
          assert.include((yield* Effect.flip(runtime.start("folder"))).message, "there is no folder /no/such/folder")
          assert.deepInclude(yield* runtime.spares, { warm: 1, used: 0 })
        })
      ).pipe(Effect.provide(NodeSpawner.layer())),
    180_000
  )

  onLinux(
    "one that is killed is replaced, and a pool's replacement takes one",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const pool = yield* WorkerPool.make({
            rpcs: EchoRpcs,
            worker: () => WorkerSpec.module(module),
            size: 1,
            spares: 1
          })
          const warm = pool.info.pipe(
            Effect.repeat({ until: (info) => info.spares.warm === 1, schedule: Schedule.spaced("10 millis") }),
            Effect.timeout(bound)
          )
          yield* warm
          const [spare] = sparesOf(process.pid).filter((pid) => !isWorker(pid))
          if (spare === undefined) return assert.fail("no spare")
          process.kill(spare, "SIGKILL")
          yield* pool.info.pipe(
            Effect.repeat({ until: (info) => info.spares.died === 1, schedule: Schedule.spaced("10 millis") }),
            Effect.timeout(bound)
          )
          yield* warm
          const before = (yield* pool.info).spares.used
          yield* pool.reload
          assert.strictEqual((yield* pool.info).spares.used, before + 1)
          assert.strictEqual(yield* pool.client.Echo({ text: "hi" }), "hi")

          function isWorker(pid: number): boolean {
            return Effect.runSync(pool.info).workers.some((one) => one.pid === pid)
          }
        })
      ).pipe(Effect.provide(NodeSpawner.layer())),
    180_000
  )

  /** A spare that is there and does not take its assignment any more; `start` starts a worker that takes it. */
  const frozen = (start: (runtime: Runtime, spare: number) => Effect.Effect<void, unknown>) => () =>
    Effect.scoped(
      Effect.gen(function* () {
        const before = new Set(sparesOf(process.pid))
        const runtime = yield* runtimeOf(() => WorkerSpec.module(module))
        yield* untilWarm(runtime)
        const [spare] = sparesOf(process.pid).filter((pid) => !before.has(pid))
        if (spare === undefined) return assert.fail("no spare")
        process.kill(spare, "SIGSTOP")
        yield* start(runtime, spare)
        const { crashes, incarnation, pid } = yield* runtime.info("a")
        assert.deepStrictEqual({ crashes, incarnation }, { crashes: 0, incarnation: 1 })
        assert.notStrictEqual(pid, spare)
        assert.isFalse(alive(spare))
      })
    ).pipe(Effect.provide(NodeSpawner.layer()))

  onLinux(
    "one that dies when it was taken, before it has answered, is no crash of its worker: that boots as ever",
    frozen((runtime, spare) =>
      Effect.gen(function* () {
        const starting = yield* Effect.forkChild(runtime.start("a"))
        yield* runtime.spares.pipe(
          Effect.repeat({ until: (info) => info.used === 1, schedule: Schedule.spaced("1 millis") }),
          Effect.timeout(bound)
        )
        process.kill(spare, "SIGKILL")
        yield* Fiber.join(starting)
      })
    ),
    180_000
  )

  onLinux(
    "one that does not answer when it was taken is killed, and its worker boots as ever",
    frozen((runtime) => runtime.start("a")),
    180_000
  )

  onLinux(
    "none is left when the runtime has ended, nor when the daemon was killed (L6)",
    () =>
      Effect.gen(function* () {
        const before = new Set(sparesOf(process.pid))
        yield* Effect.scoped(
          Effect.flatMap(
            runtimeOf(() => WorkerSpec.module(module), 2),
            (runtime) => untilWarm(runtime, 2)
          )
        ).pipe(Effect.provide(NodeSpawner.layer()))
        assert.deepStrictEqual(
          sparesOf(process.pid).filter((pid) => !before.has(pid)),
          []
        )
        const daemon = spawn(process.execPath, [fileURLToPath(new URL("./spares.fixture.ts", import.meta.url))], {
          stdio: ["ignore", "pipe", "inherit"]
        })
        const lines = createInterface({ input: daemon.stdout })[Symbol.asyncIterator]()
        yield* Effect.timeout(
          Effect.promise(() => lines.next()),
          bound
        )
        const left = sparesOf(daemon.pid ?? 0)
        assert.strictEqual(left.length, 2)
        for (const pid of left.slice(1)) process.kill(pid, "SIGSTOP")
        daemon.kill("SIGKILL")
        yield* Effect.sync(() => left.filter(alive)).pipe(
          Effect.repeat({ until: (rest) => rest.length === 0, schedule: Schedule.spaced("10 millis") }),
          Effect.timeout(bound)
        )
      }),
    180_000
  )
})
