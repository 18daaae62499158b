/** Supervised processes, threads and commands, real ones: killed, stuck, frozen. */
import { assert, describe, it } from "@effect/vitest"
import type { LifecycleState } from "@nerve/core/supervision/LifecycleState"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StateTree from "@nerve/core/supervision/StateTree"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as ThreadWorker from "@nerve/node/supervision/ThreadWorker"
import * as CommandWorker from "@nerve/runtime/supervision/CommandWorker"
import * as ContainerWorker from "@nerve/runtime/supervision/ContainerWorker"
import * as EffectWorker from "@nerve/runtime/supervision/EffectWorker"
import * as Lifecycle from "@nerve/runtime/supervision/Lifecycle"
import * as ProcessWorker from "@nerve/runtime/supervision/ProcessWorker"
import type { Spawner } from "@nerve/runtime/supervision/Spawner"
import * as Supervisor from "@nerve/runtime/supervision/Supervisor"
import { Effect, Option, Queue, Schedule, type Scope, Stream } from "effect"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const thread = new URL("./thread.fixture.ts", import.meta.url)
const idle = new URL("./idle.worker.ts", import.meta.url)
const engine = fileURLToPath(new URL("./engine.fixture.sh", import.meta.url))

/** Waits until the tree fits. */
const until = (worker: Lifecycle.Worker, fits: (tree: StateTree.StateTree) => boolean) =>
  worker.changes.pipe(
    Stream.filter(fits),
    Stream.runHead,
    Effect.flatMap(Option.match({ onNone: () => Effect.die(new Error("it ended before")), onSome: Effect.succeed })),
    Effect.timeout("60 seconds")
  )

const reaches = (worker: Lifecycle.Worker, state: LifecycleState) => until(worker, (tree) => tree.state === state)

/** The child when it runs as this incarnation. */
const running = (supervisor: Supervisor.Supervisor, id: string, incarnation: number) =>
  until(supervisor, (tree) => {
    const child = StateTree.find(tree, [id])
    return child?.state === "Running" && child.incarnation === incarnation
  }).pipe(Effect.map((tree) => StateTree.find(tree, [id])?.pid ?? 0))

/** Collects lines; `next` waits for one. */
const listening = Effect.map(Queue.unbounded<string>(), (lines) => ({
  output: ({ line, stream }: CommandWorker.OutputLine) =>
    Effect.asVoid(Queue.offer(lines, stream === "stderr" ? `err ${line}` : line)),
  next: Effect.timeout(Queue.take(lines), "60 seconds")
}))

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
}

const stateOf = (pid: number): string | undefined =>
  /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]

/** By looking; there is no event for what the kernel does to a process. */
const awaitTrue = (condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (yes: boolean) => yes, schedule: Schedule.spaced("5 millis") }),
    Effect.timeout("60 seconds")
  )

const quick = StopPolicy.make({ polite: "200 millis", term: "200 millis" })

const live = (name: string, body: Effect.Effect<void, unknown, Scope.Scope | Spawner>) =>
  it.live(name, () => body.pipe(Effect.scoped, Effect.provide(NodeSpawner.layer())))

const sh = (script: string, options: CommandWorker.Options = {}) =>
  CommandWorker.make("/bin/sh", ["-c", script], options)

describe("CommandWorker on Node", () => {
  live(
    "wait yields the true exit, the output is handed on",
    Effect.gen(function* () {
      const lines = yield* listening
      const worker = yield* Lifecycle.make(sh("echo out; echo err >&2; exit 3", { output: lines.output }))
      yield* worker.start
      assert.deepStrictEqual(yield* worker.wait, { outcome: "Failed", code: 3, signal: null, error: null })
      assert.sameMembers([yield* lines.next, yield* lines.next], ["out", "err err"])
    })
  )

  live(
    "kill -9 from outside is Killed, a deadly signal is Failed, success is Finished",
    Effect.gen(function* () {
      const ends = yield* Effect.forEach(
        ["kill -9 $$", "kill -SEGV $$", "true"],
        Effect.fnUntraced(function* (script) {
          const worker = yield* Lifecycle.make(sh(script))
          yield* worker.start
          const { outcome, signal } = yield* worker.wait
          return `${outcome} ${signal}`
        })
      )
      assert.deepStrictEqual(ends, ["Killed SIGKILL", "Failed SIGSEGV", "Finished null"])
    })
  )

  live(
    "what cannot be started is Failed, with the reason",
    Effect.gen(function* () {
      const worker = yield* Lifecycle.make(CommandWorker.make("/no/such/program"))
      yield* worker.start
      const exit = yield* worker.wait
      assert.strictEqual(exit.outcome, "Failed")
      assert.include(exit.error, "could not be started: /no/such/program")
    })
  )

  live(
    "one that ignores SIGTERM is killed within the bounds, its children with it",
    Effect.gen(function* () {
      const lines = yield* listening
      const worker = yield* Lifecycle.make(
        sh("trap '' TERM; sleep 600 & echo $!; while :; do wait; done", { output: lines.output })
      )
      yield* worker.start
      const grandchild = Number(yield* lines.next)
      assert.isTrue(alive(grandchild))
      assert.deepInclude(yield* worker.stop(quick), { outcome: "Killed", signal: "SIGKILL" })
      yield* awaitTrue(() => !alive(grandchild))
    })
  )

  live(
    "suspended, it really stands still; it goes on when resumed; suspended, it can be stopped",
    Effect.gen(function* () {
      const worker = yield* Lifecycle.make(sh("while :; do :; done"))
      yield* worker.start
      const { pid } = yield* reaches(worker, "Running")
      assert.isNotNull(pid)
      yield* worker.suspend
      yield* awaitTrue(() => stateOf(pid ?? 0) === "T")
      yield* worker.resume
      yield* awaitTrue(() => stateOf(pid ?? 0) === "R")
      yield* worker.suspend
      yield* awaitTrue(() => stateOf(pid ?? 0) === "T")
      assert.deepInclude(yield* worker.stop(quick), { outcome: "Stopped", signal: "SIGTERM" })
      assert.isFalse(alive(pid ?? 0))
    })
  )
})

