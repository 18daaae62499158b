/**
 * Checks who imports whom, in every TypeScript and JavaScript file of the workspace:
 *
 * - `direction`: core <- runtime <- node <- cli, in sources and in package.json; examples and cli at the end
 * - `relative`: a relative import ends in its file's extension, names a file that exists, and stays in its package
 *   (a test may run a suite among the tests of a package that its own may import)
 * - `internal`: nobody reaches into another package's `internal/`
 * - `node`: core and runtime import nothing of Node's own
 * - `barrel`: core, runtime and node import Effect by module, never the barrel (it costs a worker 180 ms)
 * - `undeclared`: every package that is imported is declared in the importer's package.json
 * - `cycle`: no cycle between files by imports that exist at run time (type-only imports are erased)
 *
 * `node scripts/checkImports.ts` prints each fault as `file:line rule: message` and exits 1 if there are any.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { builtinModules } from "node:module"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"

/** What each package of the line may import of the others. */
const line: Readonly<Record<string, ReadonlyArray<string>>> = {
  "@nerve/core": [],
  "@nerve/runtime": ["@nerve/core"],
  "@nerve/node": ["@nerve/core", "@nerve/runtime"],
  "@nerve/cluster": ["@nerve/core", "@nerve/runtime"],
  "@nerve/cli": ["@nerve/core", "@nerve/runtime", "@nerve/node"]
}

/** An example is user code: of nerve it knows what authors import. */
const examples: ReadonlyArray<string> = ["@nerve/core"]

const withoutNode = new Set(["@nerve/core", "@nerve/runtime", "@nerve/cluster"])
const withoutBarrel = new Set(["@nerve/core", "@nerve/runtime", "@nerve/node", "@nerve/cluster"])
const builtins = new Set(builtinModules)

/** One thing that is wrong. `file` is relative to the workspace, `line` counts from 1. */
export interface Fault {
  readonly file: string
  readonly line: number
  readonly rule: "direction" | "relative" | "internal" | "node" | "barrel" | "undeclared" | "cycle"
  readonly message: string
}

/** One import as written. `erased`: a type-only import, which does not exist at run time. */
export interface Import {
  readonly specifier: string
  readonly line: number
  readonly erased: boolean
}

interface Package {
  readonly name: string
  /** Absolute path. */
  readonly folder: string
  readonly kind: "library" | "example" | "scripts"
  readonly dependencies: ReadonlySet<string>
  readonly devDependencies: ReadonlySet<string>
}

interface SourceFile {
  /** Absolute path. */
  readonly path: string
  readonly owner: Package
  /** Product code, as opposed to tests and settings. */
  readonly isSource: boolean
  readonly imports: ReadonlyArray<Import>
}

/** Blanks out comments, template literals and all strings but those that an import names. Keeps line breaks. */
const strip = (text: string): string =>
  text.replaceAll(
    /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (token: string, at: number) =>
      /^["']/.test(token) && /\b(?:from|import|import\s*\()\s*$/.test(text.slice(Math.max(0, at - 20), at))
        ? token
        : token.replaceAll(/[^\n]/g, " ")
  )

const statement =
  /^[ \t]*(?:import|export)\b\s*(?<type>type\b(?!\s*(?:,|from\b)))?(?<clause>[\w\s*{},$]*?)\bfrom\s*["'](?<from>[^"'\n]+)["']|^[ \t]*import\s*["'](?<bare>[^"'\n]+)["']|\bimport\s*\(\s*["'](?<dynamic>[^"'\n]+)["']/gm

/** The imports and re-exports of a module's text. */
export const importsOf = (text: string): ReadonlyArray<Import> => {
  const source = strip(text)
  return Array.from(source.matchAll(statement), (match) => {
    const groups = match.groups ?? {}
    const leading = match[0].length - match[0].trimStart().length
    return {
      specifier: groups["from"] ?? groups["bare"] ?? groups["dynamic"] ?? "",
      line: source.slice(0, match.index + leading).split("\n").length,
      erased: groups["type"] !== undefined
    }
  })
}

const readJson = (file: string): Record<string, unknown> => {
  const value: unknown = JSON.parse(readFileSync(file, "utf8"))
  return typeof value === "object" && value !== null ? { ...value } : {}
}

const keysOf = (value: unknown): ReadonlyArray<string> =>
  typeof value === "object" && value !== null ? Object.keys(value) : []

const readPackage = (folder: string, kind: Package["kind"]): ReadonlyArray<Package> => {
  const file = join(folder, "package.json")
  if (!existsSync(file)) return []
  const json = readJson(file)
  return [
    {
      name: String(json["name"]),
      folder,
      kind,
      dependencies: new Set([...keysOf(json["dependencies"]), ...keysOf(json["peerDependencies"])]),
      devDependencies: new Set(keysOf(json["devDependencies"]))
    }
  ]
}

const subfolders = (folder: string): ReadonlyArray<string> =>
  existsSync(folder)
    ? readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => join(folder, entry.name))
    : []

const skipped = new Set(["node_modules", "dist", "data", "coverage"])

const filesBelow = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return skipped.has(entry.name) || entry.name.startsWith(".") ? [] : filesBelow(path)
    return /\.(?:[cm]?[jt]s|tsx)$/.test(entry.name) ? [path] : []
  })

