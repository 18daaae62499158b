/** The one place where a pool's state changes. */
import type { Action, Input } from "@nerve/core/supervision/PoolMachine"
import { assert, describe, it } from "@effect/vitest"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import { Clock, Context, Effect } from "effect"
import { PoolEngine } from "../../../src/supervision/internal/poolEngine.ts"
import * as poolSettings from "../../../src/supervision/internal/poolSettings.ts"

const settings = poolSettings.of({ size: 2 }, StopPolicy.standard)

describe("poolEngine", () => {
  it.effect("carries a decision out to its end before the next input has its turn", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const done: Array<string> = []
      const answers = new Map<string, Input>()
      const carryOut = (action: Action) => {
        const text = "member" in action ? `${action._tag} ${action.member}` : action._tag
        done.push(text)
        const input = answers.get(text)
        if (input !== undefined) engine.step(input)
      }
      const engine: PoolEngine = new PoolEngine(settings, clock, Context.empty(), {
        carryOut,
        changed: () => done.push("changed"),
        beforeTick: () => {}
      })
      // The first worker cannot even be started, and says so while the second is still to be booted.
      answers.set("Boot 1", { _tag: "Exited", member: 1, exit: null, uptimeMs: 0, reason: "no such file" })
      engine.step({ _tag: "Tick" })
      assert.deepStrictEqual(done, ["Resized", "Resized", "Boot 1", "Boot 2", "changed", "AskPolicy 1", "changed"])
      engine.stop()
    })
  )
})
