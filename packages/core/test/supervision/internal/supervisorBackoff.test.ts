/** Between a crash and the restart: delays that others replace or cut short, and policies that end. */
import { describe, expect, it } from "@effect/vitest"
import { failed, running, stopped } from "../supervisorWorld.ts"

describe("supervisorBackoff", () => {
  it("rest-for-one: an earlier child that crashes during the backoff widens the round", () => {
    const world = running({ strategy: "rest-for-one" })
    world.exits("b", failed).exits("c", stopped)
    world.input({ _tag: "RespawnDecided", ...(world.policies.shift() ?? { id: "", incarnation: 0 }), delayMs: 100 })
    world.take()
    expect(world.exits("a", failed).take()).toEqual(["CancelDelay b", "AskPolicy a"])
    expect(world.respawns().take()).toEqual(["StartDelay a", "Spawn a"])
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

  it("the others do not wait for the backoff of a culprit that was removed", () => {
    const world = running({ strategy: "one-for-all" }, [
      ["a", "always"],
      ["b", "always"]
    ])
    world.exits("a", failed).exits("b", stopped).take()
    expect(world.input({ _tag: "RemoveAsked", id: "a" }).take()).toEqual(["CancelDelay a", "Removed a", "Spawn b"])
  })
})
