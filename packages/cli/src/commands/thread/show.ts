/**
 * `nerve thread show ID`
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Rounds from "../../flags/Rounds.ts"
import * as Global from "../../flags/Global.ts"
import { findThread } from "../../history/findThread.ts"
import * as History from "../../history/History.ts"
import { roundsOf } from "../../history/roundsOf.ts"
import { show as showValue } from "../../output/Show.ts"
import * as ThreadViews from "../../render/ThreadViews.ts"
import { id } from "./withThread.ts"

export const show = Command.make(
  "show",
  {
    id,
    ...Rounds.flags
  },
  ({ id, ...given }) =>
    Effect.gen(function* () {
      const detail = yield* History.use(yield* Global.workspace, (history) =>
        Effect.flatMap(findThread(history, id), ({ threadId }) => roundsOf(history, threadId, Rounds.wanted(given)))
      )
      yield* showValue(detail, ThreadViews.page)
      return yield* Rounds.note(detail)
    })
).pipe(Command.withDescription("Show a thread with its rounds, all unless told"))
