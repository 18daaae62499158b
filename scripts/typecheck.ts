/**
 * Type-checks the whole workspace with Effect's build of the TypeScript 7 compiler, whose language
 * service also reports Effect's own diagnostics (floating effects, missing services). The executable
 * differs per system, so its wrapper is asked for the path.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const compiler = execFileSync(join(root, "node_modules/.bin/effect-tsgo"), ["get-exe-path"], {
  encoding: "utf8"
}).trim()
const { status } = spawnSync(compiler, ["-p", join(root, "tsconfig.json"), ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit"
})
process.exitCode = status ?? 1
