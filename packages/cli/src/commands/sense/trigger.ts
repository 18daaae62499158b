/**
 * `nerve sense trigger NAME`
 */
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Global from "../../flags/Global.ts"
import { show } from "../../output/Show.ts"

export const trigger = Command.make(
  "trigger",
  {
    name: Argument.String("name").pipe(Argument.withDescription("Name of the sense"))
  },
  ({ name }) =>
    Effect.gen(function* () {
      yield* ControlClient.use(yield* Global.workspace, (client) => client.TriggerSense({ sense: name }))
      return yield* show({ sense: name, triggered: true }, ({ sense }) => `triggered ${sense}`)
    })
).pipe(Command.withDescription("Run a sense's compute at its next idle moment"))