const readFiles = (owner: Package): ReadonlyArray<SourceFile> =>
  filesBelow(owner.folder).map((path) => ({
    path,
    owner,
    isSource: !relative(owner.folder, path).startsWith("test"),
    imports: importsOf(readFileSync(path, "utf8"))
  }))

/** `@nerve/core/domain/Ids` is of the package `@nerve/core`, `effect/Effect` of `effect`. */
const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/")

const isBuiltin = (specifier: string): boolean =>
  specifier.startsWith("node:") || builtins.has(specifier.split("/")[0] ?? "")

const allowedOf = (owner: Package): ReadonlyArray<string> | undefined =>
  owner.kind === "example" ? examples : line[owner.name]

/** A test may run a suite that lies among the tests of a package which its own may import. */
const isSharedTest = (file: SourceFile, target: string, packages: ReadonlyArray<Package>): boolean => {
  const other = packages.find((candidate) => target.startsWith(join(candidate.folder, "test/")))
  return !file.isSource && other !== undefined && (allowedOf(file.owner)?.includes(other.name) ?? false)
}

/** Faults of one import that can be seen without looking at other files. */
const faultsOf = (
  file: SourceFile,
  { line: at, specifier }: Import,
  context: {
    readonly root: string
    readonly rootDependencies: ReadonlySet<string>
    readonly packages: ReadonlyArray<Package>
    readonly known: ReadonlySet<string>
  }
): ReadonlyArray<Fault> => {
  const { owner } = file
  const fault = (rule: Fault["rule"], message: string): Fault => ({
    file: relative(context.root, file.path),
    line: at,
    rule,
    message
  })
  if (specifier.startsWith(".")) {
    const target = resolve(dirname(file.path), specifier)
    if (relative(owner.folder, target).startsWith("..") && !isSharedTest(file, target, context.packages)) {
      return [fault("relative", `${specifier} leaves the package; import it by its package name`)]
    }
    // Built files and generated ones are not there in a fresh checkout.
    if (target.includes("/dist/") || existsSync(target)) return []
    return [fault("relative", `${specifier} names no file; relative imports end in the file's extension`)]
  }
  if (isBuiltin(specifier)) {
    if (file.isSource && withoutNode.has(owner.name)) {
      return [fault("node", `${specifier} is Node's own; only node and cli import it`)]
    }
    return []
  }
  const name = packageOf(specifier)
  const faults: Array<Fault> = []
  const allowed = allowedOf(owner)
  if (context.known.has(name) && name !== owner.name) {
    if (/(?:^|\/)internal\//.test(specifier.slice(name.length + 1))) {
      faults.push(fault("internal", `${specifier} is internal to ${name}`))
    }
    if (file.isSource && allowed !== undefined && !allowed.includes(name)) {
      faults.push(fault("direction", `${owner.name} must not import ${name}`))
    }
  }
  if (specifier === "effect" && file.isSource && withoutBarrel.has(owner.name)) {
    faults.push(fault("barrel", 'import Effect by module: import * as Effect from "effect/Effect"'))
  }
  const declared =
    name === owner.name ||
    owner.dependencies.has(name) ||
    // Tests and chores may also use what the root declares for everybody.
    ((!file.isSource || owner.kind === "scripts") &&
      (owner.devDependencies.has(name) || context.rootDependencies.has(name)))
  if (!declared) {
    faults.push(fault("undeclared", `${name} is not among the dependencies of ${owner.name}'s package.json`))
  }
  return faults
}

