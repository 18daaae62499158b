/** Starts of children, by order: the first ones, and those that are due when a suspended supervisor goes on. */
import { describe, expect, it } from "@effect/vitest"
import { always, failed, running, World } from "../supervisorWorld.ts"

describe("supervisorStarts", () => {
  it("goes on starting when a child fails while it starts", () => {
    const world = new World({}, always).input({ _tag: "StartAsked" })
    world.take()
    expect(world.exits("a", failed).take()).toEqual(["AskPolicy a", "Spawn b"])
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
})
