/**
 * `nerve store`
 */
import * as Command from "effect/cli/Command"
import { archive } from "./archive.ts"
import { rebuild } from "./rebuild.ts"
import { stats } from "./stats.ts"
import { vacuum } from "./vacuum.ts"
import { verify } from "./verify.ts"

export const store = Command.make("store").pipe(
  Command.withDescription("Archive, check and mend the log; through the daemon, or without one under its lock"),
  Command.withSubcommands([archive, verify, rebuild, vacuum, stats])
)
