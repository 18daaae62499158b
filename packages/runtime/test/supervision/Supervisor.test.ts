/** Supervisor trees of Effects, under the test clock. */
import { assert, describe, it } from "@effect/vitest"
import * as CircuitBreaker from "@nerve/core/supervision/CircuitBreaker"
import * as Mermaid from "@nerve/core/supervision/Mermaid"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StateTree from "@nerve/core/supervision/StateTree"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as EffectWorker from "@nerve/runtime/supervision/EffectWorker"
import type * as Lifecycle from "@nerve/runtime/supervision/Lifecycle"
import * as Supervisor from "@nerve/runtime/supervision/Supervisor"
import { Context, Deferred, Effect, Fiber, Latch, Logger, Schedule, Schema, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

/** Lets what was forked run until it waits. */
const settle = Effect.forEach(Array.from({ length: 60 }), () => Effect.yieldNow, { discard: true })

/** Workers that do as the test says, and a record of what they did. */
class Troupe {
  readonly log: Array<string> = []
  readonly told: Array<Lifecycle.Handover> = []
  readonly #ends = new Map<string, Deferred.Deferred<void, string>>()

  worker(id: string, over: Partial<Supervisor.Child> = {}) {
    const life = Effect.gen({ self: this }, function* () {
      this.told.push(yield* EffectWorker.CurrentHandover)
      this.log.push(`+${id}`)
      yield* Effect.addFinalizer(() => Effect.sync(() => this.log.push(`-${id}`)))
      const end = Deferred.makeUnsafe<void, string>()
      this.#ends.set(id, end)
      yield* Deferred.await(end)
    })
    return { id, worker: EffectWorker.make(life), ...over } satisfies Supervisor.Child
  }

  readonly fail = (id: string) => this.#end(id, Effect.fail(`${id} crashed`))
  readonly finish = (id: string) => this.#end(id, Effect.void)

  #end(id: string, effect: Effect.Effect<void, string>) {
    return Effect.andThen(
      Effect.sync(() => {
        const end = this.#ends.get(id)
        if (end === undefined) throw new Error(`${id} does not live`)
        Deferred.doneUnsafe(end, effect)
      }),
      settle
    )
  }

  take(): string {
    return this.log.splice(0).join(" ")
  }
}

const started = Effect.fnUntraced(function* <const Children extends ReadonlyArray<Supervisor.Child<unknown>>>(
  options: Supervisor.Options<Children>
): Effect.fn.Return<
  Supervisor.Supervisor,
  Supervisor.DuplicateChild | Lifecycle.AlreadyStarted,
  Supervisor.RequirementsOf<Children> | Scope.Scope
> {
  const supervisor = yield* Supervisor.make(options)
  yield* supervisor.start
  yield* settle
  return supervisor
})

const after = (delay: number) => RespawnPolicy.spaced(delay)

const child = Effect.fnUntraced(function* (supervisor: Supervisor.Supervisor, ...path: ReadonlyArray<string>) {
  const node = StateTree.find(yield* supervisor.snapshot, path)
  if (node === undefined) return yield* Effect.die(new Error(`no ${path.join("/")}`))
  return node
})

