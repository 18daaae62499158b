/** Real processes, without senses and workflows (R13): started, killed, frozen, cut off. */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Fiber, Queue, Schedule, Stream } from "effect"
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { EchoRpcs } from "./EchoRpcs.ts"

const module = new URL("./echo.worker.ts", import.meta.url)

interface Test {
  readonly runtime: WorkerRuntime.WorkerRuntime<string, WorkerRuntime.RpcsOf<typeof EchoRpcs>>
  /** The next event that matches. Events before it are consumed. */
  readonly event: <Tag extends WorkerEvent<string>["_tag"]>(
    tag: Tag,
    where?: (event: Extract<WorkerEvent<string>, { readonly _tag: Tag }>) => boolean
  ) => Effect.Effect<Extract<WorkerEvent<string>, { readonly _tag: Tag }>>
}

const setup = (
  body: (test: Test) => Effect.Effect<void, unknown>,
  options: {
    readonly spec?: WorkerSpec.WorkerSpec
    readonly worker?: (key: string) => WorkerSpec.WorkerSpec
    readonly stop?: StopPolicy.StopPolicy
    readonly respawn?: RespawnPolicy.RespawnPolicy
  } = {}
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const events = yield* Queue.unbounded<WorkerEvent<string>>()
      const runtime = yield* WorkerRuntime.make({
        rpcs: EchoRpcs,
        worker: options.worker ?? (() => options.spec ?? WorkerSpec.module(module)),
        respawn: options.respawn ?? RespawnPolicy.intensity({ max: 4, within: "60 seconds" }),
        stop: options.stop,
        onEvent: (event) => Queue.offer(events, event)
      })
      type Tagged<Tag> = Extract<WorkerEvent<string>, { readonly _tag: Tag }>
      const isTagged = <Tag>(event: WorkerEvent<string>, tag: Tag): event is Tagged<Tag> => event._tag === tag
      yield* body({
        runtime,
        event: (tag, where = () => true) =>
          Effect.gen(function* () {
            for (;;) {
              const event = yield* Queue.take(events)
              if (isTagged(event, tag) && where(event)) return event
            }
          })
      })
    })
  ).pipe(Effect.provide(NodeSpawner.layer()))

/** A fork whose end nobody waits for. */
const inBackground = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(Effect.exit(effect))

/** Descriptors of this process; 0 where they cannot be counted. */
const openDescriptors = (): number => (process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0)

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    // A zombie that nobody has reaped yet is dead.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return process.platform !== "linux"
  }
}

/** Waits until a process is gone, by looking; there is no event for a process that is not our child. */
const awaitGone = (pid: number) =>
  Effect.sync(() => alive(pid)).pipe(
    Effect.repeat({ until: (lives: boolean) => !lives, schedule: Schedule.spaced("10 millis") }),
    Effect.timeout("60 seconds")
  )

