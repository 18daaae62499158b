/** Workers that are processes, over the fake spawner: modules, commands, containers. */
import { assert, describe, it } from "@effect/vitest"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Worker from "@nerve/runtime/ipc/Worker"
import * as CommandWorker from "@nerve/runtime/supervision/CommandWorker"
import * as ContainerWorker from "@nerve/runtime/supervision/ContainerWorker"
import * as Lifecycle from "@nerve/runtime/supervision/Lifecycle"
import * as ProcessWorker from "@nerve/runtime/supervision/ProcessWorker"
import type { Spawner } from "@nerve/runtime/supervision/Spawner"
import * as Supervisor from "@nerve/runtime/supervision/Supervisor"
import type { WorkerSpec } from "@nerve/runtime/supervision/WorkerSpec"
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import { Effect, Fiber } from "effect"
import { RpcGroup } from "effect/rpc"
import { TestClock } from "effect/testing"

const settle = Effect.forEach(Array.from({ length: 60 }), () => Effect.yieldNow, { discard: true })

const serving = () => Worker.serve(RpcGroup.make(), {})

const handover: Lifecycle.Handover = { id: "web", resumeId: "0b5c-11", incarnation: 2, previousExit: "137" }

interface Test {
  readonly worker: Lifecycle.Worker
  readonly children: FakeSpawner.FakeChildren["Service"]
}

const test = (
  blueprint: Lifecycle.Blueprint<Spawner>,
  body: (test: Test) => Effect.Effect<void, unknown>,
  program: (spec: WorkerSpec, info: FakeSpawner.SpawnInfo) => FakeSpawner.Program = serving
) =>
  Effect.scoped(
    Effect.gen(function* () {
      const children = yield* FakeSpawner.FakeChildren
      const worker = yield* Lifecycle.make(blueprint, { id: "w", resumeId: "r-1" })
      yield* body({ worker, children })
    })
  ).pipe(Effect.provide(FakeSpawner.layer(program)))

const started = (worker: Lifecycle.Worker) => Effect.andThen(worker.start, settle)

describe("ProcessWorker", () => {
  it.effect("runs when it says ready, with its pid and the handover in its environment", () =>
    test(ProcessWorker.make("file:///web.ts", { env: { A: "1" }, args: ["x"] }), ({ children, worker }) =>
      Effect.gen(function* () {
        yield* started(worker)
        const child = children.living("w")
        assert.deepInclude(yield* worker.snapshot, { state: "Running", pid: child.pid, kind: "process" })
        assert.deepStrictEqual(child.spec, {
          _tag: "Module",
          module: "file:///web.ts",
          args: ["x"],
          limits: {},
          options: { env: { A: "1", NERVE_RESUME_ID: "r-1" } }
        })
        yield* worker.stop()
        assert.isNull((yield* worker.snapshot).pid)
      })
    )
  )

  it.effect("is asked over its channel before any signal", () =>
    test(ProcessWorker.make("file:///web.ts"), ({ children, worker }) =>
      Effect.gen(function* () {
        yield* started(worker)
        assert.deepInclude(yield* worker.stop(), { outcome: "Stopped", code: 0 })
        assert.isFalse(children.all()[0]?.signals.includes("SIGTERM"))
      })
    )
  )

  it.effect("goes down the ladder when it does not hear: ask, SIGTERM, SIGKILL", () =>
    test(ProcessWorker.make("file:///web.ts"), ({ children, worker }) =>
      Effect.gen(function* () {
        children.stubborn("w", true)
        yield* started(worker)
        const stopping = yield* Effect.forkChild(worker.stop(StopPolicy.make({ polite: 100, term: 100 })))
        yield* settle
        yield* TestClock.adjust(100)
        assert.deepStrictEqual(children.all()[0]?.signals, ["SIGTERM"])
        yield* TestClock.adjust(100)
        assert.deepInclude(yield* Fiber.join(stopping), { outcome: "Killed", signal: "SIGKILL" })
      })
    )
  )

  it.effect("is killed when it is not ready in time, and says so", () =>
    test(
      ProcessWorker.make("file:///web.ts", { readyTimeout: "1 second" }),
      ({ worker }) =>
        Effect.gen(function* () {
          yield* started(worker)
          assert.strictEqual(yield* worker.state, "Starting")
          yield* TestClock.adjust("1 second")
          assert.deepInclude(yield* worker.wait, { outcome: "Killed", error: "not ready within 1000 ms" })
        }),
      () => Effect.never
    )
  )

  it.effect("that cannot be spawned is Failed, with the reason", () =>
    test(ProcessWorker.make("file:///web.ts"), ({ children, worker }) =>
      Effect.gen(function* () {
        children.failSpawns("w", true)
        yield* started(worker)
        assert.deepInclude(yield* worker.wait, {
          outcome: "Failed",
          code: null,
          error: "could not be started: the test says so"
        })
      })
    )
  )

  it.effect("is killed when it breaks the protocol", () =>
    test(ProcessWorker.make("file:///web.ts"), ({ children, worker }) =>
      Effect.gen(function* () {
        yield* started(worker)
        children.living("w").parentChannel.endUnsafe({ _tag: "Broken", message: "a line that is not JSON: x" })
        assert.deepInclude(yield* worker.wait, { error: "it broke the protocol: a line that is not JSON: x" })
      })
    )
  )

  it.effect("is started again by a supervisor with the true exit of the one before (L5)", () =>
    Effect.gen(function* () {
      const children = yield* FakeSpawner.FakeChildren
      const supervisor = yield* Supervisor.make({
        respawn: RespawnPolicy.immediately,
        children: [{ id: "web", worker: ProcessWorker.make("file:///web.ts"), resumeId: "r-7" }]
      })
      yield* supervisor.start
      yield* settle
      yield* children.living("web").exit({ code: 3, signal: null })
      yield* settle
      yield* children.living("web").exit({ code: null, signal: "SIGSEGV" })
      yield* settle
      assert.deepStrictEqual(
        children.all().map((child) => child.spec.options.env),
        [
          { NERVE_RESUME_ID: "r-7" },
          { NERVE_RESUME_ID: "r-7", NERVE_PREV_EXIT: "3" },
          { NERVE_RESUME_ID: "r-7", NERVE_PREV_EXIT: "SIGSEGV" }
        ]
      )
    }).pipe(Effect.scoped, Effect.provide(FakeSpawner.layer(serving)))
  )
})

