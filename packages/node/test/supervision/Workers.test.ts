/**
 * The one interface over all kinds of workers (L1), each by the same tests: processes, threads, commands,
 * containers (by a stand-in, and by a real engine where one runs), Effects, supervisors.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
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
import { Effect, Fiber, Option, Queue, type Scope, Stream } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { findEngine } from "./containerEngine.ts"

/** What a worker is to do: be there, end well, end badly, or tell its handover and end badly the first time. */
type Behaviour = "stay" | "finish" | "fail" | "report"

interface Kind {
  readonly name: string
  readonly make: (behaviour: Behaviour, output: CommandWorker.Output) => Lifecycle.Blueprint<Spawner>
  /** What it cannot do, and why. */
  readonly cannot?: Partial<Record<Behaviour | "suspend", string>>
  /** It is Running before it can be suspended: its first line says when. */
  readonly saysWhenUp?: true
  /** The code that it fails with. */
  readonly failsWith: number
}

const thread = new URL("./thread.fixture.ts", import.meta.url)
const behaving = new URL("./behaving.worker.ts", import.meta.url)
const standIn = fileURLToPath(new URL("./engine.fixture.sh", import.meta.url))

const scripts: Readonly<Record<Behaviour, string>> = {
  stay: "echo up; exec sleep 600",
  finish: "exit 0",
  fail: "exit 3",
  report: `echo "$NERVE_RESUME_ID $NERVE_PREV_EXIT"; [ -n "$NERVE_PREV_EXIT" ] || exit 3; exec sleep 600`
}

const effects = (
  output: CommandWorker.Output
): Readonly<Record<Behaviour, Effect.Effect<unknown, unknown, EffectWorker.CurrentHandover>>> => ({
  stay: Effect.never,
  finish: Effect.void,
  fail: Effect.fail("no luck"),
  report: Effect.gen(function* () {
    const { id, incarnation, previousExit, resumeId } = yield* EffectWorker.CurrentHandover
    yield* output({ id, incarnation, stream: "stdout", line: `${resumeId} ${previousExit ?? ""}` })
    return yield* previousExit === null ? Effect.fail("no luck") : Effect.never
  })
})

const state = mkdtempSync(join(tmpdir(), "nerve-engine-"))
const engine = findEngine()

const kinds: ReadonlyArray<Kind> = [
  {
    name: "process",
    make: (behaviour, output) => ProcessWorker.make(behaving, { args: [behaviour], output }),
    failsWith: 3
  },
  {
    name: "thread",
    make: (behaviour, output) =>
      ThreadWorker.make(thread, { args: [behaviour === "fail" ? "exit" : behaviour], output }),
    cannot: { suspend: "a thread cannot be suspended" },
    failsWith: 3
  },
  {
    name: "command",
    make: (behaviour, output) => CommandWorker.make("/bin/sh", ["-c", scripts[behaviour]], { output }),
    failsWith: 3
  },
  {
    name: "container, by a stand-in",
    make: (behaviour, output) =>
      ContainerWorker.make({
        image: "any",
        command: ["sh", "-c", scripts[behaviour]],
        engine: standIn,
        engineEnv: { ENGINE_STATE: state },
        output
      }),
    saysWhenUp: true,
    failsWith: 3
  },
  ...(typeof engine === "string"
    ? []
    : [
        {
          name: `container, by ${engine.engine}`,
          make: (behaviour: Behaviour, output: CommandWorker.Output) =>
            ContainerWorker.make({ ...engine, network: "none", command: ["sh", "-c", scripts[behaviour]], output }),
          saysWhenUp: true as const,
          failsWith: 3
        }
      ]),
  {
    name: "effect",
    make: (behaviour, output) => EffectWorker.make(effects(output)[behaviour]),
    failsWith: 1
  },
  {
    name: "supervisor",
    make: (behaviour, output) =>
      Supervisor.blueprint({
        intensity: { max: 1, within: "1 minute" },
        children: [{ id: "only", worker: EffectWorker.make(effects(output)[behaviour]) }]
      }),
    cannot: { finish: "a supervisor is there until it is stopped", report: "its children are told, not it" },
    failsWith: 1
  }
]

