/**
 * `nerve dev`: the daemon in the foreground, with a live view of what happens.
 */
import * as WorkspaceConfig from "@nerve/node/daemon/WorkspaceConfig"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Global from "../flags/Global.ts"
import { duration } from "../flags/Time.ts"
import { Failed } from "../output/Failed.ts"

export const dev = Command.make(
  "dev",
  {
    for: duration("for").pipe(Flag.withDescription("Stop gracefully after this time, such as 60s"), Flag.optional)
  },
  (options) =>
    Effect.gen(function* () {
      const workspace = yield* Global.workspace
      const checked = yield* WorkspaceConfig.check(workspace)
      if (checked._tag === "Invalid") return yield* new Failed({ message: checked.text })
      // The daemon is most of the program: the other commands start faster without it.
      const { watchDaemon } = yield* Effect.promise(() => import("../dev/watchDaemon.ts"))
      return yield* watchDaemon(workspace, checked.config, options.for)
    })
).pipe(
  Command.withDescription(
    "Run the daemon here and show what happens. Ctrl-C stops it gracefully, a second Ctrl-C at once"
  )
)
