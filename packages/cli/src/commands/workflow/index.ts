/**
 * `nerve workflow`
 */
import * as Command from "effect/cli/Command"
import { list } from "./list.ts"
import { pause, resume } from "./pause.ts"
import { status } from "./status.ts"
import { trigger } from "./trigger.ts"

export const workflow = Command.make("workflow").pipe(
  Command.withDescription("List, inspect, start and pause workflows"),
  Command.withSubcommands([list, status, trigger, pause, resume])
)
