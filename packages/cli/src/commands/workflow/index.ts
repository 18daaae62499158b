/**
 * `nerve workflow`
 */
import * as Command from "effect/cli/Command"
import { list } from "./list.ts"
import { status } from "./status.ts"
import { trigger } from "./trigger.ts"

export const workflow = Command.make("workflow").pipe(
  Command.withDescription("List, inspect and start workflows"),
  Command.withSubcommands([list, status, trigger])
)
