/**
 * What a workspace is made of, at one moment: nerve.yaml, the modules of senses and workflows, the
 * migrations, and whatever those modules import by relative paths, with a hash of each. Two such
 * snapshots tell what has changed; how one comes to look is `FileWatch`'s business.
 *
 * Imports are read off the text: so they are known of a module that does not load, too. Packages
 * (anything in a `node_modules`) and files that code reads while it runs are no sources.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Workspace } from "../daemon/Workspace.ts"

/** A source file. */
export interface Source {
  /** Of its content. */
  readonly hash: string
  /** Files that it names in relative imports, absolute, whether they exist or not. */
  readonly imports: ReadonlyArray<string>
  readonly isEmpty: boolean
  /** Identity, size and times, to tell without reading that nothing has changed. */
  readonly stat: string
  /** It was written a while before it was read, so that the next write shows in `stat`. */
  readonly isSettled: boolean
}

export interface Snapshot {
  /** By absolute path. */
  readonly files: ReadonlyMap<string, Source>
  /** Folders in which a change may matter. All exist. */
  readonly folders: ReadonlySet<string>
}

/** What is reloaded by itself. */
export interface Unit {
  readonly kind: "sense" | "workflow"
  readonly name: string
}

export const empty: Snapshot = { files: new Map(), folders: new Set() }

// --- what has changed

const folderOf = { sense: "senses", workflow: "workflows" } as const

const moduleExtensions = ["ts", "mts", "js", "mjs"]

/** The files of a unit, by absolute path: where its module may be, its migrations, and all that is imported. */
export const filesOf = (workspace: Workspace, snapshot: Snapshot, unit: Unit): ReadonlyMap<string, Source> => {
  const base = Path.join(workspace.root, folderOf[unit.kind], unit.name)
  const migrations = Path.join(base, "migrations")
  const open = [
    ...moduleExtensions.flatMap((extension) => [Path.join(base, `index.${extension}`), `${base}.${extension}`]),
    ...(unit.kind === "sense"
      ? [...snapshot.files.keys()].filter((file) => Path.dirname(file) === migrations && file.endsWith(".sql"))
      : [])
  ]
  const found = new Map<string, Source>()
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const source = snapshot.files.get(path)
    if (source === undefined || found.has(path)) continue
    found.set(path, source)
    open.push(...source.imports)
  }
  return found
}

/**
 * Files of the unit that have changed, relative to the workspace: other content, new, or gone. A file that
 * only begins or ceases to belong to it is not named: the one that imports it has changed.
 */
export const changesOf = (
  workspace: Workspace,
  before: Snapshot,
  after: Snapshot,
  unit: Unit
): ReadonlyArray<string> => {
  const old = filesOf(workspace, before, unit)
  const now = filesOf(workspace, after, unit)
  const changed = [...new Set([...old.keys(), ...now.keys()])].filter(
    (path) => old.get(path)?.hash !== now.get(path)?.hash
  )
  const others = changed.filter((path) => old.has(path) && now.has(path))
  const imported = new Set(others.flatMap((path) => [old, now].flatMap((files) => files.get(path)?.imports ?? [])))
  return changed
    .filter((path) => (old.has(path) && now.has(path)) || !imported.has(path))
    .map((path) => Path.relative(workspace.root, path))
    .sort()
}

/** Whether nerve.yaml is another, or is there no more, or again. */
export const isConfigChanged = (workspace: Workspace, before: Snapshot, after: Snapshot): boolean =>
  before.files.get(workspace.configFile)?.hash !== after.files.get(workspace.configFile)?.hash

/** Files that differ in content or existence, absolute. */
export const differences = (before: Snapshot, after: Snapshot): ReadonlyArray<string> => [
  ...[...before.files.keys()].filter((path) => !after.files.has(path)),
  ...[...after.files].filter(([path, { hash }]) => before.files.get(path)?.hash !== hash).map(([path]) => path)
]

/** Something was there and is empty or gone: an editor may be in the middle of saving it. */
export const isHalfWay = (before: Snapshot, after: Snapshot): boolean =>
  [...before.files].some(([path, { isEmpty }]) => !isEmpty && (after.files.get(path)?.isEmpty ?? true))

