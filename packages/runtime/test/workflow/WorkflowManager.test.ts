/**
 * The workflow manager over the real worker runtime with fake children and a log in memory: admission,
 * recovery, kills, drains, given-up workers, a failing store.
 */
import { describe, expect, it } from "@effect/vitest"
import type { WorkflowConfig } from "@nerve/core/config/NerveConfig"
import { ThreadId } from "@nerve/core/domain/Ids"
import { ModeratorFailed, RoleFailed, UnknownRole, WorkflowUnavailable } from "@nerve/core/wire/WorkflowRpcs"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as World from "./World.ts"
import { configOf, makeGate, over, speaks, spoke, workflowConfig } from "./World.ts"

const SIGKILL = { code: null, signal: "SIGKILL" }

/** Each thread waits in its first round until its gate is opened, then ends. */
const gated = (world: World.World) => {
  const gates = new Map<string, ReturnType<typeof makeGate>>()
  const gate = (prompt: string) => {
    const known = gates.get(prompt)
    if (known !== undefined) return known
    const made = makeGate()
    gates.set(prompt, made)
    return made
  }
  world.script = ({ start }) => Effect.as(gate(start.prompt).wait, over)
  return gate
}

/** A daemon all of whose threads wait at their gates. */
const gatedDaemon = Effect.fnUntraced(function* (config: Partial<WorkflowConfig> = {}) {
  const world = yield* World.make
  const gate = gated(world)
  return { world, gate, ...(yield* world.daemon(configOf(config))) }
})

/** Crashes the worker until it is given up; some call must wait for it. */
const crashUntilGivenUp = (world: World.World) =>
  Effect.gen(function* () {
    const child = world.children.living("talk")
    yield* child.exit(SIGKILL)
  })

