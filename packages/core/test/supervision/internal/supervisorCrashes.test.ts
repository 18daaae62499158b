/** What the end of a child means, for itself and for its siblings: restart modes, strategies, the intensity. */
import { describe, expect, it } from "@effect/vitest"
import { failed, finished, running, stopped } from "../supervisorWorld.ts"

describe("supervisorCrashes", () => {
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
})
