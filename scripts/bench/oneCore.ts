/**
 * Runs a bench again with itself and all that it starts on one core (Linux), and ends with its exit code. With two
 * cores the kernel's placement alone moves small messages by a factor of three.
 */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

/** `--pinned` tells the second run that it is pinned. */
export const onOneCore = (module: string): never => {
  const self = [process.execPath, ...process.execArgv, fileURLToPath(module), ...process.argv.slice(2), "--pinned"]
  const result = spawnSync("taskset", ["-c", "0", ...self], { stdio: "inherit" })
  if (result.error !== undefined) console.error("taskset was not found: --one-core needs Linux and util-linux")
  process.exit(result.status ?? 1)
}
