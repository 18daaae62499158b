/**
 * What may be asked of threads and workflows: pause and resume, retry, fork, keys and priorities, and
 * what becomes of threads whose code has changed.
 */
import { describe, expect, it } from "@effect/vitest"
import { CodeChanged, RoleFailed } from "@nerve/core/wire/WorkflowRpcs"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as World from "./World.ts"
import { configOf, makeGate, over, speaks, spoke } from "./World.ts"

/** As `speaks`, but the second round of each thread waits at the gate. */
const gated =
  (gate: ReturnType<typeof makeGate>): World.Script =>
  (round) =>
    round.steps.length === 1 ? Effect.andThen(gate.wait, speaks(3)(round)) : speaks(3)(round)

describe("pausing a thread", () => {
  it.effect("lets the round in flight finish, frees the slot, and goes on when resumed, by another daemon too", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const gate = makeGate()
      world.script = gated(gate)
      const first = yield* world.daemon(configOf({}))
      const id = yield* first.trigger("a")
      yield* gate.reached
      const next = yield* first.trigger("b")
      expect(yield* first.manager.control.pause(id, "lunch")).toMatchObject({ phase: "paused", rounds: 1 })
      expect((yield* first.manager.control.explain(id)).lines[0]).toBe(
        "pauses after the round in flight, on request: lunch"
      )
      yield* gate.open
      yield* world.logged(next, "completed")
      expect(yield* world.store.run(id)).toMatchObject({ status: "started", phase: "paused", rounds: 2 })
      yield* first.manager.awaitIdle
      const again = yield* Effect.flip(first.manager.control.pause(id, "x"))
      expect(again.message).toContain("it is paused already: lunch")
      yield* first.die
      const second = yield* world.daemon(configOf({}))
      yield* second.manager.awaitIdle
      expect(yield* world.store.run(id)).toMatchObject({ phase: "paused" })
      yield* second.manager.control.resume(id, false)
      yield* world.logged(id, "completed")
      expect((yield* Effect.flip(second.manager.control.resume(id, false))).message).toContain("ended already")
      expect(world.asked.filter(({ start }) => start.prompt === "a").map(({ steps }) => steps.length)).toEqual([
        0, 1, 2, 3
      ])
    })
  )

  it.effect("resumed before its round is over it keeps its slot and goes on", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const gate = makeGate()
      world.script = gated(gate)
      const { manager, trigger } = yield* world.daemon(configOf({}))
      const id = yield* trigger("a")
      yield* gate.reached
      yield* manager.control.pause(id, "lunch")
      yield* manager.control.resume(id, false)
      yield* gate.open
      yield* world.logged(id, "completed")
      expect(yield* world.entries(id)).toEqual([
        "started",
        "message 1",
        "paused",
        "resumed",
        "message 2",
        "message 3",
        "completed"
      ])
    })
  )

  it.effect("takes a queued one out of the queue and gives it its place again", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const gate = makeGate()
      world.script = gated(gate)
      const { manager, trigger } = yield* world.daemon(configOf({}))
      yield* trigger("a")
      yield* gate.reached
      const b = yield* trigger("b")
      const c = yield* trigger("c")
      yield* manager.control.pause(b, "")
      expect((yield* manager.views)[0]).toMatchObject({ queued: 1, waiting: 1 })
      yield* manager.control.resume(b, false)
      yield* gate.open
      yield* world.logged(c, "completed")
      expect(world.trace.filter((line) => line.startsWith("started"))).toEqual(["started a", "started b", "started c"])
    })
  )
})

