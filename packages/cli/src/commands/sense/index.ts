/**
 * `nerve sense`
 */
import * as Command from "effect/cli/Command"
import { list } from "./list.ts"
import { trigger } from "./trigger.ts"

export const sense = Command.make("sense").pipe(
  Command.withDescription("List and trigger senses"),
  Command.withSubcommands([list, trigger])
)
