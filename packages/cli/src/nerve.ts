/**
 * The command tree.
 */
import * as Command from "effect/cli/Command"
import { bundle } from "./commands/bundle.ts"
import { dev } from "./commands/dev.ts"
import { logs } from "./commands/logs.ts"
import { reload } from "./commands/reload.ts"
import { sense } from "./commands/sense/index.ts"
import { status } from "./commands/status.ts"
import { store } from "./commands/store/index.ts"
import { why } from "./commands/thread/inspect.ts"
import { thread } from "./commands/thread/index.ts"
import { validate } from "./commands/validate.ts"
import { workflow } from "./commands/workflow/index.ts"
import * as Global from "./flags/Global.ts"

export const nerve = Command.make("nerve").pipe(
  Command.withDescription(
    "Runs senses and workflows in supervised worker processes.\n" +
      "  Exit codes: 0 done, 1 failed, 2 usage mistake, 130 interrupted."
  ),
  Command.withSubcommands([dev, validate, status, reload, logs, sense, workflow, thread, why, store, bundle]),
  Command.withGlobalFlags(Global.all)
)
