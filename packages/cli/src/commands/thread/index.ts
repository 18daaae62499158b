/**
 * `nerve thread`
 */
import * as Command from "effect/cli/Command"
import { answer } from "./answer.ts"
import { cancel } from "./cancel.ts"
import { fork } from "./fork.ts"
import { inspect } from "./inspect.ts"
import { kill } from "./kill.ts"
import { list } from "./list.ts"
import { pause, resume } from "./pause.ts"
import { retry } from "./retry.ts"
import { show } from "./show.ts"
import { follow, wait } from "./wait.ts"

export const thread = Command.make("thread").pipe(
  Command.withDescription("List, show, answer, pause, retry, fork and end threads"),
  Command.withSubcommands([list, show, inspect, follow, wait, answer, pause, resume, retry, fork, cancel, kill])
)