describe("CommandWorker", () => {
  it.effect("runs as soon as it is spawned; SIGTERM is the first step", () =>
    test(
      CommandWorker.make("sleep", ["1"]),
      ({ children, worker }) =>
        Effect.gen(function* () {
          yield* started(worker)
          assert.deepInclude(yield* worker.snapshot, { state: "Running", metadata: { command: "sleep" } })
          assert.deepInclude(yield* worker.stop(), { outcome: "Stopped", signal: "SIGTERM" })
          assert.strictEqual(children.all()[0]?.signals[0], "SIGTERM")
        }),
      () => Effect.never
    )
  )

  it.effect("is suspended and resumed by signal; a suspended one is resumed before it is asked to stop", () =>
    test(
      CommandWorker.make("sleep", ["1"]),
      ({ children, worker }) =>
        Effect.gen(function* () {
          yield* started(worker)
          yield* worker.suspend
          yield* worker.resume
          yield* worker.suspend
          yield* worker.stop()
          assert.deepStrictEqual(children.all()[0]?.signals.slice(0, 5), [
            "SIGSTOP",
            "SIGCONT",
            "SIGSTOP",
            "SIGCONT",
            "SIGTERM"
          ])
        }),
      () => Effect.never
    )
  )

  it.effect("hands on its output, the last lines before its end too", () => {
    const lines: Array<string> = []
    const output: CommandWorker.Output = ({ id, incarnation, line, stream }) =>
      Effect.sync(() => void lines.push(`${id} ${incarnation} ${stream}: ${line}`))
    return test(
      CommandWorker.make("talk", [], { output }),
      ({ children, worker }) =>
        Effect.gen(function* () {
          yield* started(worker)
          const child = children.living("w")
          child.output.line("stdout", "one")
          yield* settle
          child.output.line("stderr", "two")
          child.output.line("stdout", "three")
          yield* child.exit({ code: 0, signal: null })
          assert.strictEqual((yield* worker.wait).outcome, "Finished")
          assert.deepStrictEqual(lines, ["w 1 stdout: one", "w 1 stderr: two", "w 1 stdout: three"])
        }),
      () => Effect.never
    )
  })

  it.effect("what it writes to descriptor 3 is nobody's concern", () =>
    test(
      CommandWorker.make("odd"),
      ({ children, worker }) =>
        Effect.gen(function* () {
          yield* started(worker)
          children.living("w").channel.sendUnsafe({ t: "nonsense" })
          children.living("w").parentChannel.endUnsafe({ _tag: "Broken", message: "x" })
          yield* settle
          assert.strictEqual(yield* worker.state, "Running")
        }),
      () => Effect.never
    )
  )
})

