/**
 * `nerve reload`: has the daemon read nerve.yaml and look for changed code now.
 */
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../flags/Global.ts"
import { Failed } from "../output/Failed.ts"
import { show } from "../output/Show.ts"
import * as DaemonViews from "../render/DaemonViews.ts"

export const reload = Command.make("reload", {}, () =>
  Effect.gen(function* () {
    const outcome = yield* ControlClient.use(yield* Global.workspace, (client) => client.ReloadWorkspace())
    yield* show(outcome, DaemonViews.reloaded)
    if (outcome.config.refused !== null) return yield* new Failed({ message: "" })
  })
).pipe(
  Command.withDescription(
    "Put changes of nerve.yaml and of code in force now (exit code 1 when nerve.yaml cannot be used)"
  )
)
