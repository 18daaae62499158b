/**
 * Bundles what is started as a process: the worker entries and the daemon (`packages/node/dist`),
 * and the command line with these beside it (`packages/cli/dist`). Types are not checked here.
 *
 * Bundled, a worker boots in a fraction of the time that some hundred separate files take.
 */
import { build as esbuild, type BuildOptions } from "esbuild"
import { cp, mkdir, readdir, rename, rm, stat } from "node:fs/promises"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const nodeDist = join(root, "packages/node/dist")
const cliDist = join(root, "packages/cli/dist")

const options: BuildOptions = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node22",
  splitting: true,
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  logLevel: "warning",
  outExtension: { ".js": ".mjs" },
  chunkNames: "chunk-[hash]",
  // Some dependencies are CommonJS and ask for Node's modules by `require`.
  banner: { js: `import{createRequire as $require}from"node:module";const require=$require(import.meta.url);` }
}

const processes = (outdir: string): BuildOptions => ({
  ...options,
  outdir,
  entryPoints: {
    emptyModule: join(root, "packages/node/src/worker/emptyModule.ts"),
    worker: join(root, "packages/node/src/worker/workerEntry.ts"),
    senseWorker: join(root, "packages/node/src/worker/senseWorkerEntry.ts"),
    workflowWorker: join(root, "packages/node/src/worker/workflowWorkerEntry.ts"),
    migrationThread: join(root, "packages/node/src/worker/migrationThreadEntry.ts"),
    daemon: join(root, "packages/node/src/daemon/main.ts")
  }
})

const commandLine = (outdir: string): BuildOptions => ({
  ...options,
  outdir,
  entryPoints: { nerve: join(root, "packages/cli/src/main.ts") }
})

/** Chunks of earlier builds stay this long, for processes that may still load them. */
const staleMs = 60 * 60 * 1000

/** Moves freshly built files over the old ones, so that whoever starts one never meets half a file. */
const replace = async (fresh: string, target: string): Promise<void> => {
  await mkdir(target, { recursive: true })
  const names = new Set(await readdir(fresh))
  for (const name of names) await rename(join(fresh, name), join(target, name))
  await rm(fresh, { recursive: true })
  for (const name of await readdir(target)) {
    const old = Date.now() - (await stat(join(target, name))).mtimeMs > staleMs
    if (!names.has(name) && old) await rm(join(target, name))
  }
}

/** Builds all bundles. */
export const build = async (): Promise<void> => {
  const freshNode = join(root, "packages/node", `.dist-${process.pid}`)
  const freshCli = join(root, "packages/cli", `.dist-${process.pid}`)
  await esbuild(processes(freshNode))
  if (existsSync(join(root, "packages/cli/src/main.ts"))) await esbuild(commandLine(freshCli))
  await cp(freshNode, freshCli, { recursive: true })
  await replace(freshNode, nodeDist)
  await replace(freshCli, cliDist)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes("--clean")) {
    await rm(nodeDist, { recursive: true, force: true })
    await rm(cliDist, { recursive: true, force: true })
  }
  await build()
}
