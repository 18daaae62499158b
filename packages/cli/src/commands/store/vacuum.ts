/**
 * `nerve store vacuum`
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../../flags/Global.ts"
import { show } from "../../output/Show.ts"
import * as StoreViews from "../../render/StoreViews.ts"
import * as Maintenance from "../../store/Maintenance.ts"

export const vacuum = Command.make("vacuum", {}, () =>
  Effect.gen(function* () {
    const report = yield* Maintenance.use(yield* Global.workspace, (maintenance) => maintenance.vacuum)
    return yield* show(report, StoreViews.vacuum)
  })
).pipe(Command.withDescription("Give the space of archived entries back to the disk; the daemon waits meanwhile"))
