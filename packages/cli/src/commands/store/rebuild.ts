/**
 * `nerve store rebuild`
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../../flags/Global.ts"
import { show } from "../../output/Show.ts"
import * as StoreViews from "../../render/StoreViews.ts"
import * as Maintenance from "../../store/Maintenance.ts"

export const rebuild = Command.make("rebuild", {}, () =>
  Effect.gen(function* () {
    const report = yield* Maintenance.use(yield* Global.workspace, (maintenance) => maintenance.rebuild)
    return yield* show(report, StoreViews.rebuild)
  })
).pipe(Command.withDescription("Compute the state of all threads anew, from the log alone"))