describe("ContainerWorker", () => {
  it("builds the arguments of run: named, removed at the end, with an init process, limits and the handover", () => {
    assert.deepStrictEqual(
      ContainerWorker.runArguments(
        {
          image: "alpine:3",
          command: ["sleep", "60"],
          env: { TOKEN: "secret", PATH: "/bin" },
          volumes: { "/srv/data": "/data:ro" },
          memory: "512m",
          cpus: "1.5",
          network: "none",
          runArgs: ["--read-only"]
        },
        handover
      ),
      [
        "run",
        "--rm",
        "--init",
        "--name",
        "nerve-web-0b5c11-2",
        "--label",
        "nerve.resume-id=0b5c-11",
        "--env",
        "TOKEN",
        "--env",
        "PATH=/bin",
        "--env",
        "NERVE_RESUME_ID",
        "--env",
        "NERVE_PREV_EXIT",
        "--volume",
        "/srv/data:/data:ro",
        "--memory",
        "512m",
        "--cpus",
        "1.5",
        "--network",
        "none",
        "--read-only",
        "alpine:3",
        "sleep",
        "60"
      ]
    )
  })

  it("names containers safely, whatever the worker is called", () => {
    assert.strictEqual(
      ContainerWorker.containerName({ ...handover, id: "a b/c; rm -rf ~ü".repeat(9) }),
      "nerve-a-b-c--rm--rf---a-b-c--rm--rf---a-b-c--r-0b5c11-2"
    )
  })

  it("tells by what signal a container was killed, and why one could not be run", () => {
    const ending = (code: number | null, signal: string | null = null, lastWords = "") =>
      ContainerWorker.endingOf("docker", { code, signal }, lastWords)
    assert.deepStrictEqual(ending(137), { code: null, signal: "SIGKILL" })
    assert.deepStrictEqual(ending(139), { code: null, signal: "SIGSEGV" })
    assert.deepStrictEqual(ending(3, null, "no luck"), { code: 3 })
    // No signal of this number ends a process.
    assert.deepStrictEqual(ending(128 + 17), { code: 145 })
    assert.deepStrictEqual(ending(125, null, "no such image"), { code: 125, error: "docker run: no such image" })
    assert.deepStrictEqual(ending(127), { code: 127 })
    assert.deepStrictEqual(ending(null, "SIGKILL"), {})
  })

  /** An engine whose `run` goes on until it is killed, and whose other commands succeed at once. */
  const engine = (spec: WorkerSpec): FakeSpawner.Program =>
    spec._tag === "Command" && spec.args[0] === "run" ? Effect.never : Effect.void

  const commands = (children: Test["children"]) =>
    children.all().map((child) => (child.spec._tag === "Command" ? [child.spec.command, ...child.spec.args] : []))

  it.effect("gives values to the client by its environment, not on its command line", () =>
    test(
      ContainerWorker.make({
        image: "alpine",
        engine: "podman",
        env: { TOKEN: "secret", PATH: "/bin" },
        engineEnv: { DOCKER_HOST: "x" }
      }),
      ({ children, worker }) =>
        Effect.gen(function* () {
          yield* started(worker)
          const child = children.living("w")
          assert.deepStrictEqual(child.spec.options.env, { TOKEN: "secret", NERVE_RESUME_ID: "r-1", DOCKER_HOST: "x" })
          assert.deepStrictEqual(commands(children)[0]?.slice(0, 2), ["podman", "run"])
          assert.deepInclude(yield* worker.snapshot, {
            kind: "container",
            metadata: { engine: "podman", image: "alpine" }
          })
        }),
      engine
    )
  )

  it.effect("is suspended, resumed and killed by the engine, by name; a killed client's container is removed", () =>
    test(
      ContainerWorker.make({ image: "alpine" }),
      ({ children, worker }) =>
        Effect.gen(function* () {
          yield* started(worker)
          yield* worker.suspend
          yield* worker.resume
          assert.deepInclude(yield* worker.stop(StopPolicy.kill), { outcome: "Killed" })
          assert.deepStrictEqual(commands(children).slice(1), [
            ["docker", "pause", "nerve-w-r1-1"],
            ["docker", "unpause", "nerve-w-r1-1"],
            ["docker", "kill", "nerve-w-r1-1"],
            ["docker", "rm", "--force", "nerve-w-r1-1"]
          ])
        }),
      engine
    )
  )

  it.effect("an engine that does not do it is told as the reason", () =>
    test(
      ContainerWorker.make({ image: "alpine" }),
      ({ worker }) =>
        Effect.gen(function* () {
          yield* started(worker)
          const error = yield* Effect.flip(worker.suspend)
          assert.include(error.message, "docker pause nerve-w-r1-1: ")
          assert.strictEqual(yield* worker.state, "Running")
        }),
      (spec) => (spec._tag === "Command" && spec.args[0] === "run" ? Effect.never : Effect.fail("no such container"))
    )
  )

  it.effect("an engine that does not answer does not hold up the kill", () =>
    test(
      ContainerWorker.make({ image: "alpine" }),
      ({ worker }) =>
        Effect.gen(function* () {
          yield* started(worker)
          const stopping = yield* Effect.forkChild(worker.stop(StopPolicy.kill))
          yield* settle
          yield* TestClock.adjust("4 seconds")
          yield* settle
          yield* TestClock.adjust("4 seconds")
          assert.strictEqual((yield* Fiber.join(stopping)).outcome, "Killed")
        }),
      () => Effect.never
    )
  )
})
