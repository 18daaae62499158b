/**
 * `nerve workflow pause NAME` and `nerve workflow resume NAME`
 */
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../../flags/Global.ts"
import { reason } from "../../flags/Reason.ts"
import { show } from "../../output/Show.ts"

const name = Argument.String("name").pipe(Argument.withDescription("Name of the workflow"))

export const pause = Command.make(
  "pause",
  {
    name,
    reason: reason("shown to whoever asks")
  },
  ({ name, reason }) =>
    Effect.gen(function* () {
      const isNew = yield* ControlClient.use(yield* Global.workspace, (client) =>
        client.PauseWorkflow({ workflow: name, reason })
      )
      return yield* show({ workflow: name, paused: true, changed: isNew }, () =>
        isNew ? `paused ${name}: nothing of it is started until it is resumed` : `${name} was paused already`
      )
    })
).pipe(Command.withDescription("Start no thread of a workflow until it is resumed; who is active goes on"))

export const resume = Command.make("resume", { name }, ({ name }) =>
  Effect.gen(function* () {
    const isNew = yield* ControlClient.use(yield* Global.workspace, (client) =>
      client.ResumeWorkflow({ workflow: name })
    )
    return yield* show({ workflow: name, paused: false, changed: isNew }, () =>
      isNew ? `resumed ${name}` : `${name} was not paused`
    )
  })
).pipe(Command.withDescription("Start threads of a paused workflow again"))
