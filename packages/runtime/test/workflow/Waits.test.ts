/**
 * Threads that wait: for an answer, a time, a child. They hold no slot meanwhile, and the wait and its
 * end survive any daemon.
 */
import { describe, expect, it } from "@effect/vitest"
import { ThreadId } from "@nerve/core/domain/Ids"
import { AnswerRefused, type RoundOutcome, type WaitRequest } from "@nerve/core/wire/WorkflowRpcs"
import * as RunLog from "@nerve/runtime/workflow/RunLog"
import { Effect, Fiber, Result } from "effect"
import { TestClock } from "effect/testing"
import * as World from "./World.ts"
import { configOf, over, speaks, spoke } from "./World.ts"

const waits = (request: WaitRequest): RoundOutcome => ({ _tag: "Waits", role: "gate", request })

const approval = (over: Partial<Extract<WaitRequest, { _tag: "Approval" }>> = {}): WaitRequest => ({
  _tag: "Approval",
  question: "Deploy?",
  schema: null,
  timeoutMs: null,
  ...over
})

/** Speaks, waits in its second round, speaks again, ends. Those whose prompt is `plain` speak once. */
const waiting =
  (request: WaitRequest): World.Script =>
  ({ start, steps }) => {
    if (start.prompt.startsWith("plain")) return Effect.succeed(steps.length === 0 ? spoke("plain") : over)
    return Effect.succeed(steps.length === 1 ? waits(request) : steps.length < 3 ? spoke(`${steps.length + 1}`) : over)
  }

/** A daemon with a thread that waits in its second round. */
const waitsFor = Effect.fnUntraced(function* (request: WaitRequest) {
  const world = yield* World.make
  world.script = waiting(request)
  const daemon = yield* world.daemon(configOf({}))
  const id = yield* daemon.trigger("a")
  const entry = yield* world.logged(id, "waiting")
  return { world, ...daemon, id, entry }
})

const approve = (threadId: ThreadId, answer?: string) =>
  ({ threadId, decision: "approved", by: "anna", reason: "fine", ...(answer === undefined ? {} : { answer }) }) as const

