/**
 * What a supervisor decides: order and incarnations, and whatever happens. By example for each concern in
 * `internal/`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as CircuitBreaker from "@nerve/core/supervision/CircuitBreaker"
import type { RestartMode, Strategy } from "@nerve/core/supervision/StateTree"
import * as SupervisorState from "@nerve/core/supervision/SupervisorState"
import * as fc from "fast-check"
import { always, failed, finished, running, settle, stopped, World } from "./supervisorWorld.ts"

describe("SupervisorMachine", () => {
  it("starts in order, each when the one before runs, and stops in reverse order (L3)", () => {
    const world = new World({}, always).input({ _tag: "StartAsked" })
    expect(world.take()).toEqual(["Spawn a"])
    expect(world.started("a").take()).toEqual(["Spawn b"])
    expect(world.started("b").take()).toEqual(["Spawn c"])
    expect(world.started("c").take()).toEqual(["RoundDone"])
    expect(world.input({ _tag: "StopAsked" }).take()).toEqual(["StopChild c"])
    expect(world.exits("c", stopped).take()).toEqual(["StopChild b"])
    expect(world.exits("b", stopped).take()).toEqual(["StopChild a"])
    expect(world.exits("a", stopped).take()).toEqual(["Done"])
  })

  it("what a dead incarnation says changes nothing", () => {
    const world = running({})
    world.exits("a", failed).respawns().take()
    const { machine } = world
    world.input({ _tag: "Exited", id: "a", incarnation: 1, now: 0, exit: failed })
    world.input({ _tag: "Started", id: "a", incarnation: 1, now: 0 })
    world.input({ _tag: "DelayOver", id: "a", incarnation: 1 })
    expect(world.machine.children).toBe(machine.children)
    expect(world.take()).toEqual([])
  })
})

// --- random sequences ------------------------------------------------------------------------------

type Step =
  | { readonly what: "start" | "stop" | "suspend" | "resume" | "reset" | "elapse" }
  | { readonly what: "crash" | "finish" | "started" | "exit" | "add" | "remove" | "delayOver"; readonly who: number }
  | { readonly what: "policy"; readonly giveUp: boolean }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Step>({ what: "stop" }) },
  {
    weight: 6,
    arbitrary: fc.constantFrom<Step>({ what: "suspend" }, { what: "resume" }, { what: "reset" }, { what: "elapse" })
  },
  {
    weight: 30,
    arbitrary: fc.record({
      what: fc.constantFrom("crash", "finish", "started", "exit", "add", "remove", "delayOver"),
      who: fc.nat(6)
    })
  },
  { weight: 8, arbitrary: fc.record({ what: fc.constant("policy"), giveUp: fc.boolean() }) }
)

const ids = ["a", "b", "c", "d", "e", "f", "g"]

const at = <A>(values: Iterable<A>, index: number): A | undefined => {
  const all = [...values]
  return all[index % Math.max(1, all.length)]
}

const perform = (world: World, one: Step): void => {
  world.now += 10
  switch (one.what) {
    case "start":
      return void world.input({ _tag: "StartAsked" })
    case "stop":
      return void world.input({ _tag: "StopAsked" })
    case "suspend":
      return void world.input({ _tag: "SuspendAsked" })
    case "resume":
      return void world.input({ _tag: "ResumeAsked" })
    case "reset":
      return void world.input({ _tag: "ResetAsked", id: null })
    case "elapse":
      return void (world.timer && world.elapsed(100_000))
    case "policy":
      if (world.policies.length > 0) {
        if (one.giveUp) world.givesUp()
        else
          world.input({ _tag: "RespawnDecided", ...(world.policies.shift() ?? { id: "", incarnation: 0 }), delayMs: 1 })
      }
      return
    case "add": {
      const id = ids[one.who] ?? "a"
      if (SupervisorState.childOf(world.machine, id) !== undefined) return
      return void world.input({
        _tag: "AddAsked",
        child: { id, restart: at(["always", "on-failure", "never"] as const, one.who) ?? "always" }
      })
    }
    case "remove":
      return void world.input({ _tag: "RemoveAsked", id: ids[one.who] ?? "a" })
    case "delayOver":
      return void world.delayOver(at(world.delays.keys(), one.who) ?? "")
    default: {
      const id = at(world.living.keys(), one.who)
      if (id === undefined) return
      if (one.what === "started") return void world.started(id)
      const asked = world.living.get(id)?.stopping === true
      world.exits(id, asked ? stopped : one.what === "finish" ? finished : failed)
    }
  }
}

const scenario = fc.record({
  strategy: fc.constantFrom<Strategy>("one-for-one", "one-for-all", "rest-for-one"),
  restarts: fc.array(fc.constantFrom<RestartMode>("always", "on-failure", "never"), { maxLength: 5 }),
  withIntensity: fc.boolean(),
  withBreaker: fc.boolean(),
  steps: fc.array(step, { maxLength: 60 })
})

describe("SupervisorMachine, whatever happens", () => {
  it("spawns nothing that lives, stops nothing that does not, leaves nobody waiting for ever, and ends when told to", () => {
    fc.assert(
      fc.property(scenario, ({ restarts, steps, strategy, withBreaker, withIntensity }) => {
        const world = new World(
          {
            strategy,
            intensity: withIntensity ? { max: 4, withinMs: 100 } : null,
            breaker: withBreaker ? CircuitBreaker.make({ max: 2, within: 100, cooldown: 1000 }) : null
          },
          restarts.map((restart, i) => [ids[i] ?? "a", restart])
        )
        perform(world, { what: "start" })
        for (const one of steps) perform(world, one)

        perform(world, { what: "resume" })
        settle(world)
        if (world.machine.mode === "Running") {
          // At rest each child runs, or is down for a reason; none waits for what will never come.
          for (const id of world.machine.order) expect(["Running", "Down", "GivenUp"], id).toContain(world.phase(id))
          expect(world.machine.round).toBeNull()
          expect([...world.living.keys()].toSorted()).toEqual(
            world.machine.order.filter((id) => world.phase(id) === "Running").toSorted()
          )
        }

        perform(world, { what: "stop" })
        settle(world)
        expect(world.machine.mode).toBe("Ended")
        expect(world.done).toBe(1)
        expect(world.living.size).toBe(0)
      }),
      { numRuns: 5000 }
    )
  })
})
