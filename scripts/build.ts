/**
 * Bundles what is started as a process: the worker entries and the daemon (`packages/node/dist`),
 * and the command line with these beside it (`packages/cli/dist`). Types are not checked here.
 *
 * Bundled, a worker boots in a fraction of the time that some hundred separate files take.
 */
import { build as esbuild, type BuildOptions, type Plugin } from "esbuild"
import { cp, mkdir, readdir, rename, rm, stat } from "node:fs/promises"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { fileName, hotSpecifiers, specifiers } from "@nerve/node/worker/sharedSpecifiers"

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
  chunkNames: "chunk-[hash]"
}

/** Some dependencies of the daemon and the command line are CommonJS and ask for Node's modules by `require`. */
const withRequire: BuildOptions = {
  banner: { js: `import{createRequire as $require}from"node:module";const require=$require(import.meta.url);` }
}

const workerFolder = join(root, "packages/node/src/worker")

/**
 * Makes the modules that all workers have in common one file: a module goes into a file by which entries reach it, and
 * each file costs a worker a quarter of a millisecond. So every entry is made to reach them.
 */
const commonBase: Plugin = {
  name: "common-base",
  setup: ({ onLoad, onResolve, resolve }) => {
    const imports = hotSpecifiers.map((specifier) => `import "hot:${specifier}"\n`).join("")
    onResolve({ filter: /^shared:/ }, ({ path }) => ({ path: path.slice("shared:".length), namespace: "shared" }))
    onLoad({ filter: /./, namespace: "shared" }, ({ path }) => ({
      contents: `${imports}import "./WorkerMain.ts"\nexport * from ${JSON.stringify(path)}`,
      resolveDir: workerFolder
    }))
    // Imported for nothing but to be reached, which esbuild would leave out where a package says that it has no effect.
    onResolve({ filter: /^hot:/ }, async ({ kind, path, resolveDir }) => ({
      ...(await resolve(path.slice("hot:".length), { kind, resolveDir })),
      sideEffects: true
    }))
  }
}

/** The worker entries, and a file for each module that they share with user code. */
const workers = (outdir: string): BuildOptions => ({
  ...options,
  outdir,
  plugins: [commonBase],
  entryPoints: [
    { in: `shared:${join(workerFolder, "emptyModule.ts")}`, out: "emptyModule" },
    { in: `shared:${join(workerFolder, "workerEntry.ts")}`, out: "worker" },
    { in: `shared:${join(workerFolder, "senseWorkerEntry.ts")}`, out: "senseWorker" },
    { in: `shared:${join(workerFolder, "workflowWorkerEntry.ts")}`, out: "workflowWorker" },
    { in: `shared:${join(workerFolder, "migrationThreadEntry.ts")}`, out: "migrationThread" },
    ...specifiers.map((specifier) => ({ in: `shared:${specifier}`, out: fileName(specifier) }))
  ]
})

/** Apart from the workers: the more entries a bundle has, the more files each of them is made of. */
const daemon = (outdir: string): BuildOptions => ({
  ...options,
  ...withRequire,
  outdir,
  entryPoints: { daemon: join(root, "packages/node/src/daemon/main.ts") }
})

const commandLine = (outdir: string): BuildOptions => ({
  ...options,
  ...withRequire,
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
  await esbuild(workers(freshNode))
  await esbuild(daemon(freshNode))
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