describe("a thread that waits for an answer", () => {
  it.effect("gives its slot to the next, and goes on with the answer as its round", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      world.script = waiting(approval())
      const { manager, trigger } = yield* world.daemon(configOf({}))
      const id = yield* trigger("a")
      const plain = yield* trigger("plain")
      yield* world.logged(id, "waiting")
      yield* world.logged(plain, "completed")
      // Nothing is left to do by itself.
      yield* manager.awaitIdle
      const [view] = yield* manager.views
      expect(view).toMatchObject({ active: 0, queued: 0, waiting: 1 })
      expect(yield* world.store.run(id)).toMatchObject({ status: "started", phase: "waiting", wait: { role: "gate" } })

      yield* manager.control.answer(approve(id))
      yield* world.logged(id, "completed")
      const [, answered] = yield* world.store.messages(id)
      expect(answered).toMatchObject({
        role: "gate",
        content: "approved by anna: fine",
        meta: { decision: "approved", by: "anna", reason: "fine", answer: null }
      })
      expect(yield* world.entries(id)).toEqual([
        "started",
        "message 1",
        "waiting",
        "message 2",
        "started",
        "message 3",
        "completed"
      ])
      const again = yield* Effect.flip(manager.control.answer(approve(id)))
      expect(again.message).toContain("it has ended already (completed)")
    })
  )

  it.effect("is checked by the workflow's own Schema before anything is recorded", () =>
    Effect.gen(function* () {
      const { id, manager, world } = yield* waitsFor(approval({ schema: { type: "number" } }))
      world.check = ({ answer, role }) =>
        answer === "good"
          ? Effect.succeed("decoded")
          : Effect.fail(new AnswerRefused({ role, path: "answer", issue: "Expected good" }))
      const refused = yield* Effect.flip(manager.control.answer(approve(id, "bad")))
      expect(refused.message).toBe("the answer does not fit what gate asks for: answer: Expected good")
      expect(yield* world.store.run(id)).toMatchObject({ phase: "waiting" })
      yield* manager.control.answer(approve(id, "good"))
      const done = yield* world.logged(id, "message", 2)
      expect(done.payload).toMatchObject({ meta: { answer: "decoded" } })
    })
  )

  it.effect("is answered once, however many answer at the same time", () =>
    Effect.gen(function* () {
      const { id, manager, world } = yield* waitsFor(approval())
      const answers = yield* Effect.forEach(
        ["x", "y", "z"],
        (by) => Effect.result(manager.control.answer({ ...approve(id), by })),
        { concurrency: "unbounded" }
      )
      expect(answers.filter(Result.isSuccess).length).toBe(1)
      yield* world.logged(id, "completed")
      expect((yield* world.store.messages(id)).length).toBe(3)
    })
  )

  it.effect("counts as timed out when its time is over, also when a daemon died meanwhile", () =>
    Effect.gen(function* () {
      const { die, id, world } = yield* waitsFor(approval({ timeoutMs: 3_600_000 }))
      yield* TestClock.adjust("59 minutes")
      yield* die
      yield* world.daemon(configOf({}))
      expect(yield* world.store.run(id)).toMatchObject({ phase: "waiting" })
      yield* TestClock.adjust("1 minute")
      const answered = yield* world.logged(id, "message", 2)
      expect(answered.payload).toMatchObject({ meta: { decision: "timed-out" } })
      yield* world.logged(id, "completed")
    })
  )

  it.effect("can be killed while it waits, and holds still when it is paused as well", () =>
    Effect.gen(function* () {
      const { id: killed, manager, trigger, world } = yield* waitsFor(approval())
      expect(yield* manager.kill(killed)).toBe(true)
      expect(yield* world.run(killed)).toMatchObject({ status: "killed", exitCode: 137 })

      const id = yield* trigger("b")
      yield* world.logged(id, "waiting")
      yield* manager.control.pause(id, "lunch")
      yield* manager.control.answer(approve(id))
      expect(yield* world.store.run(id)).toMatchObject({ phase: "paused", wait: null, rounds: 2 })
      yield* manager.control.resume(id, false)
      yield* world.logged(id, "completed")
    })
  )

  it.effect("comes back before those that never had a slot, also across a restart", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const gate = World.makeGate()
      const wait = waiting(approval())
      world.script = (round) =>
        round.start.prompt === "plain holds" && round.steps.length === 0
          ? Effect.as(gate.wait, spoke("held"))
          : wait(round)
      const first = yield* world.daemon(configOf({}))
      const id = yield* first.trigger("a")
      yield* world.logged(id, "waiting")
      yield* first.trigger("plain holds")
      yield* gate.reached
      const later = yield* first.trigger("plain later")
      yield* first.manager.control.answer(approve(id))
      expect(yield* world.store.run(id)).toMatchObject({ status: "queued", place: { returning: true } })
      expect((yield* first.manager.control.explain(later)).lines[0]).toBe("queued behind 1 thread: 1 of 1 slot taken")
      yield* first.die
      yield* world.daemon(configOf({}))
      yield* gate.open
      yield* world.logged(later, "completed")
      const starts = world.trace.filter((line) => line === "started a" || line === "started plain later")
      expect(starts).toEqual(["started a", "started a", "started plain later"])
    })
  )
})

describe("a thread that sleeps", () => {
  it.effect("goes on when its time has come, whatever daemon is there", () =>
    Effect.gen(function* () {
      const { die, entry, id, world } = yield* waitsFor({ _tag: "Sleep", durationMs: 86_400_000, until: null })
      expect(entry.payload).toMatchObject({ wait: { _tag: "Sleep", until: 86_400_000 } })
      yield* die
      yield* TestClock.adjust("23 hours")
      const second = yield* world.daemon(configOf({}))
      expect((yield* second.manager.control.explain(id)).lines[0]).toBe("sleeps (gate), goes on in 1h")
      yield* TestClock.adjust("1 hour")
      yield* world.logged(id, "completed")
    })
  )

  it.effect("that should have gone on while no daemon ran goes on at the next start", () =>
    Effect.gen(function* () {
      const { die, id, world } = yield* waitsFor({ _tag: "Sleep", durationMs: 1000, until: null })
      yield* die
      yield* TestClock.adjust("1 hour")
      yield* world.daemon(configOf({}))
      yield* world.logged(id, "completed")
    })
  )
})