describe("ProcessWorker on Node", () => {
  live(
    "is started without waiting, runs when it is ready, is asked to stop and ends with code 0",
    Effect.gen(function* () {
      const worker = yield* Lifecycle.make(ProcessWorker.make(idle))
      yield* worker.start
      assert.strictEqual(yield* worker.state, "Starting")
      const { pid } = yield* reaches(worker, "Running")
      assert.isTrue(alive(pid ?? 0))
      assert.deepStrictEqual(yield* worker.stop(), { outcome: "Stopped", code: 0, signal: null, error: null })
      assert.isFalse(alive(pid ?? 0))
    })
  )
})

describe("ProcessWorker in another language", () => {
  const handmade = fileURLToPath(new URL("./handmade.fixture.mjs", import.meta.url))

  live(
    "runs when it is ready, is asked to stop over its channel, on either transport",
    Effect.gen(function* () {
      for (const transport of ["fd3", "stdio"] as const) {
        const worker = yield* Lifecycle.make(
          ProcessWorker.command(process.execPath, [handmade, transport], { transport })
        )
        yield* worker.start
        assert.strictEqual(yield* worker.state, "Starting")
        yield* reaches(worker, "Running")
        assert.deepInclude(yield* worker.snapshot, { kind: "process", metadata: { command: process.execPath } })
        assert.deepStrictEqual(yield* worker.stop(), { outcome: "Stopped", code: 0, signal: null, error: null })
      }
    })
  )

  live(
    "one that speaks another version is killed, and says so",
    Effect.gen(function* () {
      const worker = yield* Lifecycle.make(ProcessWorker.command(process.execPath, [handmade, "fd3", "9"]))
      yield* worker.start
      const exit = yield* worker.wait
      assert.deepInclude(exit, { outcome: "Killed", error: "it speaks version 9 of the protocol, not 1" })
    })
  )
})

