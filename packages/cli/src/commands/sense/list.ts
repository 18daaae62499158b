/**
 * `nerve sense list`
 */
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../../flags/Global.ts"
import { show } from "../../output/Show.ts"
import * as SenseViews from "../../render/SenseViews.ts"

export const list = Command.make("list", {}, () =>
  Effect.gen(function* () {
    const { senses } = yield* ControlClient.use(yield* Global.workspace, (client) => client.GetStatus())
    return yield* show(senses, SenseViews.timers)
  })
).pipe(Command.withDescription("List the senses: their state, when they compute next and when they did last"))