describe("a thread that waits for a child", () => {
  const parenting: World.Script = ({ start, steps }) =>
    start.prompt.startsWith("child")
      ? speaks(2)({ workflow: "talk", incarnation: 1, start, steps })
      : Effect.succeed(
          steps.length === 0
            ? waits({ _tag: "Child", workflow: "talk", prompt: `child of ${start.prompt}`, maxRounds: null })
            : over
        )

  const childOf = (world: World.World, parent: string) =>
    Effect.map(Effect.orDie(world.store.runs({ key: `child:${parent}:1` })), (runs) =>
      runs.map(({ threadId }) => threadId)
    )

  /** A daemon with a parent whose child is held at the gate in this round. */
  const heldIn = Effect.fnUntraced(function* (round: number) {
    const world = yield* World.make
    const gate = World.makeGate()
    world.script = (asked) =>
      asked.start.prompt.startsWith("child") && asked.steps.length === round - 1
        ? Effect.as(gate.wait, spoke(`round ${round}`))
        : parenting(asked)
    const daemon = yield* world.daemon(configOf({}))
    const id = yield* daemon.trigger("p")
    yield* gate.reached
    const [child = ThreadId.make("none")] = yield* childOf(world, id)
    return { world, gate, ...daemon, id, child }
  })

  it.effect("starts it once, needs no slot for itself, and has its result as its round", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      world.script = parenting
      const { trigger } = yield* world.daemon(configOf({}))
      const id = yield* trigger("p")
      yield* world.logged(id, "completed")
      const [child] = yield* childOf(world, id)
      expect(yield* world.store.run(child ?? "")).toMatchObject({ status: "completed", parent: id })
      const [message] = yield* world.store.messages(id)
      expect(message).toMatchObject({
        content: "child of p 2",
        meta: { threadId: child, status: "completed", exitCode: 0 }
      })
    })
  )

  it.effect("starts it once, whenever daemons die", () =>
    Effect.gen(function* () {
      const { die, gate, id, world } = yield* heldIn(2)
      yield* die
      const second = yield* world.daemon(configOf({}))
      yield* second.die
      yield* world.daemon(configOf({}))
      yield* gate.open
      yield* world.logged(id, "completed")
      expect((yield* childOf(world, id)).length).toBe(1)
    })
  )

  it.effect("that was left behind by a daemon that died is ended by the next", () =>
    Effect.gen(function* () {
      const { child, die, id, world } = yield* heldIn(1)
      yield* die
      // As if the daemon had died between the two ends.
      yield* world.store.append(RunLog.ended(id, "killed", 137, "killed on request"))
      const second = yield* world.daemon(configOf({}))
      yield* second.manager.awaitIdle
      expect(yield* world.run(child)).toMatchObject({ status: "killed" })
    })
  )

  it.effect("takes it along when it is cancelled", () =>
    Effect.gen(function* () {
      const { child, id, manager, world } = yield* heldIn(1)
      expect(yield* manager.cancel(id, "not needed")).toBe(true)
      yield* world.logged(child, "killed")
      expect(yield* world.run(id)).toMatchObject({ status: "interrupted", reason: "cancelled: not needed" })
      expect(yield* world.run(child)).toMatchObject({ reason: `the thread that waited for it (${id}) was ended` })
    })
  )

  it.effect("that was ended with its parent goes on when the parent is retried", () =>
    Effect.gen(function* () {
      const { child, gate, id, manager, world } = yield* heldIn(2)
      yield* manager.kill(id)
      yield* world.logged(child, "killed")
      yield* gate.open
      yield* manager.control.retry(id)
      yield* world.logged(id, "completed")
      expect(yield* childOf(world, id)).toEqual([child])
      expect(yield* world.run(child)).toMatchObject({ status: "completed", rounds: 2 })
      const [message] = yield* world.store.messages(id)
      expect(message).toMatchObject({ content: "round 2", meta: { threadId: child, status: "completed" } })
    })
  )

  it.effect("cannot be nested without end: a workflow that starts itself fails, level by level", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      world.script = ({ steps }) =>
        Effect.succeed(
          steps.length === 0 ? waits({ _tag: "Child", workflow: "talk", prompt: "again", maxRounds: null }) : over
        )
      const { manager, trigger } = yield* world.daemon(configOf({}))
      const id = yield* trigger("again")
      yield* world.logged(id, "completed")
      yield* manager.awaitIdle
      const runs = yield* world.store.runs({})
      expect(runs.length).toBe(16)
      expect(runs.filter(({ status }) => status !== "completed")).toMatchObject([
        { status: "failed", exitCode: 1, reason: expect.stringContaining("nested 16 deep, which is the most") }
      ])
    })
  )

  it.effect("fails when there is no such workflow", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      world.script = () => Effect.succeed(waits({ _tag: "Child", workflow: "nope", prompt: "x", maxRounds: null }))
      const { manager, trigger } = yield* world.daemon(configOf({}))
      const id = yield* trigger("p")
      const waited = yield* Effect.forkChild(manager.ended(id))
      yield* world.logged(id, "failed")
      expect((yield* world.run(id)).reason).toContain('role gate: no workflow "nope" in nerve.yaml')
      expect(yield* Fiber.join(waited)).toMatchObject({ status: "failed" })
    })
  )
})
