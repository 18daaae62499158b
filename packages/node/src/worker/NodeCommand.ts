/**
 * Which command line starts a worker on Node. Module workers run under the bundled entry
 * (`dist/worker.mjs`), which boots in a fraction of the time that separate files take; those that were made one file
 * with nerve's own part (`WorkerBundle`) are started as they are.
 */
import * as Frame from "@nerve/core/wire/Frame"
import type { SpareProfile } from "@nerve/runtime/supervision/Spawner"
import type { WorkerSpec } from "@nerve/runtime/supervision/WorkerSpec"
import * as WorkerSpecs from "@nerve/runtime/supervision/WorkerSpec"
import { existsSync, lstatSync, mkdirSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import * as bundleMark from "./bundleMark.ts"
import { spareArgument } from "./spareFrames.ts"

/** The bundled entries: for user modules, for sense groups, for workflows; and a thread of sense workers. */
export type Entry = "worker" | "senseWorker" | "workflowWorker" | "migrationThread"

interface CommandLine {
  readonly executable: string
  readonly args: ReadonlyArray<string>
}

/** Beside this file when it is itself bundled, else in the package's `dist`. */
const candidates = (entry: Entry): ReadonlyArray<URL> => [
  new URL(`./${entry}.mjs`, import.meta.url),
  new URL(`../../dist/${entry}.mjs`, import.meta.url)
]

/** File of a bundled entry; a defect that says how to build it when it is missing. */
export const entryFile = (entry: Entry): string => {
  for (const url of candidates(entry)) {
    const file = fileURLToPath(url)
    if (existsSync(file)) return file
  }
  throw new Error(`the bundled worker entry ${entry}.mjs is missing; build it with \`pnpm build\``)
}

/** SIGUSR1 must not open an inspector in a worker; the warnings are about features that nerve relies on. */
const flags = [
  "--disable-sigusr1",
  "--disable-warning=ExperimentalWarning",
  "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"
]

/**
 * Whether the folder is the user's own: what lies there is run. Where all share a folder for temporary files, another
 * user may have made it first, or a link of its name.
 */
const isOwn = (folder: string, uid: number): boolean => {
  try {
    const found = lstatSync(folder)
    return found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0
  } catch {
    return false
  }
}

const makeFolder = (folder: string): void => {
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch {
    // It is there already, or cannot be made: whoever looks next will see.
  }
}

/**
 * Compiled and stripped code of workers is kept in `parent`, private to the user: a third of the boot time. Without
 * such a folder workers start slower and are none the worse.
 */
export const compileCache = (parent: string): Record<string, string> => {
  const uid = process.getuid?.()
  if (uid === undefined) return {}
  const folder = join(parent, `nerve-compile-cache-${uid}`)
  makeFolder(folder)
  return isOwn(folder, uid) ? { NODE_COMPILE_CACHE: folder } : {}
}

/** Variables that Node workers are started with. Asked anew for each: temporary folders are cleaned up now and then. */
export const environment = (): Readonly<Record<string, string>> => compileCache(tmpdir())

/** The spec of a worker that runs one of our own bundled entries. */
export const entrySpec = (
  entry: Entry,
  options: WorkerSpecs.Options & {
    readonly args?: ReadonlyArray<string>
    /** As in `NodeLimits`. */
    readonly heapSizeMb?: number
  }
): WorkerSpec => {
  const { args, heapSizeMb, ...rest } = options
  return WorkerSpecs.command(
    process.execPath,
    [...flags, ...limitFlags({ heapSizeMb }, entryFile(entry)), entryFile(entry), ...(args ?? [])],
    rest
  )
}

/** A folder stands for all that is below it. */
const reads = (limits: WorkerSpecs.NodeLimits, file: string): ReadonlyArray<string> => {
  const named = limits.permissions?.read ?? []
  if (named === true) return ["*"]
  const entry = dirname(entryFile("worker"))
  return [entry, ...Object.values(environment()), dirname(file), ...named]
}

const writes = (limits: WorkerSpecs.NodeLimits): ReadonlyArray<string> => {
  const named = limits.permissions?.write ?? []
  return named === true ? ["*"] : [...Object.values(environment()), ...named]
}

/** Flags of Node that put limits on a worker whose module is `file`. */
export const limitFlags = (limits: WorkerSpecs.NodeLimits, file: string): ReadonlyArray<string> => {
  const { heapSizeMb, permissions } = limits
  const heap = heapSizeMb === undefined ? [] : [`--max-old-space-size=${Math.max(1, Math.round(heapSizeMb))}`]
  if (permissions === undefined) return heap
  const may = [
    ["child-process", permissions.childProcess],
    ["worker", permissions.workerThreads],
    ["addons", permissions.addons],
    ["wasi", permissions.wasi]
  ] as const
  return [
    ...heap,
    "--permission",
    // What is allowed was allowed on purpose.
    "--disable-warning=SecurityWarning",
    ...reads(limits, file).map((path) => `--allow-fs-read=${path}`),
    ...writes(limits).map((path) => `--allow-fs-write=${path}`),
    ...may.flatMap(([name, allowed]) => (allowed === true ? [`--allow-${name}`] : []))
  ]
}

/** The file that starts a module: the entry, or the module itself where it is a bundle. */
const startFile = (url: string): string => (bundledAt(url) === undefined ? entryFile("worker") : fileOf(url))

/** The command line of a spare: a worker that is told later what it is, and without a bundle also which module it runs. */
export const resolveSpare = ({ heapSizeMb, module }: SpareProfile): CommandLine => {
  const file = module === undefined ? entryFile("worker") : startFile(urlOf(module))
  return { executable: process.execPath, args: [...flags, ...limitFlags({ heapSizeMb }, file), file, spareArgument] }
}

/** The module whose code a spare has in it from the start: that of a bundle. */
const heldBy = (module: string | undefined): string | undefined =>
  module === undefined || bundledAt(urlOf(module)) === undefined ? undefined : urlOf(module)

/** Variables that are read once, when a process starts. */
const readAtBoot = /^(?:NODE_|LD_|DYLD_|UV_|MALLOC_|SSL_CERT_|OPENSSL_)/

/** Which bundle a spare has in it, and of when; undefined when it loads its module once it is told which. */
export const version = (module: string | undefined): string | undefined => {
  const held = heldBy(module)
  if (held === undefined) return undefined
  const { ctimeNs, ino, size } = statSync(fileOf(held), { bigint: true })
  return [held, ino, size, ctimeNs].join(" ")
}

/** Whether such a spare can become this worker: nothing of it was to be said when the process was started. */
export const fitsSpare = (spec: WorkerSpec, { heapSizeMb, module }: SpareProfile): boolean =>
  spec._tag === "Module" &&
  heldBy(spec.module) === heldBy(module) &&
  spec.limits.permissions === undefined &&
  spec.limits.heapSizeMb === heapSizeMb &&
  !Object.keys(spec.options.env ?? {}).some((name) => readAtBoot.test(name)) &&
  // One that is not there is a start that fails, and told as such.
  (spec.options.cwd === undefined || existsSync(spec.options.cwd))

/** The URL of a module that was named by URL or path. */
export const urlOf = (module: string): string => (module.includes("://") ? module : pathToFileURL(module).href)

/** Path of a module's file; the module itself where it has none (a data: URL). */
const fileOf = (url: string): string => (url.startsWith("file:") ? fileURLToPath(url) : url)

/** The protocol of the bundle at this URL; undefined when that is no bundle. */
const bundledAt = (url: string): number | undefined =>
  url.startsWith("file:") ? bundleMark.protocolOf(fileOf(url)) : undefined

/** Why this module cannot be started here; undefined where nothing is known against it. */
export const obstacle = (spec: WorkerSpec): string | undefined => {
  const protocol = spec._tag === "Module" ? bundledAt(urlOf(spec.module)) : undefined
  if (protocol === undefined || protocol === Frame.protocolVersion || spec._tag !== "Module") return undefined
  const file = fileOf(urlOf(spec.module))
  return `${file} is a bundle that speaks version ${protocol} of the protocol, not ${Frame.protocolVersion}: bundle it again`
}

/** Executable and arguments of a spec. */
export const resolve = (spec: WorkerSpec): CommandLine => {
  switch (spec._tag) {
    case "Command":
      return { executable: spec.command, args: spec.args }
    case "Module": {
      const url = urlOf(spec.module)
      const limits = limitFlags(spec.limits, fileOf(url))
      return { executable: process.execPath, args: [...flags, ...limits, startFile(url), url, ...spec.args] }
    }
  }
}
