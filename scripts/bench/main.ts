/**
 * The whole bench, one after the other: calls beside plain fork and the pools that people use (on one core, and
 * nerve's and fork's again where the kernel places them), starts with spares, pools, workers in this process, the
 * log. Takes four to five minutes on a quiet machine.
 *
 * `pnpm bench [--json] [--rounds N]`. With `--json`, standard output holds one JSON object per line and nothing else.
 */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const hasTaskset = spawnSync("taskset", ["--version"], { stdio: "ignore" }).status === 0
const oneCore = hasTaskset ? ["--one-core"] : []

const parts: ReadonlyArray<readonly [file: string, ...args: Array<string>]> = [
  ["workers.ts", ...oneCore, "--rounds", "13"],
  ...(hasTaskset ? ([["workers.ts", "--no-peers", "--rounds", "13"]] as const) : []),
  ["spares.ts"],
  ["pools.ts", ...oneCore, "--rounds", "9"],
  ["inprocess.ts"],
  ["appends.ts"],
  ["reads.ts"]
]

const asked = process.argv.slice(2)
let failed = false
for (const [file, ...args] of parts) {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const { status } = spawnSync(process.execPath, [path, ...args, ...asked], { stdio: "inherit" })
  if (status === 0) continue
  console.error(`${file} ended with ${status}`)
  failed = true
}
process.exit(failed ? 1 : 0)