describe("ThreadWorker", () => {
  live(
    "runs an Effect, which is interrupted when the thread is asked to stop",
    Effect.gen(function* () {
      const lines = yield* listening
      const worker = yield* Lifecycle.make(ThreadWorker.make(thread, { output: lines.output }))
      yield* worker.start
      assert.strictEqual(yield* lines.next, "begun")
      assert.deepStrictEqual(yield* worker.stop(), { outcome: "Stopped", code: 0, signal: null, error: null })
      assert.strictEqual(yield* lines.next, "ended")
    })
  )

  live(
    "one that is stuck in a loop is terminated",
    Effect.gen(function* () {
      const lines = yield* listening
      const worker = yield* Lifecycle.make(ThreadWorker.make(thread, { args: ["spin"], output: lines.output }))
      yield* worker.start
      yield* reaches(worker, "Running")
      assert.deepInclude(yield* worker.stop(quick), { outcome: "Killed", error: null })
    })
  )

  live(
    "one that does not listen is terminated, at once when told to",
    Effect.gen(function* () {
      const worker = yield* Lifecycle.make(ThreadWorker.make(thread, { args: ["deaf"] }))
      yield* worker.start
      yield* reaches(worker, "Running")
      assert.strictEqual((yield* worker.stop(StopPolicy.kill)).outcome, "Killed")
    })
  )

  live(
    "an exit code, an error that was thrown and a failed Effect are Failed, the last lines are kept",
    Effect.gen(function* () {
      const lines = yield* listening
      const run = Effect.fnUntraced(function* (what: string) {
        const worker = yield* Lifecycle.make(ThreadWorker.make(thread, { args: [what], output: lines.output }))
        yield* worker.start
        return yield* worker.wait
      })
      assert.deepStrictEqual(yield* run("exit"), { outcome: "Failed", code: 3, signal: null, error: null })
      assert.strictEqual(yield* lines.next, "err last words")
      const thrown = yield* run("throw")
      assert.deepInclude(thrown, { outcome: "Failed", code: 1 })
      assert.match(thrown.error ?? "", /^TypeError: no luck\n\s+at .*thread\.fixture\.ts/)
      assert.deepInclude(yield* run("fail"), { outcome: "Failed", code: 1 })
      assert.include(yield* lines.next, "no luck")
    })
  )

  live(
    "one that needs more memory than it may is Failed, and only it",
    Effect.gen(function* () {
      const worker = yield* Lifecycle.make(
        ThreadWorker.make(thread, { args: ["hungry"], limits: { maxOldGenerationSizeMb: 32 } })
      )
      yield* worker.start
      const exit = yield* worker.wait
      assert.strictEqual(exit.outcome, "Failed")
      assert.include(exit.error, "memory")
    })
  )

  live(
    "a module that is not there is Failed; a thread cannot be suspended",
    Effect.gen(function* () {
      const missing = yield* Lifecycle.make(ThreadWorker.make(new URL("./no-such-thread.ts", import.meta.url)))
      yield* missing.start
      assert.include((yield* missing.wait).error, "no-such-thread")
      const worker = yield* Lifecycle.make(ThreadWorker.make(thread, { args: ["deaf"] }), { stop: StopPolicy.kill })
      yield* worker.start
      yield* reaches(worker, "Running")
      assert.include((yield* Effect.flip(worker.suspend)).message, "a thread cannot be suspended")
    })
  )
})

describe("ContainerWorker, against a stand-in engine", () => {
  live(
    "runs, is suspended and resumed, stopped and killed through the engine",
    Effect.gen(function* () {
      const state = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-engine-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
      )
      const containers = () =>
        readdirSync(state)
          .map((name) => join(state, name))
          // A container that ends takes its file away.
          .map((file) => (existsSync(file) ? Number(readFileSync(file, "utf8")) : 0))
          .filter((pid) => pid > 0)
      const lines = yield* listening
      const blueprint = ContainerWorker.make({
        image: "any",
        command: ["sh", "-c", 'echo "$NERVE_RESUME_ID $NERVE_PREV_EXIT"; exec sleep 600'],
        engine,
        engineEnv: { ENGINE_STATE: state },
        output: lines.output
      })

      const polite = yield* Lifecycle.make(blueprint, { resumeId: "r-1" })
      yield* polite.start
      assert.strictEqual(yield* lines.next, "r-1 ")
      yield* awaitTrue(() => containers().length === 1)
      const [pid = 0] = containers()
      yield* polite.suspend
      yield* awaitTrue(() => stateOf(pid) === "T")
      yield* polite.resume
      yield* awaitTrue(() => stateOf(pid) !== "T")
      assert.strictEqual((yield* polite.stop()).outcome, "Stopped")
      yield* awaitTrue(() => !alive(pid))

      const forced = yield* Lifecycle.make(blueprint, { resumeId: "r-2" })
      yield* forced.start
      yield* lines.next
      yield* awaitTrue(() => containers().length === 1)
      const [second = 0] = containers()
      assert.strictEqual((yield* forced.stop(StopPolicy.kill)).outcome, "Killed")
      yield* awaitTrue(() => !alive(second))

      const client = yield* Lifecycle.make(blueprint, { resumeId: "r-3" })
      yield* client.start
      yield* lines.next
      yield* awaitTrue(() => containers().length === 1)
      const [third = 0] = containers()
      process.kill((yield* client.snapshot).pid ?? 0, "SIGKILL")
      assert.strictEqual((yield* client.wait).outcome, "Killed")
      // A container whose client was killed must not live on.
      yield* awaitTrue(() => !alive(third))
    })
  )
})

