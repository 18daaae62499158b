/**
 * `nerve thread list`
 */
import { RunStatus } from "@nerve/core/domain/Thread"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { given } from "../../flags/Given.ts"
import * as Global from "../../flags/Global.ts"
import { positive } from "../../flags/Time.ts"
import * as History from "../../history/History.ts"
import { show } from "../../output/Show.ts"
import * as ThreadViews from "../../render/ThreadViews.ts"

export const list = Command.make(
  "list",
  {
    workflow: Flag.String("workflow").pipe(
      Flag.withMetavar("NAME"),
      Flag.withDescription("Only threads of this workflow"),
      Flag.optional
    ),
    status: Flag.Literals("status", RunStatus.literals).pipe(
      Flag.withDescription("Only threads in this state"),
      Flag.optional
    ),
    phase: Flag.Literals("phase", ["waiting", "paused"]).pipe(
      Flag.withDescription("Only threads that wait for something, or are paused"),
      Flag.optional
    ),
    limit: positive("limit").pipe(Flag.withDescription("At most so many, 20 unless told"), Flag.withDefault(20))
  },
  ({ limit, phase, status, workflow }) =>
    Effect.gen(function* () {
      const query: History.ThreadQuery = {
        limit,
        ...given({ workflow, status, phase })
      }
      const runs = yield* History.use(yield* Global.workspace, (history) => history.threads(query))
      return yield* show(runs, ThreadViews.list)
    })
).pipe(Command.withDescription("List threads, the newest first"))
