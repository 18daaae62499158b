/**
 * `nerve sense`
 */
import * as Command from "effect/cli/Command"
import { list } from "./list.ts"
import { ticks } from "./ticks.ts"
import { trigger } from "./trigger.ts"

export const sense = Command.make("sense").pipe(
  Command.withDescription("List and trigger senses, and see what became of their ticks"),
  Command.withSubcommands([list, ticks, trigger])
)
