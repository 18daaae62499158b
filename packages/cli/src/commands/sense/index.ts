/**
 * `nerve sense`
 */
import * as Command from "effect/cli/Command"
import { list } from "./list.ts"
import { test } from "./test.ts"
import { ticks } from "./ticks.ts"
import { trigger } from "./trigger.ts"

export const sense = Command.make("sense").pipe(
  Command.withDescription("List, try and trigger senses, and see what became of their ticks"),
  Command.withSubcommands([list, test, ticks, trigger])
)