// --- looking

/** Folders that hold no sources, however they are linked. */
const isForeign = (path: string): boolean => path.split(Path.sep).includes("node_modules")

const isSource = (name: string): boolean => /\.(?:[cm]?[jt]s|json|sql)$/.test(name)

const isCode = (name: string): boolean => /\.[cm]?[jt]s$/.test(name)

/** More than any workspace has: what is beyond is not watched. */
const maxFiles = 20_000

/** Times of files are as coarse as the system's tick: what is younger may change without a trace in them. */
const settlesInMs = 50

/** `from "./x.ts"`, `import "./x.ts"`, `import("./x.ts")`, `require("./x.cjs")`, `new URL("./x.wasm"`. */
const specifiers = /\b(?:from|import|require|URL)\s*\(?\s*["'](\.{1,2}\/[^"'?#\n]+)[^"'\n]*["']/g

/** How the workspace is now. What has not changed since `before` is not read again. */
export const look = Effect.fnUntraced(function* (workspace: Workspace, before: Snapshot): Effect.fn.Return<Snapshot> {
  const files = new Map<string, Source>()
  const folders = new Set<string>()
  const visited = new Set<string>()
  const now = yield* Clock.currentTimeMillis

  const add = (path: string): ReadonlyArray<string> => {
    if (files.has(path) || files.size >= maxFiles) return []
    noteFolders(path, folders)
    const source = read(path, before.files.get(path), now)
    if (source === undefined) return []
    files.set(path, source)
    return source.imports
  }

  add(workspace.configFile)
  folders.add(workspace.root)

  const open = [workspace.sensesDir, workspace.workflowsDir]
  const imported: Array<string> = []
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    // A big workspace must not hold up the daemon.
    yield* Effect.yieldNow
    const real = attempt(() => Fs.realpathSync(folder))
    if (real === undefined || visited.has(real)) continue
    visited.add(real)
    const names = attempt(() => Fs.readdirSync(folder))
    if (names === undefined) continue
    folders.add(folder)
    for (const name of names) {
      if (name.startsWith(".") || name === "node_modules") continue
      const path = Path.join(folder, name)
      if (isSource(name)) imported.push(...add(path))
      else if (isFolder(path)) open.push(path)
    }
  }
  for (let path = imported.pop(); path !== undefined; path = imported.pop()) {
    if (!isForeign(path)) imported.push(...add(path))
  }
  return { files, folders }
})

/** The folder of the file, or the nearest above it that exists; and that of what it is a link to. */
const noteFolders = (path: string, folders: Set<string>): void => {
  let folder = Path.dirname(path)
  while (!folders.has(folder) && !isFolder(folder)) folder = Path.dirname(folder)
  folders.add(folder)
  const real = attempt(() => Fs.realpathSync(path))
  if (real !== undefined && real !== path) folders.add(Path.dirname(real))
}

const read = (path: string, known: Source | undefined, now: number): Source | undefined => {
  const found = attempt(() => Fs.statSync(path, { bigint: true }))
  if (found === undefined || !found.isFile()) return undefined
  const stat = [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(":")
  if (known?.stat === stat && known.isSettled) return known
  const content = attempt(() => Fs.readFileSync(path))
  if (content === undefined) return undefined
  const written = Number(found.mtimeMs > found.ctimeMs ? found.mtimeMs : found.ctimeMs)
  return {
    hash: createHash("sha256").update(content).digest("base64url"),
    imports: isCode(path) ? importsOf(path, content.toString("utf8")) : [],
    isEmpty: content.length === 0,
    stat,
    isSettled: now - written > settlesInMs
  }
}

const importsOf = (path: string, text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(specifiers), ([, specifier = ""]) => Path.resolve(Path.dirname(path), specifier))

const isFolder = (path: string): boolean => attempt(() => Fs.statSync(path).isDirectory()) ?? false

/** What is deleted, forbidden or replaced while it is looked at counts as not there. */
const attempt = <A>(operation: () => A): A | undefined => {
  try {
    return operation()
  } catch {
    return undefined
  }
}
