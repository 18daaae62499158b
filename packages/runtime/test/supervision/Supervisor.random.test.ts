/**
 * Supervisors under random sequences of what may happen to them, with real fibers under the test clock:
 * nobody lives twice, nobody lives on, the snapshot says what is so.
 */
import { assert, describe, it } from "@effect/vitest"
import * as CircuitBreaker from "@nerve/core/supervision/CircuitBreaker"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import type * as StateTree from "@nerve/core/supervision/StateTree"
import * as EffectWorker from "@nerve/runtime/supervision/EffectWorker"
import * as Supervisor from "@nerve/runtime/supervision/Supervisor"
import { Deferred, Effect, Fiber, References } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"

const settle = Effect.forEach(Array.from({ length: 40 }), () => Effect.yieldNow, { discard: true })

const ids = ["a", "b", "c", "d", "e"]

/** Who lives, by path; a test's hand on each. */
class World {
  readonly living = new Map<string, Deferred.Deferred<void, string>>()
  /** Of those removed and added anew the same id may live in turn, never at once. */
  readonly twice: Array<string> = []

  worker(path: string) {
    return EffectWorker.make(
      Effect.gen({ self: this }, function* () {
        if (this.living.has(path)) this.twice.push(path)
        const end = Deferred.makeUnsafe<void, string>()
        this.living.set(path, end)
        yield* Effect.addFinalizer(() => Effect.sync(() => this.living.delete(path)))
        yield* Deferred.await(end)
      })
    )
  }

  end(path: string, how: Effect.Effect<void, string>) {
    return Effect.sync(() => {
      const end = this.living.get(path)
      if (end !== undefined) Deferred.doneUnsafe(end, how)
    })
  }
}

const step = fc.oneof(
  fc.record({ what: fc.constantFrom("crash", "finish", "add", "remove"), who: fc.nat(ids.length) }),
  fc.record({ what: fc.constantFrom("suspend", "resume", "reset", "wait", "long wait"), who: fc.constant(0) })
)

const scenario = fc.record({
  strategy: fc.constantFrom<StateTree.Strategy>("one-for-one", "one-for-all", "rest-for-one"),
  restart: fc.constantFrom<StateTree.RestartMode>("always", "on-failure"),
  breaker: fc.boolean(),
  giveUpAfter: fc.constantFrom(2, 1000),
  steps: fc.array(step, { maxLength: 25 })
})

type Scenario = typeof scenario extends fc.Arbitrary<infer One> ? One : never

const runningIn = (tree: StateTree.StateTree, path = ""): ReadonlyArray<string> =>
  tree.children.flatMap((child) =>
    child.kind === "supervisor"
      ? runningIn(child, `${path}${child.id}/`)
      : child.state === "Running" || child.state === "Suspended"
        ? [`${path}${child.id}`]
        : []
  )

const play = Effect.fnUntraced(
  function* ({ breaker, giveUpAfter, restart, steps, strategy }: Scenario) {
    const world = new World()
    const respawn = RespawnPolicy.intensity({ max: giveUpAfter, within: "1 hour", delay: 10 })
    const inner = Supervisor.blueprint({
      intensity: { max: 2, within: "1 second" },
      respawn,
      children: [
        { id: "x", worker: world.worker("inner/x") },
        { id: "y", worker: world.worker("inner/y") }
      ]
    })
    const supervisor = yield* Supervisor.make({
      strategy,
      respawn,
      intensity: false,
      ...(breaker ? { breaker: CircuitBreaker.make({ max: 2, within: "1 second", cooldown: "10 seconds" }) } : {}),
      children: [
        { id: "a", worker: world.worker("a"), restart },
        { id: "inner", worker: inner, restart },
        { id: "b", worker: world.worker("b"), restart }
      ]
    })
    yield* supervisor.start
    const removals: Array<Fiber.Fiber<unknown, unknown>> = []

    for (const { what, who } of steps) {
      const id = ids[who] ?? "inner/x"
      switch (what) {
        case "crash":
          yield* world.end(id, Effect.fail("crash"))
          break
        case "finish":
          yield* world.end(id, Effect.void)
          break
        case "add":
          if (!id.includes("/")) yield* Effect.ignore(supervisor.add({ id, worker: world.worker(id), restart }))
          break
        case "remove":
          removals.push(yield* Effect.forkChild(Effect.ignore(supervisor.remove(id))))
          break
        case "suspend":
          yield* Effect.ignore(supervisor.suspend)
          break
        case "resume":
          yield* Effect.ignore(supervisor.resume)
          break
        case "reset":
          yield* supervisor.reset()
          break
        case "wait":
          yield* TestClock.adjust(10)
          break
        case "long wait":
          yield* TestClock.adjust("20 seconds")
      }
      yield* settle
      const suspended = (yield* supervisor.state) === "Suspended"
      const said = runningIn(yield* supervisor.snapshot)
      // A suspended Effect that was told to end does so when it goes on.
      if (!suspended) assert.sameMembers([...world.living.keys()], [...said])
    }

    yield* Effect.ignore(supervisor.resume)
    const exit = yield* supervisor.stop()
    assert.strictEqual(exit.outcome, "Stopped")
    yield* Fiber.awaitAll(removals)
    assert.deepStrictEqual([...world.living.keys()], [])
    assert.deepStrictEqual(world.twice, [])
    assert.deepStrictEqual(runningIn(yield* supervisor.snapshot), [])
  },
  Effect.scoped,
  Effect.provideService(References.MinimumLogLevel, "None")
)

describe("Supervisor, whatever happens", () => {
  it("nobody lives twice, nobody lives on, and the snapshot says who runs", () =>
    fc.assert(
      fc.asyncProperty(scenario, (one) => Effect.runPromise(Effect.provide(play(one), TestClock.layer()))),
      { numRuns: 500 }
    ))
})