describe("NodeSpawner", () => {
  it.live("answers over a real process, typed errors and streams included", () =>
    setup(({ event, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        assert.strictEqual(yield* a.Echo({ text: "grüße, 世界 \u2028 \n" }), "grüße, 世界 \u2028 \n")
        const ready = yield* event("WorkerReady")
        assert.deepStrictEqual(ready.info, { pid: ready.pid })
        assert.deepInclude(yield* Effect.flip(a.Refuse({ why: "no" })), { _tag: "Refused", why: "no" })
        const items = yield* Stream.runCollect(a.Count({ to: 20_000 }))
        assert.strictEqual([...items].length, 20_000)
        const many = yield* Effect.forEach(
          Array.from({ length: 2000 }, (_, i) => String(i)),
          (text) => a.Echo({ text }),
          { concurrency: 64 }
        )
        assert.deepStrictEqual(
          many,
          Array.from({ length: 2000 }, (_, i) => String(i))
        )
      })
    )
  )

  it.live("gives workers only the basics of the environment, and what the spec sets", () => {
    for (const name of ["NERVE_TEST_SECRET", "AWS_SECRET_ACCESS_KEY", "NODE_OPTIONS", "LD_PRELOAD", "SSH_AUTH_SOCK"])
      process.env[name] ??= ""
    return setup(
      ({ runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          const env = yield* a.Environment()
          // What is there was put there: by the list of the documentation, by the spec, by the Spawner.
          const known = new Set([
            ...["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TERM"],
            ...["COLORTERM", "NO_COLOR", "GREETING", "NODE_COMPILE_CACHE", "NERVE_WORKER_KEY", "NERVE_INCARNATION"],
            ...["NERVE_DAEMON_ID", "NERVE_RESUME_ID", "__CF_USER_TEXT_ENCODING"]
          ])
          assert.deepStrictEqual(
            Object.keys(env).filter((name) => !known.has(name)),
            []
          )
          assert.deepInclude(env, { NERVE_WORKER_KEY: "a", NERVE_INCARNATION: "1", GREETING: "hi" })
          assert.property(env, "PATH")
        }),
      { spec: WorkerSpec.module(module, { env: { GREETING: "hi" } }) }
    )
  })

  it.live("captures stdout, stderr and log lines, the last ones before an exit too (R10)", () =>
    setup(({ event, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* a.Talk({ text: "1" })
        const lines = [yield* event("WorkerOutput"), yield* event("WorkerOutput"), yield* event("WorkerOutput")]
        assert.sameMembers(
          lines.map((one) => `${one.stream}: ${one.line}`),
          ["stdout: out 1", "stderr: err 1", "log: log 1"]
        )
        yield* Effect.exit(a.Exit({ code: 3 }))
        const exited = yield* event("WorkerExited")
        assert.deepInclude(exited, { exit: { code: 3, signal: null }, stderrTail: "err 1\n", expected: false })
      })
    )
  )

  it.live("is back after SIGKILL, and only the calls in flight failed", () =>
    setup(({ event, runtime }) =>
      Effect.gen(function* () {
        const [a, b] = [yield* runtime.client("a"), yield* runtime.client("b")]
        yield* b.Echo({ text: "b" })
        const inFlight = yield* Effect.forkChild(Effect.flip(a.Never()))
        const ready = yield* event("WorkerReady", (one) => one.key === "a")
        process.kill(ready.pid, "SIGKILL")
        assert.deepInclude(yield* Fiber.join(inFlight), { _tag: "WorkerDied", incarnation: 1 })
        assert.strictEqual(yield* a.Echo({ text: "back" }), "back")
        assert.strictEqual((yield* runtime.info("b")).incarnation, 1)
      })
    )
  )

  it.live("kills what is stuck in a loop or stopped, and its whole process group", () =>
    setup(
      ({ event, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          const grandchild = yield* a.Breed({ setsid: false })
          assert.isTrue(alive(grandchild))
          const { pid } = yield* event("WorkerReady")
          yield* Effect.forkChild(Effect.exit(a.Spin()))
          yield* runtime.evict("a")
          assert.isFalse(alive(pid))
          yield* awaitGone(grandchild)
          yield* runtime.start("a")
          const second = yield* event("WorkerReady")
          process.kill(second.pid, "SIGSTOP")
          yield* runtime.evict("a")
          assert.isFalse(alive(second.pid))
        }),
      { stop: StopPolicy.make({ polite: "200 millis", term: "200 millis" }) }
    )
  )

  it.live("a line that is no JSON, or too long, ends that incarnation and nothing else", () =>
    setup(({ event, runtime }) =>
      Effect.gen(function* () {
        const [a, b] = [yield* runtime.client("a"), yield* runtime.client("b")]
        yield* b.Echo({ text: "b" })
        yield* Effect.exit(a.WriteRaw({ text: "garbage\n", times: 1 }))
        assert.include((yield* event("WorkerExited")).reason, "a line that is not JSON: garbage")
        yield* Effect.exit(a.WriteRaw({ text: "x".repeat(65_536), times: 80 }))
        assert.include((yield* event("WorkerExited")).reason, "a frame of more than 4194304 bytes")
        assert.strictEqual(yield* a.Echo({ text: "still" }), "still")
        assert.strictEqual((yield* runtime.info("b")).incarnation, 1)
      })
    )
  )

  it.live("an answer or a payload larger than a frame fails that call alone", () =>
    setup(({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const big = yield* Effect.exit(a.Huge({ length: 5_000_000 }))
        assert.include(String(big), "larger than a frame may be")
        assert.deepInclude(yield* Effect.flip(a.Echo({ text: "x".repeat(5_000_000) })), { _tag: "ProtocolViolation" })
        assert.strictEqual((yield* a.Huge({ length: 3_000_000 })).length, 3_000_000)
        assert.strictEqual((yield* runtime.info("a")).incarnation, 1)
      })
    )
  )

  it.live("an executable that is not there is given up, with its name", () =>
    setup(
      ({ runtime }) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(runtime.start("a"))
          assert.include(error.message, "/no/such/program")
          assert.include(error.message, "ENOENT")
        }),
      { spec: WorkerSpec.command("/no/such/program") }
    )
  )

  it.live("a module that throws while it loads is given up, with its error on stderr", () =>
    setup(
      ({ event, runtime }) =>
        Effect.gen(function* () {
          yield* Effect.exit(runtime.start("a"))
          assert.include((yield* event("WorkerExited")).stderrTail, "no-such-module")
        }),
      { spec: WorkerSpec.module(new URL("./no-such-module.ts", import.meta.url)) }
    )
  )

  it.live(
    "a line of JSON that is nested too deep to be written again harms neither its incarnation nor the daemon",
    () =>
      setup(({ event, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          // Short enough that nobody looks how deep it is before it is parsed.
          const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`
          yield* a.Echo({ text: "up" })
          yield* inBackground(a.WriteRaw({ text: `${deep}\n`, times: 1 }))
          assert.include((yield* event("ProtocolViolated")).detail, "not a frame of the protocol: [[[[")
          // As an answer it fails its call at most.
          const call = yield* Effect.forkChild(Effect.exit(a.Answer({ id: 3, raw: deep })))
          yield* Fiber.join(call)
          assert.strictEqual(yield* a.Echo({ text: "still" }), "still")
          assert.strictEqual((yield* runtime.info("a")).incarnation, 1)
        })
      )
  )

  it.live("leaves no descriptor behind for an incarnation, nor for one that could not be started", () =>
    setup(
      ({ runtime }) =>
        Effect.gen(function* () {
          const round = Effect.gen(function* () {
            yield* runtime.start("a")
            yield* runtime.evict("a", StopPolicy.kill)
            yield* Effect.exit(runtime.start("missing"))
            yield* runtime.evict("missing")
          })
          yield* round
          const before = openDescriptors()
          for (let i = 0; i < 5; i++) yield* round
          assert.isAtMost(openDescriptors(), before)
        }),
      {
        respawn: RespawnPolicy.never,
        worker: (key) => (key === "missing" ? WorkerSpec.command("/no/such/program") : WorkerSpec.module(module))
      }
    )
  )

  it.live("a grandchild that keeps the pipes open delays the exit by no more than a moment, and nothing leaks", () =>
    setup(
      ({ event, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          const pid = yield* a.Breed({ setsid: true })
          const before = openDescriptors()
          yield* inBackground(a.Exit({ code: 3 }))
          assert.deepInclude(yield* event("WorkerExited"), { exit: { code: 3, signal: null } })
          yield* runtime.evict("a")
          assert.isBelow(openDescriptors(), before)
          process.kill(pid, "SIGKILL")
        }),
      { respawn: RespawnPolicy.never }
    )
  )

  it.live("says so when the folder to start in is missing, or the init is too large", () =>
    setup(
      ({ runtime }) =>
        Effect.gen(function* () {
          assert.include((yield* Effect.flip(runtime.start("folder"))).message, "there is no folder /no/such/folder")
          assert.include(
            (yield* Effect.flip(runtime.start("init"))).message,
            "the init of worker init is larger than a frame"
          )
        }),
      {
        respawn: RespawnPolicy.never,
        worker: (key) =>
          key === "folder"
            ? WorkerSpec.module(module, { cwd: "/no/such/folder" })
            : WorkerSpec.module(module, { init: "x".repeat(5_000_000) })
      }
    )
  )

  it.live("runs a module whose path has spaces, percent signs and hashes", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(fileURLToPath(new URL("./.tmp a b%20c#d?", import.meta.url)))),
          (made) => Effect.sync(() => rmSync(made, { recursive: true }))
        )
        for (const name of ["EchoRpcs.ts", "echo.worker.ts"]) {
          copyFileSync(new URL(`./${name}`, import.meta.url), join(folder, name))
        }
        const path = join(folder, "echo.worker.ts")
        yield* setup(
          ({ runtime }) =>
            Effect.gen(function* () {
              for (const key of ["path", "url"]) {
                const client = yield* runtime.client(key)
                assert.strictEqual(yield* client.Echo({ text: key }), key)
              }
            }),
          { worker: (key) => WorkerSpec.module(key === "path" ? path : pathToFileURL(path)) }
        )
      })
    )
  )
})
