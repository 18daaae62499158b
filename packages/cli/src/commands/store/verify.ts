/**
 * `nerve store verify`: exit code 1 when something is wrong.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../../flags/Global.ts"
import { Failed } from "../../output/Failed.ts"
import { show } from "../../output/Show.ts"
import * as StoreViews from "../../render/StoreViews.ts"
import * as Maintenance from "../../store/Maintenance.ts"

export const verify = Command.make("verify", {}, () =>
  Effect.gen(function* () {
    const report = yield* Maintenance.use(yield* Global.workspace, (maintenance) => maintenance.verify)
    yield* show(report, StoreViews.verify)
    if (!report.ok) return yield* new Failed({ message: "" })
  })
).pipe(Command.withDescription("Look for damage in database, archive and large payloads (exit code 1 when there is)"))
