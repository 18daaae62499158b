/** Workers written in Python, supervised like any other (P7). */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Exit, Fiber, Latch, Queue, Result, Schedule, Stream } from "effect"
import { execFile, spawn, spawnSync } from "node:child_process"
import { createInterface } from "node:readline"
import { promisify } from "node:util"
import { FixtureRpcs, Refused } from "./FixtureRpcs.ts"
import { file, python } from "./python.ts"

type Event = WorkerEvent<string>
type Tagged<Tag> = Extract<Event, { readonly _tag: Tag }>

interface Test {
  readonly runtime: WorkerRuntime.WorkerRuntime<string, WorkerRuntime.RpcsOf<typeof FixtureRpcs>>
  /** The next event that matches. Events before it are consumed. */
  readonly event: <Tag extends Event["_tag"]>(
    tag: Tag,
    where?: (event: Tagged<Tag>) => boolean
  ) => Effect.Effect<Tagged<Tag>>
}

const isTagged = <Tag>(event: Event, tag: Tag): event is Tagged<Tag> => event._tag === tag

const test =
  (
    body: (test: Test) => Effect.Effect<void, unknown>,
    options: WorkerSpec.Options & { readonly stop?: StopPolicy.StopPolicy } = {}
  ) =>
  () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { stop, ...rest } = options
        const events = yield* Queue.unbounded<Event>()
        const runtime = yield* WorkerRuntime.make({
          rpcs: FixtureRpcs,
          worker: () =>
            WorkerSpec.command(python ?? "python3", [file("test/fixture.py")], { ...rest, transport: "stdio" }),
          respawn: RespawnPolicy.intensity({ max: 4, within: "60 seconds" }),
          stop,
          onEvent: (event) => Queue.offer(events, event)
        })
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

const says = (text: string) => (event: Tagged<"WorkerOutput">) => event.line === text

const defectOf = (exit: Exit.Exit<unknown, unknown>): unknown => Result.getOrUndefined(Exit.findDefect(exit))

