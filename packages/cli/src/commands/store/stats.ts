/**
 * `nerve store stats`
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../../flags/Global.ts"
import { show } from "../../output/Show.ts"
import * as StoreViews from "../../render/StoreViews.ts"
import * as Maintenance from "../../store/Maintenance.ts"

export const stats = Command.make("stats", {}, () =>
  Effect.gen(function* () {
    const report = yield* Maintenance.use(yield* Global.workspace, (maintenance) => maintenance.stats)
    return yield* show(report, StoreViews.stats)
  })
).pipe(Command.withDescription("Show how large the log is, and what it holds"))