describe("pausing a workflow", () => {
  it.effect("starts nothing, lets who is active go on, and survives a restart", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const gate = makeGate()
      world.script = gated(gate)
      const first = yield* world.daemon(configOf({}))
      const a = yield* first.trigger("a")
      yield* gate.reached
      const b = yield* first.trigger("b")
      expect(yield* first.manager.pauseWorkflow("talk", "the provider is down")).toBe(true)
      expect(yield* first.manager.pauseWorkflow("talk", "the provider is down")).toBe(false)
      yield* gate.open
      yield* world.logged(a, "completed")
      yield* first.manager.awaitIdle
      yield* first.die
      const second = yield* world.daemon(configOf({}))
      yield* second.manager.awaitIdle
      expect((yield* second.manager.views)[0]).toMatchObject({ queued: 1, paused: "the provider is down" })
      expect((yield* second.manager.control.explain(b)).lines[0]).toBe(
        "next in the queue: the workflow is paused: the provider is down"
      )
      expect(yield* second.manager.resumeWorkflow("talk")).toBe(true)
      yield* world.logged(b, "completed")
      expect(yield* second.manager.resumeWorkflow("talk")).toBe(false)
      expect((yield* Effect.flip(second.manager.pauseWorkflow("nope", ""))).message).toContain("no workflow")
    })
  )

  it.effect("turns newcomers away where nothing is queued, and says why", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const { manager, trigger } = yield* world.daemon(configOf({ overflow: "drop" }))
      yield* manager.pauseWorkflow("talk", "holidays")
      const id = yield* trigger("a")
      expect(yield* world.run(id)).toMatchObject({ status: "dropped", reason: "the workflow is paused: holidays" })
    })
  )
})

describe("a key", () => {
  it.effect("yields the same thread, at the same time, later, and from the next daemon", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const first = yield* world.daemon(configOf({}))
      const ask = (manager: World.Daemon["manager"], key = "order-1") =>
        manager.trigger({ workflow: "talk", prompt: "a", cause: "manual", key })
      const both = yield* Effect.forEach([1, 2, 3], () => ask(first.manager), { concurrency: "unbounded" })
      const [one] = both
      expect(both.map(({ threadId }) => threadId)).toEqual([one?.threadId, one?.threadId, one?.threadId])
      expect(both.map(({ existing }) => existing)).toEqual([undefined, true, true])
      yield* first.manager.awaitIdle
      yield* first.die
      const second = yield* world.daemon(configOf({}))
      expect(yield* ask(second.manager)).toEqual({ threadId: one?.threadId, status: "completed", existing: true })
      expect((yield* ask(second.manager, "order-2")).threadId).not.toBe(one?.threadId)
    })
  )

  it.effect("of a thread that was dropped is free again", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const gate = makeGate()
      world.script = gated(gate)
      const { manager, trigger } = yield* world.daemon(configOf({ overflow: "drop" }))
      yield* trigger("a")
      const dropped = yield* manager.trigger({ workflow: "talk", prompt: "b", cause: "manual", key: "k" })
      expect(dropped.status).toBe("dropped")
      yield* gate.open
      yield* manager.awaitIdle
      const again = yield* manager.trigger({ workflow: "talk", prompt: "b", cause: "manual", key: "k" })
      expect(again.status).toBe("started")
      expect(again.threadId).not.toBe(dropped.threadId)
    })
  )
})

it.effect("a higher priority goes first, across a restart too", () =>
  Effect.gen(function* () {
    const world = yield* World.make
    const gate = makeGate()
    world.script = gated(gate)
    const first = yield* world.daemon(configOf({}))
    yield* first.trigger("a")
    yield* gate.reached
    for (const [prompt, priority] of [
      ["low", -1],
      ["x", 0],
      ["high", 5],
      ["y", 0]
    ] as const) {
      yield* first.trigger(prompt, { priority })
    }
    yield* first.die
    const second = yield* world.daemon(configOf({}))
    yield* second.trigger("late", { priority: 5 })
    yield* gate.open
    yield* second.manager.awaitIdle
    expect(world.trace.filter((line) => line.startsWith("started"))).toEqual(
      ["a", "high", "late", "x", "y", "low"].map((prompt) => `started ${prompt}`)
    )
  })
)

