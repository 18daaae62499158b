/**
 * `nerve thread`
 */
import * as Command from "effect/cli/Command"
import { kill } from "./kill.ts"
import { list } from "./list.ts"
import { show } from "./show.ts"

export const thread = Command.make("thread").pipe(
  Command.withDescription("List, show and kill threads"),
  Command.withSubcommands([list, show, kill])
)