afterAll(() => {
  rmSync(state, { recursive: true })
  if (typeof engine !== "string") engine.remove()
})

/** For what must come, on a machine however busy. */
const bound = "60 seconds"

const patient = StopPolicy.make({ polite: bound, term: bound })

const until = (worker: Lifecycle.Worker, fits: (tree: StateTree.StateTree) => boolean) =>
  worker.changes.pipe(
    Stream.filter(fits),
    Stream.runHead,
    Effect.flatMap(Option.match({ onNone: () => Effect.die(new Error("it ended before")), onSome: Effect.succeed })),
    Effect.timeout(bound)
  )

const reaches = (worker: Lifecycle.Worker, wanted: LifecycleState) => until(worker, (tree) => tree.state === wanted)

const silent: CommandWorker.Output = () => Effect.void

const live = (name: string, body: Effect.Effect<void, unknown, Scope.Scope | Spawner>) =>
  it.live(name, () => body.pipe(Effect.scoped, Effect.provide(NodeSpawner.layer())), 120_000)

describe.concurrent.each(kinds)("a worker that is a $name", (kind) => {
  const { cannot = {}, failsWith, make, name, saysWhenUp } = kind
  const worker = (behaviour: Behaviour, output = silent) =>
    Lifecycle.make(make(behaviour, output), { id: "w", stop: patient })

  live(
    "start does not wait, a second one is an error; one that is asked to is Stopped, for any number of waiters",
    Effect.gen(function* () {
      const one = yield* worker("stay")
      assert.deepInclude(yield* one.snapshot, { id: "w", state: "Pending", incarnation: 0, exit: null, pid: null })
      const waiters = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(one.wait))
      yield* one.start
      assert.include(["Starting", "Running"], yield* one.state)
      assert.deepInclude(yield* Effect.flip(one.start), { _tag: "AlreadyStarted", id: "w" })
      yield* reaches(one, "Running")
      assert.strictEqual((yield* Effect.flip(one.start)).state, "Running")
      const exit = yield* one.stop()
      assert.strictEqual(exit.outcome, "Stopped")
      for (const waiter of waiters) assert.strictEqual(yield* Fiber.join(waiter), exit)
      assert.strictEqual(yield* one.wait, exit)
      assert.strictEqual(yield* one.stop(), exit)
      assert.deepInclude(yield* one.snapshot, { state: "Stopped", incarnation: 1, exit, pid: null })
      assert.strictEqual((yield* Effect.flip(one.start)).state, "Stopped")
    })
  )

  live(
    "one that is killed is Killed, also when that is its first moment",
    Effect.gen(function* () {
      for (const waits of [true, false]) {
        const one = yield* worker("stay")
        yield* one.start
        if (waits) yield* reaches(one, "Running")
        assert.deepInclude(yield* one.stop(StopPolicy.kill), { outcome: "Killed", error: null })
      }
    })
  )

  live(
    "an end by itself is Finished, an error is Failed, with the true code",
    Effect.gen(function* () {
      if (cannot.finish === undefined) {
        const good = yield* worker("finish")
        yield* good.start
        assert.deepStrictEqual(yield* good.wait, { outcome: "Finished", code: 0, signal: null, error: null })
      }
      const bad = yield* worker("fail")
      yield* bad.start
      assert.deepInclude(yield* bad.wait, { outcome: "Failed", code: failsWith, signal: null })
    })
  )

  live(
    "what can be suspended is, goes on when it is resumed, and is stopped also while it is suspended",
    Effect.gen(function* () {
      const up = yield* Queue.unbounded<string>()
      const one = yield* worker("stay", ({ line }) => Effect.asVoid(Queue.offer(up, line)))
      assert.include((yield* Effect.flip(one.suspend)).message, "it is Pending")
      yield* one.start
      yield* reaches(one, "Running")
      if (saysWhenUp) assert.strictEqual(yield* Effect.timeout(Queue.take(up), bound), "up")
      assert.include((yield* Effect.flip(one.resume)).message, "it is Running")
      if (cannot.suspend !== undefined) {
        assert.include((yield* Effect.flip(one.suspend)).message, cannot.suspend)
        assert.strictEqual(yield* one.state, "Running")
        return
      }
      yield* one.suspend
      assert.strictEqual(yield* one.state, "Suspended")
      yield* one.resume
      assert.strictEqual(yield* one.state, "Running")
      yield* one.suspend
      assert.strictEqual((yield* one.stop()).outcome, "Stopped")
      assert.include((yield* Effect.flip(one.resume)).message, "it is Stopped")
    })
  )

  live(
    "changes tell each state in turn, none twice, and end with it",
    Effect.gen(function* () {
      const one = yield* worker("stay")
      const watching = yield* Effect.forkChild(Stream.runCollect(Stream.map(one.changes, (tree) => tree.state)))
      yield* Effect.yieldNow
      yield* one.start
      yield* reaches(one, "Running")
      yield* one.stop()
      const seen = yield* Effect.timeout(Fiber.join(watching), bound)
      assert.strictEqual(seen.at(-1), "Stopped")
      const order = ["Pending", "Starting", "Running", "Stopping", "Stopped"]
      const at = seen.map((one) => order.indexOf(one))
      assert.deepStrictEqual(at, at.toSorted(), seen.join(" "))
    })
  )

  live(
    "under a supervisor it is started again after a crash, and told its resume id and the true exit before (L5)",
    Effect.gen(function* () {
      if (cannot.report !== undefined) return
      const told = yield* Queue.unbounded<string>()
      const output: CommandWorker.Output = ({ line }) => Effect.asVoid(Queue.offer(told, line))
      const supervisor = yield* Supervisor.make({
        respawn: RespawnPolicy.immediately,
        children: [
          { id: "w", worker: make("report", output), restart: "on-failure", resumeId: "r-1", stop: StopPolicy.kill }
        ]
      })
      yield* supervisor.start
      const next = Effect.timeout(Queue.take(told), bound)
      assert.deepStrictEqual([yield* next, yield* next], ["r-1 ", `r-1 ${failsWith}`])
      const tree = yield* until(supervisor, (tree) => {
        const child = StateTree.find(tree, ["w"])
        return child?.state === "Running" && child.incarnation === 2
      })
      assert.deepInclude(StateTree.find(tree, ["w"]), { crashes: 1, resumeId: "r-1", plan: "none" })
      assert.strictEqual(name.startsWith("container"), StateTree.find(tree, ["w"])?.kind === "container")
    })
  )
})