describe("retrying", () => {
  it.effect("takes a failed thread up after its last good round, as the same thread", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      let broken = true
      world.script = (round) =>
        broken && round.steps.length === 2
          ? Effect.fail(new RoleFailed({ role: "speaker", message: "no", stack: null }))
          : speaks(3)(round)
      const { manager, trigger } = yield* world.daemon(configOf({}))
      const id = yield* trigger("a")
      yield* world.logged(id, "failed")
      broken = false
      expect((yield* manager.control.explain(id)).lines[1]).toContain(`nerve thread retry ${id}`)
      yield* manager.control.retry(id)
      yield* world.logged(id, "completed")
      expect(world.asked.map(({ steps }) => steps.length)).toEqual([0, 1, 2, 2, 3])
      expect(yield* world.entries(id)).toEqual([
        "started",
        "message 1",
        "message 2",
        "failed",
        "retried",
        "started",
        "message 3",
        "completed"
      ])
      expect((yield* Effect.flip(manager.control.retry(id))).message).toContain("it has completed")
      expect((yield* Effect.flip(manager.control.retry("nobody"))).message).toContain("no thread")
    })
  )

  it.effect("counts what failed rounds took: it is in the log, and held against the budget", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const usage = { calls: 3, inputTokens: 50, outputTokens: 10, costUsd: null }
      world.script = ({ steps }) =>
        steps.length === 0
          ? Effect.succeed(spoke("one"))
          : Effect.fail(new RoleFailed({ role: "r", message: "no", stack: null, durationMs: 7, usage }))
      const { manager, trigger } = yield* world.daemon(configOf({ budget: { tokens: 100, costUsd: null } }))
      const id = yield* trigger("a")
      const failed = yield* world.logged(id, "failed")
      expect(failed.payload).toMatchObject({ exitCode: 1, durationMs: 7, usage })
      yield* manager.ended(id)
      yield* manager.control.retry(id)
      yield* manager.ended(id)
      // Twice 60 of 100.
      yield* manager.control.retry(id)
      const paused = yield* world.logged(id, "paused")
      expect(paused.payload).toMatchObject({
        by: "budget",
        reason: "it has taken 120 tokens of the 100 in its budget"
      })
      expect(world.asked.length).toBe(3)
      yield* manager.awaitIdle
      yield* manager.control.resume(id, false)
      expect(yield* manager.ended(id)).toMatchObject({ status: "failed", reason: "role r: no" })
    })
  )

  it.effect("asks for more rounds when they have run out", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      world.script = speaks(3)
      const { manager, trigger } = yield* world.daemon(configOf({}))
      const id = yield* trigger("a", { maxRounds: 2 })
      yield* world.logged(id, "failed")
      expect((yield* Effect.flip(manager.control.retry(id))).message).toContain("it has had all of its 2 rounds")
      yield* manager.control.retry(id, 10)
      yield* world.logged(id, "completed")
      expect(yield* world.run(id)).toMatchObject({ status: "completed", rounds: 3 })
    })
  )
})

describe("forking", () => {
  it.effect("makes a new thread with its lineage, the original untouched, and names the roles that run again", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      world.script = ({ start, steps }) =>
        Effect.succeed(
          steps.length < 3 ? { ...spoke(`${start.prompt} ${steps.length + 1}`), role: `r${steps.length + 1}` } : over
        )
      const { manager, trigger } = yield* world.daemon(configOf({}))
      const id = yield* trigger("a")
      yield* world.logged(id, "completed")
      const before = yield* world.store.query({ refId: id })
      const { rerun, threadId } = yield* manager.control.fork({ threadId: id, round: 1, content: "edited" })
      expect(rerun).toEqual(["r2", "r3"])
      yield* world.logged(threadId, "completed")
      expect((yield* world.store.messages(threadId)).map(({ content }) => content)).toEqual(["edited", "a 2", "a 3"])
      expect(yield* world.store.run(threadId)).toMatchObject({ origin: { threadId: id, round: 1 }, rounds: 3 })
      expect(yield* world.store.query({ refId: id })).toEqual(before)
      // Its copied rounds are not asked for again.
      expect(world.asked.filter(({ start }) => start.threadId === threadId).map(({ steps }) => steps.length)).toEqual([
        1, 2, 3
      ])
      const all = yield* manager.control.fork({ threadId: id, round: 0, prompt: "b" })
      yield* world.logged(all.threadId, "completed")
      expect((yield* world.store.messages(all.threadId)).map(({ content }) => content)).toEqual(["b 1", "b 2", "b 3"])
      expect((yield* Effect.flip(manager.control.fork({ threadId: id, round: 9 }))).message).toContain("only 3 rounds")
    })
  )
})

