/**
 * `nerve thread pause ID` and `nerve thread resume ID`
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { reason } from "../../flags/Reason.ts"
import { show } from "../../output/Show.ts"
import { id, withThread } from "./withThread.ts"

export const pause = Command.make(
  "pause",
  {
    id,
    reason: reason("shown to whoever asks")
  },
  ({ id, reason }) =>
    Effect.gen(function* () {
      const run = yield* withThread(id, (client, threadId) => client.PauseThread({ threadId, reason }))
      return yield* show(run, ({ rounds, startedAt, threadId, wait }) =>
        startedAt === null || wait !== null
          ? `thread ${threadId} is paused`
          : `thread ${threadId} pauses after round ${rounds + 1}`
      )
    })
).pipe(Command.withDescription("Have a thread hold still, without a slot, until it is resumed"))

export const resume = Command.make(
  "resume",
  {
    id,
    newCode: Flag.Boolean("new-code").pipe(
      Flag.withDescription("Go on with the code of now, whatever the thread began with"),
      Flag.withDefault(false)
    )
  },
  ({ id, newCode }) =>
    Effect.gen(function* () {
      const run = yield* withThread(id, (client, threadId) => client.ResumeThread({ threadId, newCode }))
      return yield* show(run, ({ threadId }) => `thread ${threadId} goes on`)
    })
).pipe(Command.withDescription("Have a paused thread go on"))
