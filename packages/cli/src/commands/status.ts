/**
 * `nerve status`: the daemon's health.
 */
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../flags/Global.ts"
import { show } from "../output/Show.ts"
import * as DaemonViews from "../render/DaemonViews.ts"

export const status = Command.make("status", {}, () =>
  Effect.gen(function* () {
    const daemon = yield* ControlClient.use(yield* Global.workspace, (client) => client.GetStatus())
    return yield* show(daemon, DaemonViews.status)
  })
).pipe(Command.withDescription("Show the daemon: senses, workflows, workers (exit code 1 when none runs)"))