describe("a thread whose code has changed", () => {
  /** The workers' code is of this version; a thread that began with another is refused. */
  const versioned =
    (current: () => string, rounds: World.Script): World.Script =>
    (round) =>
      round.version !== undefined && round.version !== current()
        ? Effect.fail(new CodeChanged({ expected: round.version, found: current() }))
        : Effect.map(rounds(round), (outcome) =>
            outcome._tag === "Spoke" ? { ...outcome, version: current() } : outcome
          )

  const begun = Effect.fnUntraced(function* (onChange: "finish-on-old" | "resume-on-new-code" | "interrupt") {
    const world = yield* World.make
    const gate = makeGate()
    let version = "v1"
    world.script = versioned(() => version, gated(gate))
    const first = yield* world.daemon(configOf({ onChange }))
    const id = yield* first.trigger("a")
    yield* gate.reached
    yield* first.die
    version = "v2"
    yield* gate.open
    const { manager } = yield* world.daemon(configOf({ onChange }))
    return { world, manager, id }
  })

  it.effect("pauses and says so, and resumes on the new code on request", () =>
    Effect.gen(function* () {
      const { id, manager, world } = yield* begun("finish-on-old")
      yield* world.logged(id, "paused")
      const [why = "", todo] = (yield* manager.control.explain(id)).lines
      expect(why).toContain("its code has changed: the thread began with version v1 of the workflow's code")
      expect(todo).toBe(`go on with the new code with: nerve thread resume ${id}`)
      expect(yield* world.store.run(id)).toMatchObject({ phase: "paused", paused: { by: "code" }, version: "v1" })
      yield* manager.control.resume(id, false)
      yield* world.logged(id, "completed")
      expect(yield* world.store.run(id)).toMatchObject({ rounds: 3, version: "v2" })
    })
  )

  it.effect("goes on with the new code where the policy says so", () =>
    Effect.gen(function* () {
      const { id, world } = yield* begun("resume-on-new-code")
      yield* world.logged(id, "completed")
      expect(yield* world.entries(id)).toEqual([
        "started",
        "message 1",
        "resumed",
        "message 2",
        "message 3",
        "completed"
      ])
    })
  )

  it.effect("ends where the policy says so", () =>
    Effect.gen(function* () {
      const { id, world } = yield* begun("interrupt")
      yield* world.logged(id, "interrupted")
      expect((yield* world.run(id)).reason).toContain("began with version v1")
    })
  )

  it.effect("while it runs: the worker is replaced between two rounds, or when nobody is active", () =>
    Effect.gen(function* () {
      for (const onChange of ["resume-on-new-code", "finish-on-old"] as const) {
        const world = yield* World.make
        const gate = makeGate()
        world.script = gated(gate)
        const { manager, trigger } = yield* world.daemon(configOf({ onChange }))
        const id = yield* trigger("a")
        yield* gate.reached
        const change = yield* Effect.forkChild(manager.codeChanged("talk"), { startImmediately: true })
        yield* gate.open
        yield* world.logged(id, "completed")
        yield* Effect.yieldNow
        const rounds = world.asked.filter(({ start }) => start.prompt === "a")
        expect(rounds.map(({ steps }) => steps.length)).toEqual([0, 1, 2, 3])
        expect(rounds.at(-1)?.incarnation).toBe(onChange === "finish-on-old" ? 1 : 2)
        yield* Fiber.join(change)
      }
    })
  )

  it.effect("while it runs: a round that takes longer than the replacement waits is run by the new worker", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const reached = yield* Deferred.make<void>()
      world.script = (round) =>
        round.incarnation === 1
          ? Effect.andThen(Deferred.succeed(reached, undefined), Effect.never)
          : World.speaks(2)(round)
      const { manager, trigger } = yield* world.daemon(configOf({ onChange: "resume-on-new-code" }))
      const id = yield* trigger("a")
      yield* Deferred.await(reached)
      const change = yield* Effect.forkChild(manager.codeChanged("talk"), { startImmediately: true })
      yield* Effect.yieldNow
      for (let n = 0; n < 120; n++) yield* TestClock.adjust("1 second")
      yield* Fiber.join(change)
      yield* world.logged(id, "completed")
      expect(yield* world.run(id)).toMatchObject({ crashes: 0, rounds: 2 })
      yield* manager.awaitIdle
    })
  )
})