describe("WorkflowManager", () => {
  it.effect("runs a thread to its end and records every step", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const { trigger } = yield* world.daemon(configOf({}))
      const id = yield* trigger("a")
      yield* world.logged(id, "completed")
      expect(yield* world.entries(id)).toEqual(["started", "message 1", "message 2", "completed"])
      expect(yield* world.run(id)).toMatchObject({ status: "completed", exitCode: 0, reason: "", rounds: 2 })
      expect(world.asked.map((round) => round.steps.map((step) => step.content))).toEqual([[], ["a 1"], ["a 1", "a 2"]])
    })
  )

  it.effect("gives ids that sort by time, are unique within a millisecond and can be typed", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const { trigger } = yield* world.daemon(configOf({ concurrency: 3 }))
      const ids = yield* Effect.forEach(["a", "b"], (prompt) => trigger(prompt))
      yield* TestClock.adjust("1 second")
      const all = [...ids, yield* trigger("c")]
      expect([...all].sort()).toEqual(all)
      expect(new Set(all).size).toBe(3)
      for (const id of all) expect(id).toMatch(/^talk-[0-9a-z]{8}-[0-9a-z]{4}$/)
    })
  )

  it.effect("answers an unknown workflow with the known names", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const { manager } = yield* world.daemon(configOf({}))
      const error = yield* Effect.flip(manager.trigger({ workflow: "tlak", prompt: "a", cause: "manual" }))
      expect(error).toMatchObject({ _tag: "UnknownWorkflow", workflow: "tlak", known: ["talk"] })
    })
  )

  describe("admission (M4, M5)", () => {
    it.effect("never runs more threads than the concurrency, and drops the rest when overflow is drop", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon({ concurrency: 2, overflow: "drop" })
        yield* trigger("a")
        yield* trigger("b")
        const dropped = yield* manager.trigger({ workflow: "talk", prompt: "c", cause: "manual" })
        expect(dropped.status).toBe("dropped")
        expect(yield* world.run(dropped.threadId)).toMatchObject({
          status: "dropped",
          exitCode: 1,
          reason: "all slots are taken (concurrency 2, overflow drop)"
        })
        yield* gate("a").reached
        yield* gate("b").reached
        expect(world.trace).not.toContain("ask c 1")
        expect(yield* manager.views).toMatchObject([{ active: 2, queued: 0, roles: ["speaker"], problem: null }])
      })
    )

    it.effect("drops the oldest queued one when the queue is full, and says so", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon({ maxQueue: 2 })
        const [, b] = yield* Effect.forEach(["a", "b", "c", "d"], (prompt) => trigger(prompt))
        expect(yield* world.run(b ?? ThreadId.make("-"))).toMatchObject({
          status: "dropped",
          exitCode: 1,
          reason: "the queue is full (max_queue 2) and this was the oldest in it"
        })
        for (const prompt of ["a", "c", "d"]) yield* gate(prompt).open
        yield* manager.awaitIdle
        expect(world.trace.filter((line) => line.startsWith("ask"))).toEqual(["ask a 1", "ask c 1", "ask d 1"])
      })
    )

    it.effect("starts the next queued one in order after any end, and lets no newcomer jump the queue", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon()
        const [a] = yield* Effect.forEach(["a", "b", "c"], (prompt) => trigger(prompt))
        yield* gate("a").reached
        // While a is being killed a newcomer comes: b is next all the same.
        const kill = yield* Effect.forkChild(manager.kill(a ?? ""))
        yield* trigger("d")
        expect(yield* Fiber.join(kill)).toBe(true)
        for (const prompt of ["b", "c", "d"]) {
          yield* gate(prompt).reached
          yield* gate(prompt).open
        }
        yield* manager.awaitIdle
        expect(world.trace.filter((line) => line.startsWith("started"))).toEqual([
          "started a",
          "started b",
          "started c",
          "started d"
        ])
      })
    )
  })

  describe("write-ahead (M13)", () => {
    it.effect("logs started before the thread is sent out, and an end before the next is started", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.script = speaks(1)
        const { manager, trigger } = yield* world.daemon(configOf({}))
        yield* trigger("a")
        yield* trigger("b")
        yield* manager.awaitIdle
        expect(world.trace).toEqual([
          "started a",
          "queued b",
          "ask a 1",
          "message a 1",
          "ask a 2",
          "completed a",
          "started b",
          "ask b 1",
          "message b 1",
          "ask b 2",
          "completed b"
        ])
      })
    )

    it.effect("starts no thread that the store refuses, and is ready for the next", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.script = speaks(1)
        const { manager, trigger } = yield* world.daemon(configOf({}))
        world.disk.full = true
        const error = yield* Effect.flip(manager.trigger({ workflow: "talk", prompt: "a", cause: "manual" }))
        expect(error).toMatchObject({ _tag: "LogStoreError" })
        expect(yield* manager.views).toMatchObject([{ active: 0, queued: 0 }])
        world.disk.full = false
        yield* world.logged(yield* trigger("b"), "completed")
        expect(world.asked.map((round) => round.start.prompt)).not.toContain("a")
      })
    )

    it.effect("keeps a finished round's answer until the store takes it, and never runs the round again", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const answered = makeGate()
        world.script = ({ steps }) => {
          if (steps.length > 0) return Effect.succeed(over)
          world.disk.full = true
          return Effect.as(Effect.andThen(answered.open, answered.wait), spoke("precious"))
        }
        const { trigger } = yield* world.daemon(configOf({}))
        const id = yield* trigger("a")
        yield* answered.reached
        yield* TestClock.adjust("1 minute")
        expect(yield* world.entries(id)).toEqual(["started"])
        world.disk.full = false
        yield* TestClock.adjust("10 seconds")
        yield* world.logged(id, "completed")
        expect(world.trace.filter((line) => line === "ask a 1")).toHaveLength(1)
        expect((yield* world.store.messages(id)).map((message) => message.content)).toEqual(["precious"])
      })
    )
  })

  describe("ends of threads (M6, W4)", () => {
    it.effect("fails with exit code 2 when the rounds run out", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.script = speaks(100)
        const { trigger } = yield* world.daemon(configOf({}))
        const id = yield* trigger("a", { maxRounds: 3 })
        yield* world.logged(id, "failed")
        expect(yield* world.run(id)).toMatchObject({ status: "failed", exitCode: 2, rounds: 3 })
        // The last is the moderator's, who may end it.
        expect(world.asked).toHaveLength(4)
      })
    )

    it.effect("ends a thread whose conversation no request can hold any more, and says what to do", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.script = ({ start, steps }) =>
          Effect.succeed(steps.length < start.maxRounds ? spoke("x".repeat(100_000)) : over)
        const { manager, trigger } = yield* world.daemon(configOf({}))
        const id = yield* trigger("long", { maxRounds: 200 })
        yield* world.logged(id, "failed")
        const run = yield* world.run(id)
        expect(run).toMatchObject({ status: "failed", exitCode: 1, crashes: 0, rounds: 42 })
        expect(run.reason).toContain("outgrown the 4 MB that a round can be sent")
        expect(run.reason).toContain("fork it from an earlier round")
        // What was said is all there, and nobody else is harmed.
        expect((yield* world.store.messages(id)).length).toBe(42)
        yield* world.logged(yield* trigger("short", { maxRounds: 1 }), "completed")
        yield* manager.awaitIdle
      })
    )

    it.effect("fails with exit code 1 and the reason when a role or the moderator fails or nothing loads", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.script = ({ start }) => {
          switch (start.prompt) {
            case "role":
              return Effect.fail(new RoleFailed({ role: "analyst", message: "no words", stack: null }))
            case "moderator":
              return Effect.fail(new ModeratorFailed({ message: "oops", stack: null }))
            case "unknown":
              return Effect.fail(new UnknownRole({ role: "ghost", known: ["analyst"] }))
            case "unloaded":
              return Effect.fail(
                new WorkflowUnavailable({
                  workflow: workflowConfig().name,
                  problem: { code: "module-missing", message: "no talk.ts", file: "talk.ts", hint: "" }
                })
              )
            default:
              return Effect.die(new Error("a defect"))
          }
        }
        const { trigger } = yield* world.daemon(configOf({ concurrency: 5 }))
        const reasonOf = Effect.fnUntraced(function* (prompt: string) {
          const id = yield* trigger(prompt)
          yield* world.logged(id, "failed")
          const run = yield* world.run(id)
          expect(run).toMatchObject({ status: "failed", exitCode: 1 })
          return run.reason
        })
        expect(yield* reasonOf("role")).toBe("role analyst: no words")
        expect(yield* reasonOf("moderator")).toBe("the moderator failed: oops")
        expect(yield* reasonOf("unknown")).toContain('"ghost"')
        expect(yield* reasonOf("unloaded")).toBe("no talk.ts")
        expect(yield* reasonOf("defect")).toContain("a defect")
      })
    )
  })

  describe("worker deaths (M3, M7, M14)", () => {
    it.effect("records each crash and asks the next worker for the same round, no round twice", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const gate = makeGate()
        world.script = (round) =>
          round.incarnation === 1 && round.steps.length === 1 ? Effect.as(gate.wait, over) : speaks(2)(round)
        const { trigger } = yield* world.daemon(configOf({}))
        const id = yield* trigger("a")
        yield* gate.reached
        yield* world.children.living("talk").exit(SIGKILL)
        yield* world.logged(id, "completed")
        expect(yield* world.entries(id)).toEqual(["started", "message 1", "crashed", "message 2", "completed"])
        expect(yield* world.run(id)).toMatchObject({ status: "completed", crashes: 1, rounds: 2 })
        expect(world.trace.filter((line) => line === "ask a 1")).toHaveLength(1)
        expect(world.asked.map((round) => round.incarnation)).toEqual([1, 1, 2, 2])
      })
    )

    it.effect("shares one worker among a workflow's threads, and resumes all of them when it dies", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const gates = { a: makeGate(), b: makeGate() }
        world.script = (round) =>
          round.incarnation === 1
            ? Effect.as(gates[round.start.prompt === "a" ? "a" : "b"].wait, over)
            : speaks(1)(round)
        const { trigger } = yield* world.daemon(configOf({ concurrency: 2 }))
        const a = yield* trigger("a")
        const b = yield* trigger("b")
        yield* gates.a.reached
        yield* gates.b.reached
        expect(world.children.all()).toHaveLength(1)
        yield* world.children.living("talk").exit(SIGKILL)
        yield* world.logged(a, "completed")
        yield* world.logged(b, "completed")
        expect(world.children.all()).toHaveLength(2)
      })
    )

    it.effect("gives up after six crashes in a minute: the active thread ends as crashed, exit code 255", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.script = () => Effect.andThen(crashUntilGivenUp(world), Effect.never)
        const { manager, trigger } = yield* world.daemon(configOf({}))
        const a = yield* trigger("a")
        const b = yield* trigger("b")
        yield* manager.awaitIdle
        expect(yield* world.entries(a)).toEqual(["started", ...Array.from({ length: 7 }, () => "crashed")])
        const run = yield* world.run(a)
        expect(run).toMatchObject({ status: "crashed", exitCode: 255 })
        expect(run.reason).toContain("worker given up")
        // Never delivered, so never started.
        expect(yield* world.entries(b)).toEqual(["queued"])
        expect(yield* manager.views).toMatchObject([{ problem: { code: "worker-given-up" }, queued: 1 }])
      })
    )

    it.effect("queues triggers of a given-up workflow without starting them, and runs them after a reset", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.script = () => Effect.andThen(crashUntilGivenUp(world), Effect.never)
        const { manager, trigger } = yield* world.daemon(configOf({}))
        yield* trigger("a")
        yield* manager.awaitIdle
        const b = yield* trigger("b")
        const c = yield* trigger("c")
        expect([yield* world.entries(b), yield* world.entries(c)]).toEqual([["queued"], ["queued"]])
        world.script = speaks(1)
        yield* manager.reset("talk")
        yield* world.logged(c, "completed")
        yield* manager.awaitIdle
        expect(yield* world.entries(b)).toEqual(["queued", "started", "message 1", "completed"])
        expect(yield* manager.views).toMatchObject([{ problem: null, active: 0, queued: 0 }])
      })
    )

    it.effect("knows that an idle worker was given up before a thread is sent to it", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.script = speaks(0)
        const { manager, trigger } = yield* world.daemon(configOf({}))
        yield* trigger("a")
        yield* manager.awaitIdle
        world.children.failSpawns("talk", true)
        yield* world.children.living("talk").exit(SIGKILL)
        yield* world.happened("WorkerGivenUp")
        const b = yield* trigger("b")
        expect(yield* world.entries(b)).toEqual(["queued"])
        world.children.failSpawns("talk", false)
        yield* manager.reset("talk")
        yield* world.logged(b, "completed")
      })
    )

    it.effect("drops triggers of a given-up workflow that has no queue, with the reason", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.script = () => Effect.andThen(crashUntilGivenUp(world), Effect.never)
        const { manager, trigger } = yield* world.daemon(configOf({ overflow: "drop" }))
        yield* trigger("a")
        yield* manager.awaitIdle
        const b = yield* trigger("b")
        expect(yield* world.entries(b)).toEqual(["dropped"])
        expect((yield* world.run(b)).reason).toContain("was given up")
        world.script = speaks(1)
        // New code revives it as well: that is what a drain is for.
        yield* manager.drainWhenIdle("talk")
        yield* world.logged(yield* trigger("c"), "completed")
      })
    )

    it.effect("does not give up a worker that crashes less often than six times a minute", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const gates = Array.from({ length: 12 }, makeGate)
        world.script = ({ incarnation }) => Effect.as(gates[incarnation - 1]?.wait ?? Effect.void, over)
        const { trigger } = yield* world.daemon(configOf({}))
        const id = yield* trigger("a")
        for (const gate of gates) {
          yield* gate.reached
          yield* TestClock.adjust("13 seconds")
          yield* world.children.living("talk").exit(SIGKILL)
        }
        yield* world.logged(id, "completed")
        expect(yield* world.run(id)).toMatchObject({ status: "completed", crashes: 12 })
      })
    )
  })

  describe("deaths of the daemon (M7)", () => {
    it.effect("resumes a started thread after its last recorded round", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const gate = makeGate()
        world.script = (round) => (round.steps.length === 2 ? Effect.as(gate.wait, over) : speaks(3)(round))
        const first = yield* world.daemon(configOf({}))
        const id = yield* first.trigger("a")
        yield* gate.reached
        yield* first.die
        expect(yield* world.run(id)).toMatchObject({ status: "started", rounds: 2 })
        world.script = speaks(3)
        yield* world.daemon(configOf({}))
        yield* world.logged(id, "completed")
        expect(yield* world.entries(id)).toEqual(["started", "message 1", "message 2", "message 3", "completed"])
        expect(world.trace.filter((line) => line.startsWith("ask"))).toEqual([
          "ask a 1",
          "ask a 2",
          "ask a 3",
          "ask a 3",
          "ask a 4"
        ])
      })
    )

    it.effect("queues the queued ones again, in order, before newcomers", () =>
      Effect.gen(function* () {
        const { world, ...first } = yield* gatedDaemon()
        yield* Effect.forEach(["a", "b", "c"], (prompt) => first.trigger(prompt))
        yield* first.die
        world.trace.length = 0
        const gate = gated(world)
        const second = yield* world.daemon(configOf({}))
        yield* second.trigger("d")
        for (const prompt of ["a", "b", "c", "d"]) yield* gate(prompt).open
        yield* second.manager.awaitIdle
        expect(world.trace).toEqual([
          "queued d",
          "ask a 1",
          "completed a",
          "started b",
          "ask b 1",
          "completed b",
          "started c",
          "ask c 1",
          "completed c",
          "started d",
          "ask d 1",
          "completed d"
        ])
      })
    )

    it.effect("resumes all started ones beyond a lowered concurrency, and starts queued ones only below it", () =>
      Effect.gen(function* () {
        const { world, ...first } = yield* gatedDaemon({ concurrency: 2 })
        yield* Effect.forEach(["a", "b", "c"], (prompt) => first.trigger(prompt))
        yield* first.die
        const gate = gated(world)
        const { manager } = yield* world.daemon(configOf({ concurrency: 1 }))
        yield* gate("a").reached
        yield* gate("b").reached
        expect(yield* manager.views).toMatchObject([{ active: 2, queued: 1 }])
        for (const prompt of ["a", "b", "c"]) yield* gate(prompt).open
        yield* manager.awaitIdle
        expect(world.trace.slice(-3)).toEqual(["started c", "ask c 1", "completed c"])
      })
    )

    it.effect("interrupts the runs of a workflow that left the config", () =>
      Effect.gen(function* () {
        const { world, ...first } = yield* gatedDaemon()
        const ids = yield* Effect.forEach(["a", "b"], (prompt) => first.trigger(prompt))
        yield* first.die
        const second = yield* world.daemon(configOf())
        for (const id of ids) {
          expect(yield* world.run(id)).toMatchObject({ status: "interrupted", exitCode: 1 })
        }
        yield* second.manager.awaitIdle
      })
    )

    it.effect("writes nothing any more once it is closed, whoever still asks", () =>
      Effect.gen(function* () {
        const { die, gate, manager, trigger, world } = yield* gatedDaemon()
        const a = yield* trigger("a")
        yield* gate("a").reached
        yield* die
        const exits = [
          yield* Effect.exit(manager.trigger({ workflow: "talk", prompt: "b", cause: "manual" })),
          yield* Effect.exit(manager.kill(a))
        ]
        expect(exits.map((exit) => exit._tag)).toEqual(["Failure", "Failure"])
        expect(world.trace).toEqual(["started a", "ask a 1"])
      })
    )

    it.effect("keeps the cause of a run that was queued over the restart", () =>
      Effect.gen(function* () {
        const { world, ...first } = yield* gatedDaemon()
        yield* first.trigger("a")
        const b = yield* first.trigger("b", { cause: "cpu-usage" })
        yield* first.die
        world.script = speaks(1)
        yield* world.daemon(configOf({}))
        const entry = yield* world.logged(b, "started")
        expect(entry.payload).toMatchObject({ cause: "cpu-usage", prompt: "b" })
      })
    )
  })

  describe("kill (M8)", () => {
    it.effect("removes a queued thread and records it as killed", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon()
        yield* trigger("a")
        const b = yield* trigger("b")
        expect(yield* manager.kill(b)).toBe(true)
        expect(yield* world.entries(b)).toEqual(["queued", "killed"])
        expect(yield* world.run(b)).toMatchObject({ status: "killed", exitCode: 137 })
        yield* gate("a").open
        yield* manager.awaitIdle
        expect(world.trace).not.toContain("started b")
      })
    )

    it.effect("interrupts an active thread's role in the worker, without harming the worker", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const gate = makeGate()
        let interrupted = false
        world.script = () =>
          Effect.as(gate.wait, over).pipe(
            Effect.onInterrupt(() =>
              Effect.sync(() => {
                interrupted = true
              })
            )
          )
        const { manager, trigger } = yield* world.daemon(configOf({}))
        const a = yield* trigger("a")
        yield* gate.reached
        expect(yield* manager.kill(a)).toBe(true)
        expect(interrupted).toBe(true)
        expect(yield* world.entries(a)).toEqual(["started", "killed"])
        expect(yield* world.run(a)).toMatchObject({ status: "killed", exitCode: 137 })
        expect(world.children.all()).toHaveLength(1)
        expect(world.children.living("talk").signals).toEqual([])
        expect(yield* manager.views).toMatchObject([{ active: 0 }])
      })
    )

    it.effect("kills the worker of a hung role after the bound; the other threads resume, the next starts", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.hangs = true
        const hung = makeGate()
        const other = makeGate()
        world.script = (round) => {
          if (round.incarnation > 1) return speaks(1)(round)
          const gate = round.start.prompt === "hung" ? hung : other
          return Effect.as(Effect.andThen(gate.wait, Effect.uninterruptible(Effect.never)), over)
        }
        const { manager, trigger } = yield* world.daemon(configOf({ concurrency: 2 }), { killBound: "3 seconds" })
        const a = yield* trigger("hung")
        const b = yield* trigger("other")
        const c = yield* trigger("next")
        yield* hung.reached
        yield* other.reached
        const kill = yield* Effect.forkChild(manager.kill(a))
        yield* TestClock.adjust("2 seconds")
        expect(world.children.living("talk").signals).toEqual([])
        // The slot is not free before the role has stopped.
        expect(yield* world.entries(c)).toEqual(["queued"])
        yield* TestClock.adjust("2 seconds")
        expect(yield* Fiber.join(kill)).toBe(true)
        yield* world.logged(b, "completed")
        yield* world.logged(c, "completed")
        expect(yield* world.entries(a)).toEqual(["started", "killed"])
        expect(yield* world.entries(b)).toEqual(["started", "crashed", "message 1", "completed"])
        expect(yield* world.entries(c)).toEqual(["queued", "started", "message 1", "completed"])
      })
    )

    it.effect("takes a worker that cannot confirm for one that does not hang", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.confirms = false
        const gate = gated(world)
        const { manager, trigger } = yield* world.daemon(configOf({}))
        const a = yield* trigger("a")
        yield* gate("a").reached
        expect(yield* manager.kill(a)).toBe(true)
        expect(world.children.living("talk").signals).toEqual([])
        yield* manager.awaitIdle
      })
    )

    it.effect("is false for a thread that is unknown or has ended, and true once for two at once", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon({ concurrency: 2 })
        expect(yield* manager.kill("nobody")).toBe(false)
        expect(yield* manager.kill("")).toBe(false)
        const a = yield* trigger("a")
        yield* gate("a").open
        yield* world.logged(a, "completed")
        yield* manager.awaitIdle
        expect(yield* manager.kill(a)).toBe(false)
        const b = yield* trigger("b")
        yield* gate("b").reached
        yield* Effect.all([manager.kill(b), manager.kill(b)], { concurrency: 2 })
        expect(yield* world.entries(b)).toEqual(["started", "killed"])
      })
    )

    it.effect("stays killed when the daemon dies before the role has stopped", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        world.hangs = true
        const gate = gated(world)
        const first = yield* world.daemon(configOf({}))
        const a = yield* first.trigger("a")
        yield* gate("a").reached
        yield* Effect.forkChild(first.manager.kill(a))
        yield* world.logged(a, "killed")
        yield* first.die
        const second = yield* world.daemon(configOf({}))
        yield* second.manager.awaitIdle
        expect(yield* world.entries(a)).toEqual(["started", "killed"])
      })
    )

    it.effect("kills nothing when the store refuses", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon()
        const a = yield* trigger("a")
        yield* gate("a").reached
        world.disk.full = true
        expect(yield* Effect.flip(manager.kill(a))).toMatchObject({ _tag: "LogStoreError" })
        world.disk.full = false
        yield* gate("a").open
        yield* world.logged(a, "completed")
      })
    )

    it.effect("starts the next one as soon as the store takes it again", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon()
        world.hangs = true
        const a = yield* trigger("a")
        const b = yield* trigger("b")
        yield* gate("a").reached
        const kill = yield* Effect.forkChild(manager.kill(a))
        yield* world.logged(a, "killed")
        world.disk.full = true
        yield* TestClock.adjust("1 minute")
        expect(yield* world.entries(b)).toEqual(["queued"])
        world.disk.full = false
        yield* TestClock.adjust("10 seconds")
        expect(yield* Fiber.join(kill)).toBe(true)
        yield* gate("b").open
        yield* world.logged(b, "completed")
      })
    )

    it.effect("goes on when who asked for it goes away", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon()
        world.hangs = true
        const a = yield* trigger("a")
        yield* gate("a").reached
        const kill = yield* Effect.forkChild(manager.kill(a))
        yield* world.logged(a, "killed")
        yield* Fiber.interrupt(kill)
        const idle = yield* Effect.forkChild(manager.awaitIdle)
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(idle)
      })
    )
  })

  describe("drains (M9)", () => {
    it.effect("drainAndRespawn interrupts active threads, replaces the worker and starts the queued ones there", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon()
        const a = yield* trigger("a")
        const b = yield* trigger("b")
        yield* gate("a").reached
        world.script = speaks(1)
        yield* manager.drainAndRespawn("talk")
        yield* world.logged(b, "completed")
        expect(yield* world.run(a)).toMatchObject({
          status: "interrupted",
          exitCode: 1,
          reason: "the workflow's worker was replaced"
        })
        expect(world.asked.filter((round) => round.start.prompt === "b").map((round) => round.incarnation)).toEqual([
          2, 2
        ])
        const exit = world.events.find((event) => event._tag === "WorkerExited")
        expect(exit).toMatchObject({ expected: true })
      })
    )

    it.effect("drainWhenIdle waits for the active threads, and gets its turn before the queue", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon({ concurrency: 2 })
        const a = yield* trigger("a")
        yield* gate("a").reached
        const drain = yield* Effect.forkChild(manager.drainWhenIdle("talk"), { startImmediately: true })
        // A slot is free, but whoever comes now gets the new worker.
        const b = yield* trigger("b")
        expect(yield* world.entries(b)).toEqual(["queued"])
        expect(world.children.all()).toHaveLength(1)
        yield* gate("a").open
        yield* Fiber.join(drain)
        expect(yield* world.run(a)).toMatchObject({ status: "completed" })
        yield* gate("b").open
        yield* world.logged(b, "completed")
        expect(world.asked.map((round) => `${round.start.prompt} ${round.incarnation}`)).toEqual(["a 1", "b 2"])
      })
    )

    it.effect("a crash clears a pending drain: the next worker is a new one anyway", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon({ concurrency: 2 })
        const a = yield* trigger("a")
        yield* gate("a").reached
        const drain = yield* Effect.forkChild(manager.drainWhenIdle("talk"), { startImmediately: true })
        const b = yield* trigger("b")
        yield* world.children.living("talk").exit(SIGKILL)
        yield* Fiber.join(drain)
        yield* world.logged(b, "started")
        for (const prompt of ["a", "b"]) yield* gate(prompt).open
        yield* manager.awaitIdle
        expect((yield* world.run(a)).status).toBe("completed")
        expect(world.children.all()).toHaveLength(2)
      })
    )

    it.effect("is a no-op for unknown workflows and for workers that never ran", () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const { manager } = yield* world.daemon(configOf({}))
        yield* manager.drainAndRespawn("nobody")
        yield* manager.drainWhenIdle("nobody")
        yield* manager.reset("nobody")
        yield* manager.drainAndRespawn("talk")
        yield* manager.drainWhenIdle("talk")
        yield* manager.reset("talk")
        expect(world.children.all()).toEqual([])
      })
    )
  })

  describe("another config (M10)", () => {
    it.effect("changes the concurrency at once, without touching what runs", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon()
        yield* Effect.forEach(["a", "b", "c"], (prompt) => trigger(prompt))
        yield* gate("a").reached
        yield* manager.configure(configOf({ concurrency: 3 }))
        yield* gate("b").reached
        yield* gate("c").reached
        expect(world.children.all()).toHaveLength(1)
        expect(yield* manager.views).toMatchObject([{ concurrency: 3, active: 3, queued: 0 }])
      })
    )

    it.effect("adds workflows, and ends the threads and the worker of a removed one", () =>
      Effect.gen(function* () {
        const { gate, manager, trigger, world } = yield* gatedDaemon()
        const a = yield* trigger("a")
        const b = yield* trigger("b")
        yield* gate("a").reached
        yield* manager.configure({ ...configOf({}), workflows: [{ ...workflowConfig(), name: "other" as never }] })
        expect(yield* world.run(a)).toMatchObject({ status: "interrupted", reason: "the workflow left the config" })
        expect(yield* world.run(b)).toMatchObject({ status: "interrupted" })
        expect(world.children.all().map((child) => child.exited())).not.toContain(null)
        yield* Effect.flip(manager.trigger({ workflow: "talk", prompt: "c", cause: "manual" }))
        yield* gate("d").open
        yield* world.logged(yield* trigger("d", { workflow: "other" }), "completed")
        expect((yield* manager.views).map((view) => view.name)).toEqual(["other"])
      })
    )
  })

  it.effect("awaitIdle waits for active and queued threads", () =>
    Effect.gen(function* () {
      const { gate, manager, trigger } = yield* gatedDaemon()
      yield* manager.awaitIdle
      yield* trigger("a")
      yield* trigger("b")
      const idle = Deferred.makeUnsafe<void>()
      yield* Effect.forkChild(Effect.andThen(manager.awaitIdle, Deferred.succeed(idle, undefined)))
      yield* gate("a").open
      yield* gate("b").reached
      expect(Deferred.isDoneUnsafe(idle)).toBe(false)
      yield* gate("b").open
      yield* Deferred.await(idle)
      expect(yield* manager.workers).toMatchObject([
        { key: "workflow:talk", state: "ready", incarnation: 1, crashes: 0 }
      ])
    })
  )
})