if (typeof engine !== "string") {
  describe("a container, by a real engine", () => {
    const running = (script: string) =>
      ContainerWorker.make({ ...engine, network: "none", command: ["sh", "-c", script] })

    live(
      "one that a signal kills says so; an image that is not there is told as the reason",
      Effect.gen(function* () {
        const ends = yield* Effect.forEach(
          ["kill -9 $$", "kill -SEGV $$"],
          Effect.fnUntraced(function* (script) {
            const one = yield* Lifecycle.make(running(script))
            yield* one.start
            const { outcome, signal } = yield* one.wait
            return `${outcome} ${signal}`
          }),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(ends, ["Killed SIGKILL", "Failed SIGSEGV"])
        const missing = yield* Lifecycle.make(
          ContainerWorker.make({ ...engine, image: "localhost/nerve-test-no-such-image", runArgs: ["--pull=never"] })
        )
        yield* missing.start
        const exit = yield* missing.wait
        assert.deepInclude(exit, { outcome: "Failed", code: 125 })
        assert.match(exit.error ?? "", /^(podman|docker) run: .*nerve-test-no-such-image/i)
      })
    )
  })
}

// What is not tried is said, and why.
if (typeof engine === "string") it.skip(`a container, by a real engine: none runs one here (${engine})`, () => {})
