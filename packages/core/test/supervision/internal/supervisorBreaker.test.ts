/** The breaker of a supervisor: restarts are held, one is tried. */
import { describe, expect, it } from "@effect/vitest"
import * as CircuitBreaker from "@nerve/core/supervision/CircuitBreaker"
import { failed, running, stopped } from "../supervisorWorld.ts"

describe("supervisorBreaker", () => {
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

  it("breaker: a timer that runs out before its time is started again for the rest", () => {
    const world = running({ breaker })
    world.exits("a", failed).exits("b", failed).respawns().respawns().take()
    expect(world.elapsed(9999).take()).toEqual(["StartBreakerTimer"])
    expect(world.machine.breaker._tag).toBe("Open")
    expect(world.elapsed(1).take()).toEqual(["Spawn a"])
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

  it("breaker: where nobody was held when the cooldown ended, the next restart is the trial", () => {
    const world = running({ breaker })
    world.exits("a", failed).respawns().started("a").exits("b", failed)
    world.input({ _tag: "RespawnDecided", ...(world.policies.shift() ?? { id: "", incarnation: 0 }), delayMs: 60_000 })
    expect(world.elapsed(10_000).machine.breaker._tag).toBe("HalfOpen")
    world.take()
    expect(world.exits("c", failed).respawns().take()).toEqual(["AskPolicy c", "StartDelay c", "Spawn c"])
    expect(world.delayOver("b").take()).toEqual([])
    expect(world.started("c").take()).toEqual(["StartBreakerTimer"])
    expect(world.elapsed(5000).take()).toEqual(["Spawn b"])
    expect(world.machine.breaker._tag).toBe("Closed")
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
})
