/**
 * `nerve thread show ID`
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../../flags/Global.ts"
import { findThread } from "../../history/findThread.ts"
import * as History from "../../history/History.ts"
import { show as showValue } from "../../output/Show.ts"
import * as Views from "../../render/Views.ts"

export const show = Command.make(
  "show",
  {
    id: Argument.String("id").pipe(Argument.withDescription("Id of the thread, or a unique beginning of it"))
  },
  ({ id }) =>
    Effect.gen(function* () {
      const detail = yield* History.use(yield* Global.workspace, (history) => findThread(history, id))
      return yield* showValue(detail, Views.thread)
    })
).pipe(Command.withDescription("Show a thread with all its rounds"))
