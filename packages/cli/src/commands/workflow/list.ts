/**
 * `nerve workflow list`
 */
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../../flags/Global.ts"
import { show } from "../../output/Show.ts"
import * as WorkflowViews from "../../render/WorkflowViews.ts"

export const list = Command.make("list", {}, () =>
  Effect.gen(function* () {
    const { workflows } = yield* ControlClient.use(yield* Global.workspace, (client) => client.GetStatus())
    return yield* show(workflows, WorkflowViews.list)
  })
).pipe(Command.withDescription("List the workflows with their state"))
