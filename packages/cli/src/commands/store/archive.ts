/**
 * `nerve store archive`
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { given } from "../../flags/Given.ts"
import * as Global from "../../flags/Global.ts"
import { duration } from "../../flags/Time.ts"
import { show } from "../../output/Show.ts"
import * as StoreViews from "../../render/StoreViews.ts"
import * as Maintenance from "../../store/Maintenance.ts"

export const archive = Command.make(
  "archive",
  {
    olderThan: duration("older-than").pipe(
      Flag.withDescription("Archive whole days older than this, instead of what nerve.yaml says (30d)"),
      Flag.optional
    ),
    keep: duration("keep").pipe(
      Flag.withDescription("Remove archived days and ended threads older than this, instead of what nerve.yaml says"),
      Flag.optional
    )
  },
  ({ keep, olderThan }) =>
    Effect.gen(function* () {
      const report = yield* Maintenance.use(yield* Global.workspace, (maintenance) =>
        maintenance.archive(given({ archiveAfterMs: olderThan, keepMs: keep }))
      )
      return yield* show(report, StoreViews.archive)
    })
).pipe(Command.withDescription("Move old days into the archive, and remove what is no longer kept"))
