/**
 * What a supervisor decides: by example for each strategy, and for random sequences against a small world
 * in which children live and die.
 */
import { describe, expect, it } from "@effect/vitest"
import * as CircuitBreaker from "@nerve/core/supervision/CircuitBreaker"
import type { LifecycleExit } from "@nerve/core/supervision/LifecycleState"
import type { RestartMode, Strategy } from "@nerve/core/supervision/StateTree"
import * as SupervisorMachine from "@nerve/core/supervision/SupervisorMachine"
import * as fc from "fast-check"

type Input = SupervisorMachine.Input
type Action = SupervisorMachine.Action

const failed: LifecycleExit = { outcome: "Failed", code: 1, signal: null, error: null }
const finished: LifecycleExit = { outcome: "Finished", code: 0, signal: null, error: null }
const stopped: LifecycleExit = { outcome: "Stopped", code: 0, signal: null, error: null }

const settings = (over: Partial<SupervisorMachine.Settings> = {}): SupervisorMachine.Settings => ({
  strategy: "one-for-one",
  intensity: null,
  breaker: null,
  ...over
})

const text = (action: Action): string =>
  [action._tag, "id" in action ? action.id : "crash" in action ? action.crash.id : ""].join(" ").trim()

/** Holds a machine and what its actions have brought about, so that a test can say what happens next. */
class World {
  machine: SupervisorMachine.Machine
  now = 0
  /** Actions since last looked at. */
  log: Array<string> = []
  done = 0
  /** Incarnations that live; whether each was asked to stop. */
  readonly living = new Map<string, { readonly incarnation: number; stopping: boolean }>()
  readonly spawned = new Map<string, number>()
  readonly policies: Array<{ readonly id: string; readonly incarnation: number }> = []
  readonly delays = new Map<string, number>()
  timer = false

  constructor(over: Partial<SupervisorMachine.Settings>, children: ReadonlyArray<[string, RestartMode]>) {
    this.machine = SupervisorMachine.make(
      settings(over),
      children.map(([id, restart]) => ({ id, restart }))
    )
  }

  input(input: Input): this {
    const { actions, machine } = SupervisorMachine.decide(this.machine, input)
    this.machine = machine
    for (const action of actions) {
      this.log.push(text(action))
      this.#carryOut(action)
    }
    return this
  }

  #carryOut(action: Action): void {
    switch (action._tag) {
      case "Spawn":
        expect(this.living.has(action.id), `${action.id} lives and is spawned again`).toBe(false)
        expect(action.incarnation).toBe((this.spawned.get(action.id) ?? 0) + 1)
        expect(["Running"]).toContain(this.machine.mode)
        this.spawned.set(action.id, action.incarnation)
        this.living.set(action.id, { incarnation: action.incarnation, stopping: false })
        return
      case "StopChild": {
        const child = this.living.get(action.id)
        expect(child, `${action.id} is stopped and does not live`).toBeDefined()
        if (child !== undefined) child.stopping = true
        return
      }
      case "AskPolicy":
        this.policies.push({ id: action.crash.id, incarnation: action.incarnation })
        return
      case "StartDelay":
        this.delays.set(action.id, action.incarnation)
        return
      case "CancelDelay":
        this.delays.delete(action.id)
        return
      case "StartBreakerTimer":
        this.timer = true
        return
      case "CancelBreakerTimer":
        this.timer = false
        return
      case "Removed":
        expect(this.living.has(action.id)).toBe(false)
        this.spawned.delete(action.id)
        return
      case "Done":
        expect(this.living.size, "done while children live").toBe(0)
        this.done += 1
    }
  }

  started(id: string): this {
    return this.input({ _tag: "Started", id, incarnation: this.living.get(id)?.incarnation ?? -1, now: this.now })
  }

  exits(id: string, exit: LifecycleExit): this {
    const incarnation = this.living.get(id)?.incarnation ?? -1
    this.living.delete(id)
    return this.input({ _tag: "Exited", id, incarnation, now: this.now, exit })
  }

  /** The policy's answer to the oldest question, and the end of the delay. */
  respawns(delayMs = 100): this {
    const asked = this.policies.shift()
    if (asked === undefined) throw new Error("no policy was asked")
    this.input({ _tag: "RespawnDecided", ...asked, delayMs })
    return this.delayOver(asked.id)
  }

  delayOver(id: string): this {
    const incarnation = this.delays.get(id)
    if (incarnation === undefined) return this
    this.delays.delete(id)
    return this.input({ _tag: "DelayOver", id, incarnation })
  }

  givesUp(): this {
    const asked = this.policies.shift()
    if (asked === undefined) throw new Error("no policy was asked")
    return this.input({ _tag: "GiveUpDecided", ...asked })
  }

  elapsed(ms: number): this {
    this.now += ms
    this.timer = false
    return this.input({ _tag: "BreakerElapsed", now: this.now })
  }

  /** The actions since last asked. */
  take(): ReadonlyArray<string> {
    const { log } = this
    this.log = []
    return log
  }

  phase(id: string): string | undefined {
    return SupervisorMachine.childOf(this.machine, id)?.phase
  }
}