describe("Supervisor", () => {
  it.effect("starts in order, stops in reverse order, and says so (L3)", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({ children: ["a", "b", "c"].map((id) => troupe.worker(id)) })
      assert.strictEqual(yield* supervisor.state, "Running")
      assert.strictEqual(troupe.take(), "+a +b +c")
      assert.deepInclude(yield* supervisor.stop(), { outcome: "Stopped", code: 0 })
      assert.strictEqual(troupe.take(), "-c -b -a")
      assert.strictEqual((yield* child(supervisor, "b")).state, "Stopped")
    })
  )

  it.effect("a child that crashes is started again after its policy's delay, the others go on", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({
        respawn: after(1000),
        children: ["a", "b"].map((id) => troupe.worker(id))
      })
      yield* troupe.fail("a")
      assert.deepInclude(yield* child(supervisor, "a"), { state: "Failed", plan: "delayed", crashes: 1 })
      yield* TestClock.adjust(999)
      yield* settle
      assert.strictEqual(troupe.take(), "+a +b -a")
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(troupe.take(), "+a")
      assert.deepInclude(yield* child(supervisor, "a"), { state: "Running", plan: "none", incarnation: 2 })
      assert.deepInclude(yield* child(supervisor, "b"), { state: "Running", incarnation: 1 })
    })
  )

  it.effect("hands over the same resume id and the true end of the incarnation before (L5)", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({ respawn: after(0), children: [troupe.worker("a")] })
      yield* troupe.fail("a")
      yield* troupe.finish("a")
      const [first, second, third] = troupe.told
      assert.isDefined(first)
      assert.deepInclude(first, { incarnation: 1, previousExit: null })
      assert.deepInclude(second, { incarnation: 2, previousExit: "1", resumeId: first?.resumeId })
      assert.deepInclude(third, { incarnation: 3, previousExit: "0", resumeId: first?.resumeId })
      assert.strictEqual((yield* child(supervisor, "a")).resumeId, first?.resumeId)
    })
  )

  it.effect("one-for-all: all are stopped in reverse order and start in order, after the culprit's backoff", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({
        strategy: "one-for-all",
        respawn: after(1000),
        children: ["a", "b", "c"].map((id) => troupe.worker(id))
      })
      troupe.take()
      yield* troupe.fail("b")
      assert.strictEqual(troupe.take(), "-b -c -a")
      assert.deepInclude(yield* child(supervisor, "a"), { state: "Stopped", plan: "queued" })
      yield* TestClock.adjust(999)
      assert.strictEqual(troupe.take(), "")
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(troupe.take(), "+a +b +c")
    })
  )

  it.effect("rest-for-one: those after the culprit share its fate", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      yield* started({
        strategy: "rest-for-one",
        respawn: after(0),
        children: ["a", "b", "c"].map((id) => troupe.worker(id))
      })
      troupe.take()
      yield* troupe.fail("b")
      assert.strictEqual(troupe.take(), "-b -c +b +c")
    })
  )

  it.effect("restart modes: never, on-failure, always", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({
        respawn: after(0),
        children: [
          troupe.worker("never", { restart: "never" }),
          troupe.worker("on-failure", { restart: "on-failure" }),
          troupe.worker("always", { restart: "always" })
        ]
      })
      troupe.take()
      yield* troupe.fail("never")
      yield* troupe.fail("on-failure")
      yield* troupe.finish("on-failure")
      yield* troupe.finish("always")
      assert.strictEqual(troupe.take(), "-never -on-failure +on-failure -on-failure -always +always")
      assert.strictEqual((yield* child(supervisor, "on-failure")).state, "Finished")
      assert.strictEqual(yield* supervisor.state, "Running")
    })
  )

  it.effect("a crash loop ends the supervisor, which is a crash to the one above it", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({
        id: "root",
        respawn: after(0),
        children: [
          troupe.worker("steady"),
          {
            id: "shaky",
            worker: Supervisor.blueprint({
              respawn: after(0),
              intensity: { max: 2, within: "1 second" },
              children: [troupe.worker("x"), troupe.worker("y")]
            })
          }
        ]
      })
      troupe.take()
      yield* troupe.fail("x")
      assert.strictEqual(troupe.take(), "-x +x")
      yield* troupe.fail("x")
      assert.strictEqual(troupe.take(), "-x -y +x +y")
      const shaky = yield* child(supervisor, "shaky")
      assert.deepInclude(shaky, { state: "Running", incarnation: 2, crashes: 1, strategy: "one-for-one" })
      assert.strictEqual((yield* child(supervisor, "shaky", "x")).incarnation, 1)
      const resumeIds = troupe.told.filter((told) => told.id === "x").map((told) => told.resumeId)
      assert.deepStrictEqual(resumeIds, [`${shaky.resumeId}/x`, `${shaky.resumeId}/x`, `${shaky.resumeId}/x`])
      assert.deepInclude(yield* supervisor.stop(), { outcome: "Stopped" })
      assert.strictEqual(troupe.take(), "-y -x -steady")
    })
  )

  it.effect("at the top, a crash loop is Failed with the reason, and nothing lives on", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({
        respawn: after(0),
        intensity: { max: 1, within: "1 second" },
        children: [troupe.worker("a"), troupe.worker("b")]
      })
      yield* troupe.fail("a")
      const exit = yield* supervisor.wait
      assert.deepInclude(exit, { outcome: "Failed", code: 1 })
      assert.include(exit.error, "1 crashes within 1000 ms, the last of a")
      assert.strictEqual(troupe.take(), "+a +b -a -b")
      assert.deepInclude(yield* Effect.flip(supervisor.add(troupe.worker("c"))), { _tag: "SupervisorOver" })
    })
  )

  it.effect("its window does not depend on the wall clock", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({
        respawn: after(0),
        intensity: { max: 3, within: "10 seconds" },
        children: [troupe.worker("a")]
      })
      yield* TestClock.adjust("1 hour")
      yield* troupe.fail("a")
      yield* troupe.fail("a")
      // The clock is set back by an hour; eleven seconds pass.
      yield* TestClock.setTime(0)
      yield* TestClock.adjust("11 seconds")
      yield* troupe.fail("a")
      assert.deepInclude(yield* child(supervisor, "a"), { state: "Running", incarnation: 4 })
    })
  )

  it.effect("a crash is logged with its reason and the delay, and so is a child that is given up", () => {
    const lines: Array<string> = []
    const logger = Logger.map(Logger.formatStructured, ({ annotations, message }) => {
      lines.push(`${String(message)} ${JSON.stringify(annotations)}`)
    })
    return Effect.gen(function* () {
      const troupe = new Troupe()
      const respawn = RespawnPolicy.intensity({ max: 2, within: "1 minute", delay: "1 second" })
      yield* started({ id: "top", children: [troupe.worker("a", { respawn })] })
      yield* troupe.fail("a")
      yield* TestClock.adjust("1 second")
      yield* troupe.fail("a")
      assert.deepStrictEqual(lines, [
        'child crashed {"supervisor":"top","child":"a","incarnation":1,"exit":"Error: a crashed","delayMs":1000}',
        'child given up {"supervisor":"top","child":"a","crashes":2,"exit":"Error: a crashed"}'
      ])
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
  })

  it.effect("unless told, a child comes back after 100 ms, doubling to 30 s, and anew after a minute up (L4)", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      yield* started({ intensity: false, children: [troupe.worker("a")] })
      /** It is down before `from`, and up by `to`: there is a jitter of a fifth. */
      const comesBack = Effect.fnUntraced(function* (from: number, to: number) {
        troupe.take()
        yield* troupe.fail("a")
        yield* TestClock.adjust(from - 1)
        yield* settle
        assert.strictEqual(troupe.take(), "-a", `before ${from} ms`)
        yield* TestClock.adjust(to - from + 1)
        yield* settle
        assert.strictEqual(troupe.take(), "+a", `by ${to} ms`)
      })
      for (let delay = 100; delay <= 12_800; delay *= 2) yield* comesBack(delay * 0.8, delay * 1.2)
      yield* comesBack(20_480, 30_000)
      for (let i = 0; i < 3; i++) yield* comesBack(30_000, 30_000)
      yield* TestClock.adjust("1 minute")
      yield* comesBack(80, 120)
    })
  )

  it.effect("unless told, the tenth crash in a minute ends it; with a breaker, that is its bound instead", () =>
    Effect.gen(function* () {
      const breaker = CircuitBreaker.make({ max: 100, within: "1 minute", cooldown: "1 minute" })
      for (const options of [{}, { breaker }]) {
        const troupe = new Troupe()
        const supervisor = yield* started({ respawn: after(0), children: [troupe.worker("a")], ...options })
        for (let i = 0; i < 9; i++) yield* troupe.fail("a")
        assert.strictEqual(yield* supervisor.state, "Running")
        yield* TestClock.adjust("59 seconds")
        yield* troupe.fail("a")
        assert.strictEqual(yield* supervisor.state, "breaker" in options ? "Running" : "Failed")
      }
    })
  )

  it.effect("a child whose policy ends is given up and comes back by reset", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({
        children: [troupe.worker("a", { respawn: RespawnPolicy.never }), troupe.worker("b")]
      })
      yield* troupe.fail("a")
      assert.deepInclude(yield* child(supervisor, "a"), { state: "Failed", plan: "given-up" })
      yield* supervisor.reset("a")
      yield* settle
      assert.deepInclude(yield* child(supervisor, "a"), { state: "Running", plan: "none", crashes: 0, incarnation: 2 })
      assert.deepInclude(yield* Effect.flip(supervisor.reset("z")), { _tag: "UnknownChild" })
    })
  )

  it.effect("breaker: opens at the limit, tries one after the cooldown, closes when that stays up (L4)", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({
        respawn: after(0),
        breaker: CircuitBreaker.make({ max: 2, within: "10 seconds", cooldown: "1 minute", trial: "5 seconds" }),
        children: [troupe.worker("a"), troupe.worker("b")]
      })
      assert.strictEqual((yield* supervisor.snapshot).breaker, "closed")
      yield* troupe.fail("a")
      yield* troupe.fail("a")
      yield* troupe.fail("b")
      troupe.take()
      assert.strictEqual((yield* supervisor.snapshot).breaker, "open")
      assert.deepInclude(yield* child(supervisor, "a"), { state: "Failed", plan: "held" })
      yield* TestClock.adjust("1 minute")
      yield* settle
      assert.strictEqual(troupe.take(), "+a")
      assert.strictEqual((yield* supervisor.snapshot).breaker, "half-open")
      yield* TestClock.adjust("5 seconds")
      yield* settle
      assert.strictEqual(troupe.take(), "+b")
      assert.strictEqual((yield* supervisor.snapshot).breaker, "closed")
    })
  )

  it.effect("breaker: a reset by hand closes it at once", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({
        strategy: "one-for-all",
        respawn: after(0),
        breaker: CircuitBreaker.make({ max: 1, within: "10 seconds", cooldown: "1 hour" }),
        children: [troupe.worker("a"), troupe.worker("b")]
      })
      yield* troupe.fail("a")
      assert.strictEqual(troupe.take(), "+a +b -a -b")
      yield* supervisor.reset()
      yield* settle
      assert.strictEqual(troupe.take(), "+a +b")
    })
  )

  it.effect(
    "add starts a child, a duplicate is an error; remove stops it and forgets its resume id, unknown is an error",
    () =>
      Effect.gen(function* () {
        const troupe = new Troupe()
        const supervisor = yield* started({ children: [troupe.worker("a")] })
        yield* supervisor.add(troupe.worker("b"))
        yield* settle
        assert.strictEqual(troupe.take(), "+a +b")
        assert.deepInclude(yield* Effect.flip(supervisor.add(troupe.worker("b"))), { _tag: "DuplicateChild", id: "b" })
        const before = (yield* child(supervisor, "b")).resumeId
        yield* supervisor.remove("b")
        assert.strictEqual(troupe.take(), "-b")
        assert.deepStrictEqual(
          (yield* supervisor.snapshot).children.map((one) => one.id),
          ["a"]
        )
        const unknown = yield* Effect.flip(supervisor.remove("b"))
        assert.strictEqual(unknown.message, `no child "b"; there are: a`)
        yield* supervisor.add(troupe.worker("b"))
        yield* settle
        assert.notStrictEqual((yield* child(supervisor, "b")).resumeId, before)
        assert.deepInclude(yield* child(supervisor, "b"), { incarnation: 1, crashes: 0 })
      })
  )

  it.effect("two removes of one child both wait for its end, and one during its backoff takes effect at once", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const gate = Latch.makeUnsafe(false)
      const slow = EffectWorker.make(
        Effect.acquireRelease(Effect.void, () => gate.await).pipe(Effect.andThen(Effect.never))
      )
      const supervisor = yield* started({
        children: [{ id: "slow", worker: slow }, troupe.worker("a", { respawn: after(1e9) })]
      })
      const removing = yield* Effect.forEach([1, 2], () => Effect.forkChild(supervisor.remove("slow")))
      yield* settle
      assert.strictEqual((yield* child(supervisor, "slow")).state, "Stopping")
      gate.openUnsafe()
      yield* Fiber.joinAll(removing)
      yield* troupe.fail("a")
      yield* supervisor.remove("a")
      assert.deepStrictEqual((yield* supervisor.snapshot).children, [])
    })
  )

  for (const [what, end] of [
    ["removed", (supervisor: Supervisor.Supervisor) => supervisor.remove("a")],
    ["stopped with all", (supervisor: Supervisor.Supervisor) => supervisor.stop()]
  ] as const) {
    it.effect(`a policy that takes its time is asked no longer when its child is ${what}`, () =>
      Effect.gen(function* () {
        const log: Array<string> = []
        const asking = Effect.andThen(
          Effect.sync(() => log.push("asked")),
          Effect.onInterrupt(Effect.never, () => Effect.sync(() => log.push("interrupted")))
        )
        const troupe = new Troupe()
        const supervisor = yield* started({
          respawn: Schedule.fromStep(Effect.succeed(() => asking)),
          children: [troupe.worker("a")]
        })
        yield* troupe.fail("a")
        yield* end(supervisor)
        yield* settle
        assert.deepStrictEqual(log, ["asked", "interrupted"])
      })
    )
  }

  it.effect("a remove with bounds of its own goes by them", () =>
    Effect.gen(function* () {
      const stop = StopPolicy.make({ polite: "1 hour", term: "1 hour" })
      const stubborn = EffectWorker.make(Effect.uninterruptible(Effect.never))
      const supervisor = yield* started({ children: [{ id: "a", worker: stubborn, stop }] })
      const removing = yield* Effect.forkChild(supervisor.remove("a", StopPolicy.kill))
      yield* settle
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(removing)
      assert.deepStrictEqual((yield* supervisor.snapshot).children, [])
    })
  )

  it.effect("duplicate ids are an error when it is made; as a child, it fails with that", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const children = [troupe.worker("a"), troupe.worker("a")]
      assert.deepInclude(yield* Effect.flip(Supervisor.make({ children })), { _tag: "DuplicateChild", id: "a" })
      const supervisor = yield* started({
        children: [{ id: "twins", worker: Supervisor.blueprint({ children }), restart: "never" }]
      })
      assert.include((yield* child(supervisor, "twins")).exit?.error, "already")
    })
  )

  it.effect(
    "children are suspended last first and resumed first first, past those that cannot, all reported (L8)",
    () =>
      Effect.gen(function* () {
        const log: Array<string> = []
        const recorded = (id: string, can: boolean): Supervisor.Child => ({
          id,
          worker: {
            kind: "thread",
            metadata: {},
            life: (port) =>
              Effect.suspend(() => {
                const note = (what: string) =>
                  Effect.sync(() => {
                    log.push(`${what} ${id}`)
                    return { taken: true, failures: [] }
                  })
                port.attach(can ? { suspend: note("suspend"), resume: note("resume") } : {})
                port.started()
                return Effect.never
              })
          }
        })
        const supervisor = yield* started({
          id: "root",
          children: [
            recorded("a", true),
            { id: "inner", worker: Supervisor.blueprint({ children: [recorded("x", true), recorded("y", false)] }) },
            recorded("b", false),
            recorded("c", true)
          ]
        })
        const error = yield* Effect.flip(supervisor.suspend)
        assert.deepStrictEqual(log.splice(0), ["suspend c", "suspend x", "suspend a"])
        assert.deepStrictEqual(error.failures, [
          { path: ["root", "b"], reason: "a thread cannot be suspended" },
          { path: ["root", "inner", "y"], reason: "a thread cannot be suspended" }
        ])
        assert.include(error.message, "root/inner/y: a thread cannot be suspended")
        assert.strictEqual(yield* supervisor.state, "Suspended")
        assert.strictEqual((yield* child(supervisor, "inner")).state, "Suspended")
        yield* supervisor.resume
        assert.deepStrictEqual(log, ["resume a", "resume x", "resume c"])
        assert.strictEqual(yield* supervisor.state, "Running")
      })
  )

  it.effect("suspended, it starts nothing that crashes or is added; resumed, it does", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({ respawn: after(0), children: [troupe.worker("a"), troupe.worker("b")] })
      yield* supervisor.suspend
      troupe.take()
      yield* supervisor.add(troupe.worker("c"))
      yield* settle
      assert.strictEqual(troupe.take(), "")
      yield* supervisor.resume
      yield* settle
      assert.strictEqual(troupe.take(), "+c")
    })
  )

  it.effect("a child that was on its way when all were suspended is suspended as soon as it runs", () =>
    Effect.gen(function* () {
      const ports: Array<Lifecycle.Port> = []
      const slow: Lifecycle.Blueprint = {
        kind: "process",
        metadata: {},
        life: (port) =>
          Effect.suspend(() => {
            const control = Effect.succeed({ taken: true, failures: [] })
            port.attach({ suspend: control, resume: control })
            ports.push(port)
            return Effect.never
          })
      }
      const troupe = new Troupe()
      const supervisor = yield* started({ children: [troupe.worker("a")] })
      yield* supervisor.add({ id: "slow", worker: slow })
      yield* settle
      yield* supervisor.suspend
      assert.strictEqual((yield* child(supervisor, "slow")).state, "Starting")
      ports[0]?.started()
      yield* settle
      assert.strictEqual((yield* child(supervisor, "slow")).state, "Suspended")
      yield* supervisor.resume
      assert.strictEqual((yield* child(supervisor, "slow")).state, "Running")
    })
  )

  it.effect("a suspended tree can be stopped", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({
        children: [
          troupe.worker("a"),
          { id: "inner", worker: Supervisor.blueprint({ children: [troupe.worker("x")] }) }
        ]
      })
      yield* supervisor.suspend
      assert.deepInclude(yield* supervisor.stop(), { outcome: "Stopped" })
      assert.strictEqual(troupe.take(), "+a +x -x -a")
    })
  )

  it.effect("each child is stopped within its own bounds; a policy given with the stop holds for all", () =>
    Effect.gen(function* () {
      const stubborn = EffectWorker.make(Effect.uninterruptible(Effect.never))
      const bounds = StopPolicy.make({ polite: "1 second", term: "1 second" })
      const supervisor = yield* started({
        children: [
          { id: "a", worker: stubborn, stop: bounds },
          { id: "b", worker: stubborn, stop: bounds }
        ]
      })
      const stopping = yield* Effect.forkChild(supervisor.stop())
      yield* settle
      yield* TestClock.adjust("7 seconds")
      yield* settle
      assert.strictEqual((yield* child(supervisor, "b")).state, "Killed")
      assert.strictEqual((yield* child(supervisor, "a")).state, "Stopping")
      const harder = yield* Effect.forkChild(supervisor.stop(StopPolicy.kill))
      yield* settle
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(yield* Fiber.join(harder), { outcome: "Killed" })
      assert.deepInclude(yield* Fiber.join(stopping), { outcome: "Killed" })
    })
  )

  it.effect("closing its scope stops all children", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      yield* Effect.scoped(started({ children: [troupe.worker("a"), troupe.worker("b")] }))
      assert.strictEqual(troupe.take(), "+a +b -b -a")
    })
  )

  it.effect("changes tell of the whole tree, nested children too, none twice, and end with it (L7)", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({
        children: [
          { id: "inner", worker: Supervisor.blueprint({ respawn: after(1000), children: [troupe.worker("x")] }) }
        ]
      })
      const seen: Array<StateTree.StateTree> = []
      const watching = yield* supervisor.changes.pipe(
        Stream.runForEach((tree) => Effect.sync(() => seen.push(tree))),
        Effect.forkChild
      )
      yield* settle
      yield* troupe.fail("x")
      yield* supervisor.stop()
      yield* Fiber.join(watching)
      const states = seen.map((tree) => {
        const x = StateTree.find(tree, ["inner", "x"])
        return `${tree.state} ${x?.state} ${x?.plan}`
      })
      assert.strictEqual(states[0], "Running Running none")
      assert.include(states, "Running Failed delayed")
      assert.strictEqual(states.at(-1), "Stopped Failed none")
      for (const [i, tree] of seen.entries()) {
        const before = seen[i - 1]
        if (before !== undefined) assert.isFalse(StateTree.same(before, tree))
      }
    })
  )

  it.effect("a reader that does not read holds up nobody and misses only what lies between", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({ respawn: after(0), intensity: false, children: [troupe.worker("a")] })
      const gate = Latch.makeUnsafe(false)
      const seen: Array<number> = []
      const watching = yield* supervisor.changes.pipe(
        Stream.runForEach((tree) => {
          seen.push(tree.children[0]?.crashes ?? -1)
          return gate.await
        }),
        Effect.forkChild
      )
      yield* settle
      for (let i = 0; i < 50; i++) yield* troupe.fail("a")
      gate.openUnsafe()
      yield* supervisor.stop()
      yield* Fiber.join(watching)
      assert.strictEqual(seen[0], 0)
      assert.isBelow(seen.length, 8)
      assert.strictEqual(seen.at(-1), 50)
    })
  )

  it.effect("the snapshot is a value: JSON and Mermaid come of it", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const supervisor = yield* started({
        id: "root",
        metadata: { version: "1" },
        children: [
          troupe.worker("a"),
          { id: "inner", worker: Supervisor.blueprint({ children: [troupe.worker("x")] }) }
        ]
      })
      const tree = yield* supervisor.snapshot
      const json = yield* Schema.encodeEffect(StateTree.StateTreeJson)(tree)
      assert.deepStrictEqual(yield* Schema.decodeEffect(StateTree.StateTreeJson)(json), tree)
      assert.include(Mermaid.tree(tree), `n[["root<br/>supervisor one-for-one<br/>Running<br/>version: 1"]]:::Running`)
      assert.strictEqual(yield* supervisor.snapshot, tree)
    })
  )

  it.effect("children require services; the supervisor requires them all together", () =>
    Effect.gen(function* () {
      class Name extends Context.Service<Name, string>()("test/Name") {}
      class Age extends Context.Service<Age, number>()("test/Age") {}
      const seen: Array<string | number> = []
      const note = (value: string | number) => Effect.sync(() => void seen.push(value))
      const program: Effect.Effect<void, unknown, Name | Age> = Effect.scoped(
        Effect.gen(function* () {
          const supervisor = yield* started({
            children: [
              { id: "name", worker: EffectWorker.make(Effect.flatMap(Name, note)), restart: "never" },
              {
                id: "inner",
                worker: Supervisor.blueprint({
                  children: [{ id: "age", worker: EffectWorker.make(Effect.flatMap(Age, note)), restart: "never" }]
                })
              }
            ]
          })
          yield* supervisor.add({ id: "again", worker: EffectWorker.make(Effect.flatMap(Age, note)), restart: "never" })
          yield* settle
        })
      )
      yield* program.pipe(Effect.provideService(Name, "Ada"), Effect.provideService(Age, 36))
      assert.deepStrictEqual(seen, ["Ada", 36, 36])
    })
  )

  it.effect("a thousand children start in order and stop in reverse order", () =>
    Effect.gen(function* () {
      const troupe = new Troupe()
      const ids = Array.from({ length: 1000 }, (_, i) => `w${i}`)
      const supervisor = yield* Supervisor.make({ children: ids.map((id) => troupe.worker(id)) })
      yield* supervisor.start
      yield* supervisor.changes.pipe(
        Stream.takeUntil((tree) => tree.state === "Running"),
        Stream.runDrain
      )
      assert.strictEqual(troupe.take(), ids.map((id) => `+${id}`).join(" "))
      yield* supervisor.stop()
      assert.strictEqual(
        troupe.take(),
        ids
          .toReversed()
          .map((id) => `-${id}`)
          .join(" ")
      )
    })
  )
})
