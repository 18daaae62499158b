/** Children that are added, removed and brought back by hand, also while a round is under way. */
import { describe, expect, it } from "@effect/vitest"
import { failed, running, settle, stopped, World } from "../supervisorWorld.ts"

describe("supervisorChildren", () => {
  it("add starts a child behind the others; remove stops and forgets it", () => {
    const world = running({})
    expect(world.input({ _tag: "AddAsked", child: { id: "d", restart: "always" } }).take()).toEqual(["Spawn d"])
    expect(world.started("d").input({ _tag: "RemoveAsked", id: "b" }).take()).toEqual(["RoundDone", "StopChild b"])
    expect(world.exits("b", stopped).take()).toEqual(["Removed b"])
    expect(world.machine.order).toEqual(["a", "c", "d"])
    expect(world.input({ _tag: "RemoveAsked", id: "b" }).take()).toEqual([])
  })

  it("one that is removed during its backoff leaves no delay behind: a child of the same id may follow", () => {
    const world = running({})
    world.exits("b", failed)
    world.input({ _tag: "RespawnDecided", ...(world.policies.shift() ?? { id: "", incarnation: 0 }), delayMs: 1000 })
    world.take()
    expect(world.input({ _tag: "RemoveAsked", id: "b" }).take()).toEqual(["CancelDelay b", "Removed b"])
    expect(world.delays.size).toBe(0)
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
})
