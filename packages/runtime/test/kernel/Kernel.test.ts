/**
 * The kernel over the real pool, manager and worker runtime, with fake children and a log in memory:
 * from signals to threads, what a failing store stops and what it does not, and how a kernel goes.
 */
import { describe, expect, it } from "@effect/vitest"
import { SenseName, WorkflowName } from "@nerve/core/domain/Ids"
import type { LogInput } from "@nerve/core/domain/LogEntry"
import { Deferred, Effect, Fiber, Logger } from "effect"
import { TestClock } from "effect/testing"
import * as World from "./harness.ts"
import { config, launching, quiet, rest, speaks } from "./harness.ts"

/** The trace without what workers' lives add to it. */
const story = (world: World.World) => world.trace.filter((line) => !/^(worker|kernel) /.test(line))

/** Collects what is logged for whoever runs the daemon. */
const saying = () => {
  const lines: Array<string> = []
  const logger = Logger.map(Logger.formatLogFmt, (line) => void lines.push(line))
  return { lines, layer: Logger.layer([logger]) }
}

const isSignal = (inputs: ReadonlyArray<LogInput>) => inputs.some((input) => input.type === "signal")

describe("Kernel", () => {
  describe("from signals to threads (M12, M13)", () => {
    it.effect("records signal and launch, then the thread's start, then asks its worker; then come dependents", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.compute = (name) => Effect.succeed(name === "cpu" ? launching("talk") : quiet)
        const { kernel } = yield* world.start()
        yield* kernel.senses.trigger("cpu")
        yield* world.logged({ type: "completed" })
        yield* rest
        const told = story(world)
        expect(told.slice(0, 4)).toEqual(["compute cpu", "sense signal", "sense launch", "workflow started"])
        expect(told.filter((line) => !line.startsWith("compute"))).toEqual([
          "sense signal",
          "sense launch",
          "workflow started",
          "ask 1",
          "workflow message",
          "ask 2",
          "workflow completed"
        ])
        expect(told.indexOf("compute alarm")).toBeGreaterThan(told.indexOf("workflow started"))
        const [run] = yield* world.store.runs({})
        expect(run).toMatchObject({ workflow: "talk", prompt: "look", status: "completed", maxRounds: 20 })
        const started = yield* world.logged({ type: "started", source: "workflow" })
        expect(started.payload).toMatchObject({ cause: "cpu" })
      })
    )

    it.effect("hands over what a launch says of rounds and dry run", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const launches = [{ workflow: WorkflowName.make("talk"), prompt: "look", maxRounds: 3, dryRun: true }]
        world.compute = (name) => Effect.succeed(name === "cpu" ? { _tag: "Signal", value: 1, launches } : quiet)
        const { kernel } = yield* world.start()
        yield* kernel.senses.trigger("cpu")
        yield* world.logged({ type: "completed" })
        expect(yield* world.store.runs({})).toMatchObject([{ maxRounds: 3, dryRun: true }])
      })
    )

    it.effect("answers the launch of an unknown workflow with an error entry, and starts the others", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.compute = (name) => Effect.succeed(name === "cpu" ? launching("tlak", "talk") : quiet)
        const { kernel } = yield* world.start()
        yield* kernel.senses.trigger("cpu")
        yield* world.logged({ type: "completed" })
        yield* rest
        const errors = yield* world.entries({ source: "sense", type: "error" })
        expect(errors).toMatchObject([
          {
            refId: "cpu",
            payload: { message: 'launch of tlak failed: no workflow "tlak" in nerve.yaml; there are: talk' }
          }
        ])
        expect((yield* world.store.runs({})).map((run) => run.workflow)).toEqual(["talk"])
        expect(world.trace).toContain("compute alarm")
      })
    )

    it.effect("never starts anything because of an entry in the log", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        yield* world.start()
        yield* world.store.appendAll([
          { source: "sense", type: "signal", refId: "cpu", payload: { value: 1 } },
          { source: "sense", type: "launch", refId: "cpu", payload: { workflow: "talk", prompt: "look" } }
        ])
        yield* rest
        expect(yield* world.store.runs({})).toEqual([])
        expect(world.trace.filter((line) => /compute|ask/.test(line))).toEqual([])
      })
    )

    it.effect("starts what was launched with a recorded signal, also when it is told to stop meanwhile", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const reached = yield* Deferred.make<void>()
        const open = yield* Deferred.make<void>()
        world.compute = (name) => Effect.succeed(name === "cpu" ? launching("talk") : quiet)
        world.before = (inputs) =>
          isSignal(inputs)
            ? Effect.andThen(Deferred.succeed(reached, undefined), Effect.uninterruptible(Deferred.await(open)))
            : Effect.void
        const { close, kernel } = yield* world.start()
        yield* kernel.senses.trigger("cpu")
        yield* Deferred.await(reached)
        // The signal is on its way into the log: from here on there must be a thread.
        const closing = yield* Effect.forkChild(close, { startImmediately: true })
        yield* rest
        yield* Deferred.succeed(open, undefined)
        yield* Fiber.join(closing)
        expect(yield* world.entries({ type: "launch" })).toHaveLength(1)
        expect(yield* world.store.runs({})).toMatchObject([{ status: "completed" }])
      })
    )
  })

  describe("after a death between a launch and its thread", () => {
    const signal = (sense: string, ...workflows: ReadonlyArray<string>): ReadonlyArray<LogInput> => [
      { source: "sense", type: "signal", refId: sense, payload: { value: 1 } },
      ...workflows.map((workflow) => ({
        source: "sense" as const,
        type: "launch",
        refId: sense,
        payload: { workflow, prompt: "look" }
      }))
    ]

    it.effect("starts what was launched and never started, once", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        yield* Effect.flatMap(world.start(), ({ close }) => close)
        // As a kernel leaves it that is killed right after the record.
        yield* world.store.appendAll(signal("cpu", "talk", "talk"))
        const { close } = yield* world.start()
        yield* rest
        const causes = (yield* world.entries({ source: "workflow" })).flatMap(({ payload, type }) =>
          type === "started" || type === "queued" ? [(payload as { readonly launch?: number }).launch] : []
        )
        const launches = yield* world.entries({ type: "launch" })
        expect(new Set(causes)).toEqual(new Set(launches.map((entry) => entry.id)))
        expect(yield* world.store.runs({})).toHaveLength(2)
        yield* close
        yield* world.start()
        yield* world.start()
        expect(yield* world.store.runs({})).toHaveLength(2)
      })
    )

    it.effect("starts what several signals launched where no daemon ran, and none before", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        yield* world.store.appendAll([...signal("cpu", "talk"), ...signal("cpu"), ...signal("cpu", "talk", "talk")])
        yield* world.start()
        yield* rest
        expect(yield* world.store.runs({})).toHaveLength(3)
        yield* world.start()
        expect(yield* world.store.runs({})).toHaveLength(3)
      })
    )

    it.effect("does not start again what was started, dropped, refused, or recorded by an earlier daemon", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.compute = (name) => Effect.succeed(name === "cpu" ? launching("talk", "tlak") : quiet)
        yield* world.store.appendAll([
          ...signal("alarm", "talk"),
          { source: "kernel", type: "started", refId: null, payload: {} }
        ])
        const first = yield* world.start()
        yield* first.kernel.senses.trigger("cpu")
        yield* world.logged({ type: "completed" })
        yield* first.close
        yield* world.start()
        expect(yield* world.store.runs({})).toHaveLength(1)
        expect(yield* world.entries({ source: "sense", type: "error" })).toHaveLength(1)
      })
    )
  })

  describe("with a store that fails", () => {
    it.effect("launches nothing and triggers no dependents, says so, and goes on once there is space", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const said = saying()
        world.compute = (name) => Effect.succeed(name === "cpu" ? launching("talk") : quiet)
        const { kernel } = yield* Effect.provide(world.start(), said.layer)
        world.disk.full = true
        yield* kernel.senses.trigger("cpu")
        yield* rest
        yield* kernel.senses.trigger("cpu")
        yield* rest
        expect(story(world)).toEqual(["compute cpu", "compute cpu"])
        expect(said.lines).toHaveLength(1)
        expect(said.lines[0]).toContain("SignalEmitted of sense cpu is not in the log")
        expect(said.lines[0]).toContain("the disk is full")
        world.disk.full = false
        yield* kernel.senses.trigger("cpu")
        yield* world.logged({ type: "completed" })
        yield* rest
        expect(said.lines[1]).toContain("the log can be written again; 2 events are not in it")
        expect(said.lines).toHaveLength(2)
        expect(world.trace.filter((line) => line === "sense signal")).toHaveLength(1)
        expect(world.trace).toContain("compute alarm")
      })
    )

    it.effect("says so when the signal was recorded and its thread could not be", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const said = saying()
        world.compute = () => Effect.succeed(launching("talk"))
        const { kernel } = yield* Effect.provide(world.start(), said.layer)
        world.before = (inputs) =>
          Effect.sync(() => {
            world.disk.full = !isSignal(inputs)
          })
        yield* kernel.senses.trigger("cpu")
        yield* rest
        expect(yield* world.store.runs({})).toEqual([])
        expect(said.lines.join("\n")).toContain("launch of talk failed")
      })
    )

    it.effect("goes on when the store dies of a defect, and when a worker's event cannot be recorded", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const said = saying()
        world.compute = () => Effect.succeed(launching("talk"))
        const { kernel } = yield* Effect.provide(world.start(), said.layer)
        world.before = () => Effect.die(new Error("a fault of the store"))
        yield* kernel.senses.trigger("cpu")
        yield* rest
        yield* world.children.living("main").exit({ code: 1, signal: null })
        yield* rest
        expect(said.lines.join("\n")).toContain("a fault of the store")
        world.before = () => Effect.void
        yield* TestClock.adjust("1 second")
        yield* rest
        yield* kernel.senses.trigger("cpu")
        yield* world.logged({ type: "completed" })
      })
    )

    it.effect("does not start when the log refuses its first entry", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.disk.full = true
        const error = yield* Effect.flip(world.start())
        expect(error).toMatchObject({ _tag: "LogStoreError", message: "the disk is full" })
        expect(world.children.all()).toEqual([])
      })
    )
  })

  describe("going", () => {
    it.effect("stops senses first, lets threads finish, then says that it has stopped", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const asked = yield* Deferred.make<void>()
        const answer = yield* Deferred.make<void>()
        world.round = (round) =>
          round.steps.length > 0
            ? speaks(1)(round)
            : Deferred.succeed(asked, undefined).pipe(
                Effect.andThen(Deferred.await(answer)),
                Effect.andThen(speaks(1)(round))
              )
        const { close, kernel } = yield* world.start()
        yield* kernel.workflows.trigger({ workflow: "talk", prompt: "look", cause: "manual" })
        yield* Deferred.await(asked)
        const closing = yield* Effect.forkChild(close, { startImmediately: true })
        yield* world.logged({ type: "draining" })
        yield* kernel.senses.trigger("cpu")
        yield* rest
        yield* Deferred.succeed(answer, undefined)
        yield* Fiber.join(closing)
        const exits = yield* world.entries({ source: "worker", type: "exited" })
        expect(exits.map((entry) => [entry.refId, (entry.payload as { readonly expected: boolean }).expected])).toEqual(
          [
            ["sense:main", true],
            ["workflow:talk", true]
          ]
        )
        expect(world.trace.filter((line) => /^(kernel|workflow) |ask|exited|compute/.test(line))).toEqual([
          "kernel started",
          "workflow started",
          "ask 1",
          "worker exited",
          "kernel draining",
          "workflow message",
          "ask 2",
          "workflow completed",
          "worker exited",
          "kernel stopped"
        ])
        expect(world.children.all().map((child) => child.exited() === null)).toEqual([false, false])
      })
    )

    it.effect("leaves what outlasts the bound as started; the next kernel resumes it, no round twice (M7)", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const second = yield* Deferred.make<void>()
        world.round = (round) =>
          round.steps.length === 1
            ? Effect.andThen(Deferred.succeed(second, undefined), Effect.never)
            : speaks(1)(round)
        const first = yield* world.start({ drainBound: "10 seconds" })
        const { threadId } = yield* first.kernel.workflows.trigger({
          workflow: "talk",
          prompt: "look",
          cause: "manual"
        })
        const queued = yield* first.kernel.workflows.trigger({ workflow: "talk", prompt: "next", cause: "manual" })
        yield* Deferred.await(second)
        const closing = yield* Effect.forkChild(first.close, { startImmediately: true })
        yield* world.logged({ type: "draining" })
        yield* rest
        yield* TestClock.adjust("9 seconds")
        yield* rest
        expect(closing.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("1 second")
        yield* rest
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(closing)
        expect(yield* world.store.run(threadId)).toMatchObject({ status: "started", rounds: 1, crashes: 0 })
        expect(yield* world.store.run(queued.threadId)).toMatchObject({ status: "queued" })

        world.round = speaks(2)
        yield* world.start()
        yield* world.logged({ type: "completed", refId: queued.threadId })
        expect(yield* world.store.run(threadId)).toMatchObject({ status: "completed", rounds: 2 })
        const rounds = yield* world.entries({ type: "message", refId: threadId })
        expect(rounds.map((entry) => entry.round)).toEqual([1, 2])
        // Round 1 was asked once, round 2 again, since its answer never came.
        expect(world.trace.filter((line) => line.startsWith("ask")).slice(0, 4)).toEqual([
          "ask 1",
          "ask 2",
          "ask 2",
          "ask 3"
        ])
      })
    )

    it.effect("does not wait when nothing runs", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const { close } = yield* world.start()
        yield* close
        expect(world.trace).not.toContain("kernel draining")
        expect(world.trace.at(-1)).toBe("kernel stopped")
      })
    )
  })

  describe("output of workers (R10)", () => {
    const print = (world: World.World, key: string, lines: number) =>
      Effect.andThen(
        Effect.sync(() => {
          const { output } = world.children.living(key)
          for (let line = 1; line <= lines; line++) output.line("stdout", `line ${line}`)
        }),
        rest
      )

    const outputs = (world: World.World) =>
      Effect.map(world.entries({ source: "worker", type: "output" }), (entries) =>
        entries.map((entry) => [entry.refId, (entry.payload as { readonly line: string }).line])
      )

    it.effect("keeps a line with its worker", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const { kernel } = yield* world.start()
        yield* kernel.workflows.trigger({ workflow: "talk", prompt: "look", cause: "manual" })
        yield* world.logged({ type: "completed" })
        yield* print(world, "main", 1)
        yield* print(world, "talk", 1)
        expect(yield* outputs(world)).toEqual([
          ["sense:main", "line 1"],
          ["workflow:talk", "line 1"]
        ])
      })
    )

    it.effect("keeps 50 lines a second and says how many it left out, with the next line", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        yield* world.start()
        yield* print(world, "main", 80)
        expect(yield* outputs(world)).toHaveLength(50)
        yield* TestClock.adjust("1 second")
        yield* print(world, "main", 1)
        expect((yield* outputs(world)).slice(50)).toEqual([
          ["sense:main", "30 lines of output were left out"],
          ["sense:main", "line 1"]
        ])
      })
    )

    it.effect("says how many lines it left out of a worker that prints no more", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        yield* world.start()
        yield* print(world, "main", 51)
        yield* world.children.living("main").exit({ code: 1, signal: null })
        yield* TestClock.adjust("1 second")
        yield* rest
        expect((yield* outputs(world)).at(-1)).toEqual(["sense:main", "1 line of output was left out"])
      })
    )

    it.effect("says how many lines it left out when it goes", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const { close } = yield* world.start()
        yield* print(world, "main", 80)
        yield* close
        expect((yield* outputs(world)).at(-1)).toEqual(["sense:main", "30 lines of output were left out"])
        expect(world.trace.at(-1)).toBe("kernel stopped")
      })
    )

    it.effect("cuts long lines and large fields, so that printing cannot fill the disk", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        yield* world.start()
        const { channel, output } = world.children.living("main")
        output.line("stderr", "x".repeat(100_000))
        channel.sendUnsafe({
          t: "log",
          level: "Info",
          message: "y".repeat(1_000_000),
          fields: { big: "z".repeat(1_000_000), small: 1 }
        })
        yield* rest
        const entries = yield* world.entries({ source: "worker", type: "output" })
        expect(entries).toHaveLength(2)
        for (const entry of entries) expect(JSON.stringify(entry.payload).length).toBeLessThan(20_000)
        expect(entries[1]?.payload).toMatchObject({ fields: { level: "Info" } })
      })
    )
  })

  describe("health (M11)", () => {
    it.effect("tells who it is, for how long it has run, and of senses, workflows and workers", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        yield* TestClock.setTime(1_000)
        const { kernel } = yield* world.start()
        yield* kernel.workflows.trigger({ workflow: "talk", prompt: "look", cause: "manual" })
        yield* world.logged({ type: "completed" })
        yield* TestClock.adjust("1 minute")
        yield* rest
        const status = yield* kernel.status
        expect(status).toMatchObject({ ...World.identity, startedAt: 1_000, uptimeMs: 60_000 })
        expect(status.senses.map(({ group, name, status }) => [name, group, status])).toEqual([
          ["cpu", "main", "ok"],
          ["alarm", "main", "ok"]
        ])
        expect(status.workflows).toMatchObject([{ name: "talk", active: 0, queued: 0, roles: ["speaker"] }])
        expect(status.workers).toMatchObject([
          { key: "sense:main", state: "ready", incarnation: 1, crashes: 0 },
          { key: "workflow:talk", state: "ready", incarnation: 1, crashes: 0 }
        ])
      })
    )

    it.effect("is done waiting for a stop when somebody asks for it, and not before", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const { kernel } = yield* world.start()
        const waiting = yield* Effect.forkChild(kernel.stopRequested, { startImmediately: true })
        yield* rest
        expect(waiting.pollUnsafe()).toBeUndefined()
        yield* kernel.requestStop
        yield* kernel.requestStop
        yield* Fiber.join(waiting)
      })
    )
  })

  it.effect("records what becomes of a sense, and each exit of its worker (R11)", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const { kernel } = yield* world.start({
        config: { ...config, senses: config.senses.filter(({ name }) => name === SenseName.make("cpu")) }
      })
      world.compute = () => Effect.never
      yield* kernel.senses.trigger("cpu")
      yield* rest
      yield* TestClock.adjust("35 seconds")
      yield* world.logged({ source: "sense", type: "killed" })
      yield* rest
      expect((yield* world.entries({ source: "sense" })).map((entry) => entry.type)).toEqual(["killed"])
      expect(yield* world.entries({ source: "worker", type: "exited" })).toMatchObject([
        { refId: "sense:main", payload: { expected: false, incarnation: 1 } }
      ])
    })
  )
})