describe("Supervisor on Node", () => {
  const report = `echo "$NERVE_RESUME_ID $NERVE_PREV_EXIT"`

  live(
    "the handover reaches the real environment: the same resume id, the true exit code or signal (L5)",
    Effect.gen(function* () {
      const lines = yield* listening
      // Ends by 7 at first, then by a signal, then stays.
      const script = `${report}; case "$NERVE_PREV_EXIT" in '') exit 7;; 7) kill -SEGV $$;; *) sleep 600;; esac`
      const supervisor = yield* Supervisor.make({
        respawn: RespawnPolicy.immediately,
        children: [{ id: "a", worker: sh(script, { output: lines.output }), resumeId: "r-42" }]
      })
      yield* supervisor.start
      assert.deepStrictEqual(
        [yield* lines.next, yield* lines.next, yield* lines.next],
        ["r-42 ", "r-42 7", "r-42 SIGSEGV"]
      )
      const pid = yield* running(supervisor, "a", 3)
      process.kill(pid, "SIGKILL")
      assert.strictEqual(yield* lines.next, "r-42 SIGKILL")
    })
  )

  live(
    "the handover reaches a thread's environment, which holds no more than it should",
    Effect.gen(function* () {
      process.env["NERVE_TEST_SECRET"] = "hunter2"
      const lines = yield* listening
      const supervisor = yield* Supervisor.make({
        respawn: RespawnPolicy.immediately,
        children: [
          {
            id: "a",
            worker: ThreadWorker.make(thread, {
              args: ["environment"],
              env: { GREETING: "hi" },
              data: { n: 1 },
              output: lines.output
            }),
            resumeId: "r-1"
          }
        ]
      })
      yield* supervisor.start
      const [first, second] = [JSON.parse(yield* lines.next), JSON.parse(yield* lines.next)]
      assert.deepStrictEqual(first, { resumeId: "r-1", set: "hi", data: { n: 1 } })
      assert.deepStrictEqual(second, { resumeId: "r-1", previousExit: "5", set: "hi", data: { n: 1 } })
    })
  )

  live(
    "one tree of all kinds (L1): rest-for-one after kill -9 of a process, and nothing is left of it after the stop",
    Effect.gen(function* () {
      const supervisor = yield* Supervisor.make({
        id: "tree",
        strategy: "rest-for-one",
        respawn: RespawnPolicy.spaced("20 millis"),
        children: [
          { id: "command", worker: sh("sleep 600") },
          { id: "process", worker: ProcessWorker.make(idle) },
          {
            id: "inner",
            worker: Supervisor.blueprint({
              children: [
                { id: "thread", worker: ThreadWorker.make(thread, { args: ["deaf"] }), stop: quick },
                { id: "effect", worker: EffectWorker.make(Effect.never) }
              ]
            })
          }
        ]
      })
      yield* supervisor.start
      yield* reaches(supervisor, "Running")
      const before = yield* supervisor.snapshot
      const pid = StateTree.find(before, ["process"])?.pid ?? 0
      process.kill(pid, "SIGKILL")
      yield* until(supervisor, (tree) => StateTree.find(tree, ["inner"])?.incarnation === 2)
      const after = yield* until(supervisor, (tree) => tree.children.every((child) => child.state === "Running"))
      assert.deepStrictEqual(
        after.children.map((child) => `${child.id} ${child.incarnation} ${child.crashes}`),
        ["command 1 0", "process 2 1", "inner 2 0"]
      )
      assert.strictEqual(StateTree.find(after, ["inner", "thread"])?.state, "Running")
      yield* supervisor.stop()
      const last = yield* supervisor.snapshot
      assert.strictEqual(last.state, "Stopped")
      for (const child of [...after.children, ...before.children])
        if (child.pid !== null) assert.isFalse(alive(child.pid))
    })
  )

  live(
    "a suspended tree stands still and can be stopped",
    Effect.gen(function* () {
      const supervisor = yield* Supervisor.make({
        children: [
          { id: "a", worker: sh("while :; do :; done") },
          { id: "b", worker: ThreadWorker.make(thread, { args: ["deaf"] }), stop: quick },
          { id: "c", worker: sh("while :; do :; done") }
        ]
      })
      yield* supervisor.start
      const tree = yield* reaches(supervisor, "Running")
      const pids = tree.children.flatMap((child) => child.pid ?? [])
      const error = yield* Effect.flip(supervisor.suspend)
      assert.deepStrictEqual(
        error.failures.map((failure) => failure.path.at(-1)),
        ["b"]
      )
      for (const pid of pids) yield* awaitTrue(() => stateOf(pid) === "T")
      assert.strictEqual((yield* supervisor.stop()).outcome, "Stopped")
      for (const pid of pids) assert.isFalse(alive(pid))
    })
  )

  live(
    "a supervisor whose crash loop ends it leaves no process behind",
    Effect.gen(function* () {
      const supervisor = yield* Supervisor.make({
        respawn: RespawnPolicy.immediately,
        intensity: { max: 3, within: "1 minute" },
        children: [
          { id: "steady", worker: sh("sleep 600") },
          { id: "shaky", worker: sh("exit 1") }
        ]
      })
      yield* supervisor.start
      const pid = yield* running(supervisor, "steady", 1)
      const exit = yield* supervisor.wait
      assert.strictEqual(exit.outcome, "Failed")
      assert.include(exit.error, "3 crashes within 60000 ms, the last of shaky: exit code 1")
      assert.isFalse(alive(pid))
    })
  )
})
