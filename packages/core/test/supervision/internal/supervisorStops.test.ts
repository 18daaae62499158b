/** Stopping all children, whatever they are at. */
import { describe, expect, it } from "@effect/vitest"
import { failed, running } from "../supervisorWorld.ts"

describe("supervisorStops", () => {
  it("a stop during a backoff takes effect at once", () => {
    const world = running({}, [["a", "always"]])
    world.exits("a", failed)
    world.input({ _tag: "RespawnDecided", ...(world.policies.shift() ?? { id: "", incarnation: 0 }), delayMs: 1e9 })
    world.take()
    expect(world.input({ _tag: "StopAsked" }).take()).toEqual(["CancelDelay a", "Done"])
  })
})