/** Where an import of the workspace leads, or undefined for one that leaves it. */
const targetOf = (file: SourceFile, specifier: string, packages: ReadonlyArray<Package>): string | undefined => {
  if (specifier.startsWith(".")) return resolve(dirname(file.path), specifier)
  const owner = packages.find((candidate) => candidate.name === packageOf(specifier))
  if (owner === undefined) return undefined
  const subpath = specifier.slice(owner.name.length + 1)
  return join(owner.folder, "src", `${subpath === "" ? "index" : subpath}.ts`)
}

/** Each cycle once, by a depth-first walk; a cycle is told where its last import closes it. */
const cyclesOf = (
  files: ReadonlyArray<SourceFile>,
  packages: ReadonlyArray<Package>,
  root: string
): ReadonlyArray<Fault> => {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const done = new Set<string>()
  const trail: Array<string> = []
  const faults: Array<Fault> = []
  const visit = (file: SourceFile): void => {
    trail.push(file.path)
    for (const current of file.imports) {
      if (current.erased) continue
      const target = byPath.get(targetOf(file, current.specifier, packages) ?? "")
      if (target === undefined || done.has(target.path)) continue
      const start = trail.indexOf(target.path)
      if (start === -1) {
        visit(target)
        continue
      }
      const names = [...trail.slice(start), target.path].map((path) => relative(root, path))
      faults.push({
        file: relative(root, file.path),
        line: current.line,
        rule: "cycle",
        message: names.join(" -> ")
      })
    }
    trail.pop()
    done.add(file.path)
  }
  for (const file of files) if (!done.has(file.path)) visit(file)
  return faults
}

const manifestFaults = (owner: Package, known: ReadonlySet<string>, root: string): ReadonlyArray<Fault> => {
  const allowed = allowedOf(owner)
  if (allowed === undefined) return []
  return Array.from(owner.dependencies)
    .filter((name) => known.has(name) && !allowed.includes(name))
    .map((name) => ({
      file: relative(root, join(owner.folder, "package.json")),
      line: 1,
      rule: "direction",
      message: `${owner.name} must not depend on ${name}`
    }))
}

/** All faults of the workspace at `root` (absolute path), by file and line. */
export const checkImports = (root: string): ReadonlyArray<Fault> => {
  const packages = [
    ...subfolders(join(root, "packages")).flatMap((folder) => readPackage(folder, "library")),
    ...subfolders(join(root, "examples")).flatMap((folder) => readPackage(folder, "example")),
    ...readPackage(join(root, "scripts"), "scripts")
  ]
  const known = new Set(packages.map((current) => current.name))
  const manifest = readJson(join(root, "package.json"))
  const rootDependencies = new Set([...keysOf(manifest["dependencies"]), ...keysOf(manifest["devDependencies"])])
  const files = packages.flatMap(readFiles)
  return [
    ...packages.flatMap((owner) => manifestFaults(owner, known, root)),
    ...files.flatMap((file) =>
      file.imports.flatMap((current) => faultsOf(file, current, { root, rootDependencies, packages, known }))
    ),
    ...cyclesOf(files, packages, root)
  ].toSorted((left, right) => left.file.localeCompare(right.file) || left.line - right.line)
}

if (import.meta.main) {
  const faults = checkImports(dirname(dirname(fileURLToPath(import.meta.url))))
  for (const fault of faults) console.error(`${fault.file}:${fault.line} ${fault.rule}: ${fault.message}`)
  console.error(faults.length === 0 ? "imports: no faults" : `imports: ${faults.length} faults`)
  process.exitCode = faults.length === 0 ? 0 : 1
}