describe.skipIf(python === undefined)("a worker in Python", () => {
  it.live(
    "answers many calls at once, each with its own answer, and knows who it is",
    test(
      ({ event, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          assert.deepStrictEqual(yield* a.Init(), { key: "a", incarnation: 1, init: { greeting: "grüße" } })
          const ready = yield* event("WorkerReady")
          assert.deepStrictEqual(ready.info, { pid: ready.pid })
          const texts = Array.from({ length: 2000 }, (_, n) => `text ${n}`)
          const answers = yield* Effect.forEach(texts, (text) => a.Echo({ text }), { concurrency: 64 })
          assert.deepStrictEqual(answers, texts)
        }),
      { init: { greeting: "grüße" } }
    )
  )

  it.live(
    "passes any text, and as much as a frame holds",
    test(({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        for (const text of ["", "grüße, 世界 🎉", '\u0000 \u2028 \u2029 \r\n " \\', "\ud800 half a pair", "\ufeff"]) {
          assert.strictEqual(yield* a.Echo({ text }), text)
        }
        const large = "世".repeat(1_300_000)
        assert.strictEqual(yield* a.Echo({ text: large }), large)
        assert.strictEqual((yield* a.Huge({ length: 4_000_000 })).length, 4_000_000)
        assert.include(
          String(defectOf(yield* Effect.exit(a.Huge({ length: 5_000_000 })))),
          "more than a frame may have"
        )
        assert.deepInclude(yield* Effect.flip(a.Echo({ text: "x".repeat(5_000_000) })), { _tag: "ProtocolViolation" })
        assert.strictEqual((yield* runtime.info("a")).incarnation, 1)
      })
    )
  )

  it.live(
    "fails with the declared error as its class, and with others as what they are",
    test(({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const refused = yield* Effect.flip(a.Refuse({ why: "no", code: 7 }))
        if (!(refused instanceof Refused)) return assert.fail(`not a Refused: ${String(refused)}`)
        assert.deepStrictEqual([refused.why, refused.code, refused.loud], ["no", 7, "NO"])
        assert.deepInclude(yield* Effect.flip(a.RefuseOddly()), { _tag: "ProtocolViolation" })
        const rejected = yield* Effect.flip(a.Reject())
        assert.include(rejected.message, "the worker refused the call: not today")
        assert.include((yield* Effect.flip(a.Missing())).message, 'this worker has no method "Missing"')
        const defect = defectOf(yield* Effect.exit(a.Raise()))
        if (!(defect instanceof Error)) return assert.fail(`no defect: ${String(defect)}`)
        assert.deepStrictEqual([defect.name, defect.message], ["KeyError", "'no such key'"])
        assert.match(defect.stack ?? "", /fixture\.py", line \d+, in throw/)
        assert.include(String(defectOf(yield* Effect.exit(a.NotANumber()))), "NotANumber: Out of range float values")
        assert.strictEqual((yield* runtime.info("a")).incarnation, 1)
      })
    )
  )

  it.live(
    "streams, and runs no further ahead of its reader than the window",
    test(({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        const seen: Array<number> = []
        const first = Latch.makeUnsafe(false)
        const go = Latch.makeUnsafe(false)
        const reader = yield* a.Count({ to: 5000 }).pipe(
          Stream.runForEach((n) =>
            Effect.suspend(() => {
              seen.push(n)
              first.openUnsafe()
              return go.await
            })
          ),
          Effect.forkChild
        )
        yield* first.await
        // Each round trip lets whatever could come, come.
        for (let i = 0; i < 20; i++) yield* a.Echo({ text: "" })
        const { produced } = yield* a.Counters()
        assert.isAtLeast(produced, 64)
        assert.isAtMost(produced, 64 + 4)
        go.openUnsafe()
        yield* Fiber.join(reader)
        assert.deepStrictEqual(
          seen,
          Array.from({ length: 5000 }, (_, n) => n)
        )
        assert.deepStrictEqual(yield* a.Counters(), { produced: 5000, closed: 1, cancelled: 0 })
        const items: Array<number> = []
        const error = yield* a.CountThenRefuse().pipe(
          Stream.runForEach((n) => Effect.sync(() => items.push(n))),
          Effect.flip
        )
        assert.instanceOf(error, Refused)
        assert.deepStrictEqual(items, [1])
      })
    )
  )

  it.live(
    "a reader that leaves a stream, or a caller that gives up, stops the work in the worker",
    test(({ event, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(a.Count({ to: 1_000_000 }), 3)), [0, 1, 2])
        const one = yield* a.Counters()
        assert.strictEqual(one.closed, 1)
        assert.isBelow(one.produced, 200)
        const call = yield* Effect.forkChild(a.Wait())
        yield* event("WorkerOutput", says("waiting"))
        yield* Fiber.interrupt(call)
        assert.deepStrictEqual((yield* event("WorkerOutput", says("cancelled"))).fields, { so_far: 1, level: "WARN" })
        assert.deepInclude(yield* Effect.flip(a.Wait(undefined, { timeoutMs: 50 })), { _tag: "CallTimeout" })
        assert.strictEqual((yield* a.Counters()).cancelled, 2)
      })
    )
  )

  it.live(
    "a crash fails what is in flight, with exit code and stderr, and the next call goes to a new process",
    test(({ event, runtime }) =>
      Effect.gen(function* () {
        const [a, b] = [yield* runtime.client("a"), yield* runtime.client("b")]
        yield* b.Echo({ text: "b" })
        const waiting = yield* Effect.forkChild(Effect.flip(a.Wait()))
        yield* event("WorkerOutput", says("waiting"))
        const crashed = yield* Effect.flip(a.Crash({ code: 3 }))
        assert.deepInclude(crashed, { _tag: "WorkerDied", incarnation: 1, stderrTail: "about to crash\n" })
        assert.deepInclude(crashed, { exit: { code: 3, signal: null } })
        assert.deepInclude(yield* Fiber.join(waiting), { _tag: "WorkerDied" })
        assert.deepInclude(yield* a.Init(), { incarnation: 2 })
        const { pid } = yield* event("WorkerReady", (one) => one.key === "a" && one.incarnation === 2)
        const again = yield* Effect.forkChild(Effect.flip(a.Wait()))
        yield* event("WorkerOutput", says("waiting"))
        process.kill(pid, "SIGKILL")
        assert.deepInclude(yield* Fiber.join(again), { _tag: "WorkerDied", exit: { code: null, signal: "SIGKILL" } })
        assert.deepInclude(yield* a.Init(), { incarnation: 3 })
        assert.strictEqual((yield* runtime.info("b")).incarnation, 1)
      })
    )
  )

  it.live(
    "print() of a served worker is captured, and its children get neither end of the pipe",
    test(({ event, runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        assert.strictEqual(yield* a.Print({ text: "grüße 1" }), "EOFError: EOF when reading a line")
        for (const line of ["printed grüße 1", "to stderr grüße 1"]) {
          assert.strictEqual((yield* event("WorkerOutput", says(line))).stream, "stderr")
        }
        assert.strictEqual(yield* a.Echo({ text: "unharmed" }), "unharmed")
      })
    )
  )

  it.live(
    "text on stdout that is no frame ends that incarnation, and the reason names it",
    test(({ event, runtime }) =>
      Effect.gen(function* () {
        const [a, b] = [yield* runtime.client("a"), yield* runtime.client("b")]
        yield* b.Echo({ text: "b" })
        const error = yield* Effect.flip(a.WriteRaw({ text: "Loading model…\n", times: 1 }))
        assert.deepInclude(error, { _tag: "WorkerDied" })
        assert.include(
          (yield* event("WorkerExited")).reason,
          "a line on stdout (which carries the protocol) that is not JSON: Loading model…"
        )
        yield* Effect.flip(a.WriteRaw({ text: "x".repeat(65_536), times: 80 }))
        assert.include((yield* event("WorkerExited")).reason, "of more than 4194304 bytes")
        // JSON that is no frame is told and harms nothing, as on descriptor 3.
        yield* a.WriteRaw({ text: "42\n", times: 1 })
        assert.include((yield* event("ProtocolViolated", (one) => one.incarnation === 3)).detail, "42")
        assert.strictEqual(yield* a.Echo({ text: "still" }), "still")
        assert.strictEqual((yield* runtime.info("b")).incarnation, 1)
      })
    )
  )

  it.live(
    "a print() before it serves ends it, too, and a key that always does so is given up",
    test(
      ({ runtime }) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(runtime.start("a"))
          assert.deepInclude(error, { _tag: "RespawnLimitReached" })
          assert.include(error.message, "that is not JSON: hello from an import")
        }),
      { env: { FIXTURE_PRINT_FIRST: "hello from an import" } }
    )
  )

  it.live(
    "goes when it is asked to, by SIGTERM when it will not, by SIGKILL when it cannot",
    test(
      ({ event, runtime }) =>
        Effect.gen(function* () {
          const a = yield* runtime.client("a")
          const waiting = yield* Effect.forkChild(Effect.flip(a.Wait()))
          yield* event("WorkerOutput", says("waiting"))
          yield* runtime.evict("a", StopPolicy.make({ polite: "10 seconds" }))
          assert.deepInclude(yield* Fiber.join(waiting), { _tag: "WorkerStopped" })
          const polite = yield* event("WorkerExited")
          assert.deepInclude(polite, { expected: true, exit: { code: 0, signal: null } })
          assert.match(polite.reason, /^ask: /)

          yield* Effect.forkChild(Effect.exit(a.Stubborn()))
          yield* event("WorkerOutput", says("stubborn"))
          yield* runtime.evict("a")
          const told = yield* event("WorkerExited")
          assert.deepInclude(told, { expected: true, exit: { code: null, signal: "SIGTERM" } })

          yield* Effect.forkChild(Effect.exit(a.Stubborn()))
          yield* event("WorkerOutput", says("stubborn"))
          process.kill((yield* runtime.info("a")).pid ?? 0, "SIGSTOP")
          yield* runtime.evict("a")
          const killed = yield* event("WorkerExited")
          assert.deepInclude(killed, { expected: true, exit: { code: null, signal: "SIGKILL" } })
        }),
      { stop: StopPolicy.make({ polite: "200 millis", term: "200 millis" }) }
    )
  )

  it.live(
    "a drain lets its calls finish and goes on in a new process",
    test(({ runtime }) =>
      Effect.gen(function* () {
        const a = yield* runtime.client("a")
        yield* a.Echo({ text: "1" })
        const texts = Array.from({ length: 200 }, (_, n) => String(n))
        const answers = yield* Effect.forkChild(Effect.forEach(texts, (text) => a.Echo({ text }), { concurrency: 8 }))
        yield* runtime.drain("a")
        assert.deepStrictEqual(yield* Fiber.join(answers), texts)
        assert.deepInclude(yield* a.Init(), { incarnation: 2 })
      })
    )
  )
})

