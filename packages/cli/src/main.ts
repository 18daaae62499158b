#!/usr/bin/env node
/**
 * The `nerve` command.
 */
import * as Command from "effect/cli/Command"
import { nerve } from "./nerve.ts"
import { ExitCode } from "./output/Report.ts"
import { hushSqliteWarning, obstacle } from "./platform.ts"
import { runMain } from "./runMain.ts"
import { version } from "./version.ts"

const args = process.argv.slice(2)
const stop = obstacle(process.platform, process.versions.node)

if (stop === null) {
  hushSqliteWarning()
  runMain(Command.runWith(nerve, { version })(args), { debug: args.includes("--debug") })
} else {
  process.stderr.write(`nerve: ${stop}\n`)
  process.exitCode = ExitCode.failed
}