const always: ReadonlyArray<[string, RestartMode]> = [
  ["a", "always"],
  ["b", "always"],
  ["c", "always"]
]

const running = (over: Partial<SupervisorMachine.Settings>, children = always): World => {
  const world = new World(over, children).input({ _tag: "StartAsked" })
  for (const [id] of children) world.started(id)
  world.take()
  return world
}

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

  it("goes on starting when a child fails while it starts", () => {
    const world = new World({}, always).input({ _tag: "StartAsked" })
    world.take()
    expect(world.exits("a", failed).take()).toEqual(["AskPolicy a", "Spawn b"])
  })

  it("one-for-one: only the one that crashed is started again", () => {
    const world = running({})
    expect(world.exits("b", failed).take()).toEqual(["AskPolicy b"])
    expect(world.respawns().take()).toEqual(["StartDelay b", "Spawn b"])
  })

  it("one-for-all: all are stopped last first, then the culprit's backoff, then all are started in order", () => {
    const world = running({ strategy: "one-for-all" })
    expect(world.exits("b", failed).take()).toEqual(["StopChild c"])
    expect(world.exits("c", stopped).take()).toEqual(["StopChild a"])
    expect(world.exits("a", stopped).take()).toEqual(["AskPolicy b"])
    expect(world.respawns().take()).toEqual(["StartDelay b", "Spawn a"])
    expect(world.started("a").started("b").started("c").take()).toEqual(["Spawn b", "Spawn c", "RoundDone"])
  })

  it("rest-for-one: those before the one that crashed go on", () => {
    const world = running({ strategy: "rest-for-one" })
    expect(world.exits("b", failed).take()).toEqual(["StopChild c"])
    expect(world.exits("c", stopped).respawns().started("b").started("c").take()).toEqual([
      "AskPolicy b",
      "StartDelay b",
      "Spawn b",
      "Spawn c",
      "RoundDone"
    ])
    expect(world.living.get("a")?.incarnation).toBe(1)
  })

  it("rest-for-one: an earlier child that crashes during the backoff widens the round", () => {
    const world = running({ strategy: "rest-for-one" })
    world.exits("b", failed).exits("c", stopped)
    world.input({ _tag: "RespawnDecided", ...(world.policies.shift() ?? { id: "", incarnation: 0 }), delayMs: 100 })
    world.take()
    expect(world.exits("a", failed).take()).toEqual(["CancelDelay b", "AskPolicy a"])
    expect(world.respawns().take()).toEqual(["StartDelay a", "Spawn a"])
  })

  it("a crash of a sibling while all are being stopped is no crash of its own", () => {
    const world = running({ strategy: "one-for-all", intensity: { max: 2, withinMs: 1000 } })
    world.exits("c", failed).exits("a", failed).exits("b", stopped)
    expect(world.take()).toEqual(["StopChild b", "AskPolicy c"])
    expect(world.machine.mode).toBe("Running")
  })

  it("restart modes: always after any end, on-failure after Failed and Killed, never not at all", () => {
    const world = running({}, [
      ["a", "always"],
      ["b", "on-failure"],
      ["c", "never"]
    ])
    expect(world.exits("a", finished).take()).toEqual(["AskPolicy a"])
    expect(world.exits("b", finished).exits("c", failed).take()).toEqual([])
    expect([world.phase("b"), world.phase("c")]).toEqual(["Down", "Down"])
    const other = running({}, [["b", "on-failure"]])
    expect(other.exits("b", { ...failed, outcome: "Killed", signal: "SIGKILL" }).take()).toEqual(["AskPolicy b"])
  })

  it("under a shared fate, an end that is not to be restarted takes nobody along", () => {
    const world = running({ strategy: "one-for-all" }, [
      ["a", "always"],
      ["b", "on-failure"]
    ])
    expect(world.exits("b", finished).take()).toEqual([])
    expect(world.phase("a")).toBe("Running")
  })

  it("under a shared fate, those that are never restarted stay down", () => {
    const world = running({ strategy: "one-for-all" }, [
      ["a", "always"],
      ["b", "never"]
    ])
    world.exits("a", failed).exits("b", stopped).respawns().started("a")
    expect(world.take()).toEqual(["StopChild b", "AskPolicy a", "StartDelay a", "Spawn a", "RoundDone"])
    expect(world.phase("b")).toBe("Down")
  })

  it("intensity: the max-th crash within a sliding window stops all and is the supervisor's own failure", () => {
    const world = running({ intensity: { max: 3, withinMs: 1000 } })
    for (const now of [900, 1800]) {
      world.now = now
      world.exits("a", failed).respawns().started("a")
    }
    world.take()
    world.now = 1899
    expect(world.exits("a", failed).take()).toEqual(["StopChild c"])
    expect(world.exits("c", stopped).exits("b", stopped).take()).toEqual(["StopChild b", "Done"])
    expect(world.machine.failure).toBe("3 crashes within 1000 ms, the last of a: exit code 1")
  })

  it("a child whose policy ends is given up, the others go on; a reset brings it back", () => {
    const world = running({})
    expect(world.exits("a", failed).givesUp().take()).toEqual(["AskPolicy a", "GiveUp a"])
    expect(world.phase("b")).toBe("Running")
    expect(world.input({ _tag: "ResetAsked", id: "a" }).take()).toEqual(["ForgetPolicy a", "Spawn a"])
  })

  it("one-for-all: all are given up together and come back together", () => {
    const world = running({ strategy: "one-for-all" })
    world.exits("b", failed).exits("c", stopped).exits("a", stopped).givesUp()
    expect(["a", "b", "c"].map((id) => world.phase(id))).toEqual(["GivenUp", "GivenUp", "GivenUp"])
    world.take()
    world.input({ _tag: "ResetAsked", id: "b" }).started("a").started("b").started("c")
    expect(world.take()).toEqual(["ForgetPolicy b", "Spawn a", "Spawn b", "Spawn c", "RoundDone"])
  })

  const breaker = CircuitBreaker.make({ max: 2, within: "1 second", cooldown: "10 seconds", trial: "5 seconds" })

  it("breaker: restarts pause at the limit, one trial decides, then the others follow", () => {
    const world = running({ breaker })
    world.exits("a", failed).respawns().take()
    world.started("a")
    expect(world.exits("b", failed).take()).toEqual(["StartBreakerTimer", "AskPolicy b"])
    expect(world.respawns().take()).toEqual(["StartDelay b"])
    expect(world.exits("c", failed).respawns().take()).toEqual(["AskPolicy c", "StartDelay c"])
    expect([world.phase("b"), world.phase("c")]).toEqual(["Held", "Held"])
    expect(world.elapsed(10_000).take()).toEqual(["Spawn b"])
    expect(world.started("b").take()).toEqual(["StartBreakerTimer"])
    expect(world.elapsed(5000).take()).toEqual(["Spawn c"])
    expect(world.machine.breaker._tag).toBe("Closed")
  })

  it("breaker: a trial that crashes opens it again; a reset closes it at once", () => {
    const world = running({ breaker })
    world.exits("a", failed).exits("b", failed).respawns().respawns().elapsed(10_000)
    world.started("a").take()
    expect(world.exits("a", failed).take()).toEqual(["StartBreakerTimer", "AskPolicy a"])
    expect(world.machine.breaker._tag).toBe("Open")
    world.respawns().take()
    expect(world.input({ _tag: "ResetAsked", id: null }).take()).toEqual([
      "CancelBreakerTimer",
      "ForgetPolicy a",
      "ForgetPolicy b",
      "ForgetPolicy c",
      "Spawn a",
      "Spawn b"
    ])
  })

  it("breaker: one-for-all has it too", () => {
    const world = running({ breaker, strategy: "one-for-all" }, [
      ["a", "always"],
      ["b", "always"]
    ])
    world.exits("a", failed).exits("b", stopped).respawns().started("a").started("b").take()
    world.exits("b", failed).exits("a", stopped).respawns()
    expect(world.take()).toEqual(["StartBreakerTimer", "StopChild a", "AskPolicy b", "StartDelay b"])
    expect(world.elapsed(10_000).take()).toEqual(["Spawn a"])
    expect(world.started("a").started("b").take()).toEqual(["Spawn b", "StartBreakerTimer", "RoundDone"])
    world.elapsed(5000)
    expect(world.machine.breaker._tag).toBe("Closed")
  })

  it("a stop during a backoff takes effect at once", () => {
    const world = running({}, [["a", "always"]])
    world.exits("a", failed)
    world.input({ _tag: "RespawnDecided", ...(world.policies.shift() ?? { id: "", incarnation: 0 }), delayMs: 1e9 })
    world.take()
    expect(world.input({ _tag: "StopAsked" }).take()).toEqual(["CancelDelay a", "Done"])
  })

  it("suspended, it starts nothing; resumed, it starts what has come due", () => {
    const world = running({})
    world.input({ _tag: "SuspendAsked" }).exits("a", failed).respawns()
    world.input({ _tag: "AddAsked", child: { id: "d", restart: "always" } })
    expect(world.take()).toEqual(["AskPolicy a", "StartDelay a"])
    expect(world.input({ _tag: "ResumeAsked" }).take()).toEqual(["Spawn a", "Spawn d"])
  })

  it("a child that starts while all are suspended is suspended as soon as it runs", () => {
    const world = new World({}, [["a", "always"]]).input({ _tag: "StartAsked" }).input({ _tag: "SuspendAsked" })
    world.take()
    expect(world.started("a").take()).toEqual(["SuspendChild a"])
  })

  it("add starts a child behind the others; remove stops and forgets it", () => {
    const world = running({})
    expect(world.input({ _tag: "AddAsked", child: { id: "d", restart: "always" } }).take()).toEqual(["Spawn d"])
    expect(world.started("d").input({ _tag: "RemoveAsked", id: "b" }).take()).toEqual(["RoundDone", "StopChild b"])
    expect(world.exits("b", stopped).take()).toEqual(["Removed b"])
    expect(world.machine.order).toEqual(["a", "c", "d"])
    expect(world.input({ _tag: "RemoveAsked", id: "b" }).take()).toEqual([])
  })

  it("the others do not wait for the backoff of a culprit that was removed", () => {
    const world = running({ strategy: "one-for-all" }, [
      ["a", "always"],
      ["b", "always"]
    ])
    world.exits("a", failed).exits("b", stopped).take()
    expect(world.input({ _tag: "RemoveAsked", id: "a" }).take()).toEqual(["Removed a", "CancelDelay a", "Spawn b"])
  })

  it("whoever is queued by a round that another crash replaces is started all the same", () => {
    const world = new World({ strategy: "rest-for-one" }, [
      ["a", "never"],
      ["b", "always"],
      ["c", "always"]
    ]).input({ _tag: "StartAsked" })
    world.input({ _tag: "RemoveAsked", id: "b" }).input({ _tag: "AddAsked", child: { id: "b", restart: "always" } })
    world.exits("a", failed)
    const first = [...world.living.keys()][0] ?? ""
    world.exits(first, failed).respawns()
    settle(world)
    expect(world.machine.order.map((id) => world.phase(id))).toEqual(["Down", "Running", "Running"])
  })

  it("who is revived while a round stops or waits is started with it", () => {
    const world = running({ strategy: "rest-for-one" }, [["a", "always"]])
    world.exits("a", failed).givesUp()
    world.input({ _tag: "AddAsked", child: { id: "d", restart: "always" } })
    world.exits("d", failed)
    world.input({ _tag: "ResetAsked", id: null })
    settle(world)
    expect(world.machine.order.map((id) => world.phase(id))).toEqual(["Running", "Running"])
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
      if (SupervisorMachine.childOf(world.machine, id) !== undefined) return
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

/** Lets everything come to its end that is under way: starts, stops, policies, delays, timers. */
const settle = (world: World): void => {
  for (let i = 0; i < 500; i++) {
    const stopping = [...world.living].find(([, child]) => child.stopping)
    if (stopping !== undefined) {
      world.exits(stopping[0], stopped)
      continue
    }
    const starting = [...world.living.keys()].find((id) => world.phase(id) === "Starting")
    if (starting !== undefined) {
      world.started(starting)
      continue
    }
    if (world.policies.length > 0) {
      world.input({ _tag: "RespawnDecided", ...(world.policies.shift() ?? { id: "", incarnation: 0 }), delayMs: 1 })
      continue
    }
    const delay = at(world.delays.keys(), 0)
    if (delay !== undefined) {
      world.delayOver(delay)
      continue
    }
    if (!world.timer) return
    world.elapsed(100_000)
  }
  throw new Error("it never comes to rest")
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