/** Processes by what `ps` shows: pid, parent, state, command line. Zombies are dead. */
const processes = (): ReadonlyArray<{ readonly pid: number; readonly parent: number; readonly args: string }> =>
  spawnSync("ps", ["-eo", "pid=,ppid=,stat=,args="], { encoding: "utf8" })
    .stdout.split("\n")
    .flatMap((line) => {
      const [, pid, parent, state, args] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? []
      return args === undefined || state?.startsWith("Z") ? [] : [{ pid: Number(pid), parent: Number(parent), args }]
    })

/** Waits until a process is gone, by looking; there is no event for a process that is not our child. */
const awaitGone = (pid: number) =>
  Effect.sync(() => processes().some((one) => one.pid === pid)).pipe(
    Effect.repeat({ until: (lives: boolean) => !lives, schedule: Schedule.spaced("50 millis") }),
    Effect.timeout("60 seconds")
  )

/** A daemon in a process of its own, with the lines that it prints. */
const daemon = (mode: string) =>
  Effect.acquireRelease(
    Effect.gen(function* () {
      const child = spawn(process.execPath, [file("test/daemon.fixture.ts"), mode], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      const lines = yield* Queue.unbounded<string>()
      createInterface({ input: child.stdout }).on("line", (line) => Queue.offerUnsafe(lines, line))
      return { child, line: Queue.take(lines) }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

describe.skipIf(python === undefined)("a daemon that is killed", () => {
  for (const [mode, says] of [
    ["wait", "waiting"],
    ["block", "blocking"]
  ] as const) {
    it.live(`takes its worker with it, though nobody is left to kill it: ${says}`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { child, line } = yield* daemon(mode)
          const pid = Number(/^pid (\d+)$/.exec(yield* line)?.[1])
          assert.strictEqual(yield* line, says)
          const wardens = processes().filter((one) => one.parent === child.pid && one.args.includes("nerve-warden"))
          assert.lengthOf(wardens, 2)
          for (const { pid: warden } of wardens) process.kill(warden, "SIGKILL")
          child.kill("SIGKILL")
          yield* awaitGone(pid)
        })
      )
    )
  }
})

describe.skipIf(python === undefined)("main.ts", () => {
  it.live("prints what the chapter says, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const env = { ...process.env, PYTHON: python, NO_COLOR: "1" }
      const { stderr, stdout } = yield* Effect.promise(() =>
        promisify(execFile)(process.execPath, [file("main.ts")], { env })
      )
      assert.strictEqual(stderr, "")
      assert.deepStrictEqual(
        stdout.split("\n").filter((line) => line !== "" && !line.startsWith("  log: ")),
        [
          "the square root of 2 is 1.4142135623730951",
          "there is none of -4",
          "a minute's sleep within 100 ms: None",
          "primes below 30: 2 3 5 7 11 13 17 19 23 29",
          "a stream that is left early stops the worker's loop: 2 3 5",
          "killed, and back: 9"
        ]
      )
    })
  )
})
