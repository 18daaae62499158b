/**
 * Lets user code share the modules that the bundled worker entry carries. Without it, a user's
 * `import * as Effect from "effect/Effect"` would read and compile some hundred files that are in the
 * process already (100 to 300 ms of each boot), and it would be a second copy of Effect: effects get
 * along across copies of one version, schemas do not.
 *
 * A module hook answers from the bundle:
 * - the specifiers of the bundled modules;
 * - the barrels (`effect`, `effect/rpc`, …), when all names that the importing file takes are bundled;
 * - what the user's own copy of Effect imports by relative path, so that its other modules run on the
 *   bundled ones.
 *
 * A copy of Effect that the importing file would otherwise get must be of the bundle's version; where there
 * is none, the bundle serves.
 */
import { fileURLToPath } from "node:url"
import { fs, nodeModule } from "./builtins.ts"

const scheme = "nerve-shared:"

/** What a bundle shares. */
export interface Shared {
  /** URLs of the bundle's files by specifier. They are loaded when they are asked for. */
  readonly files: Readonly<Record<string, string>>
  /** Barrels: modules whose exports are modules, as specifiers by the name of the export. */
  readonly barrels: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** Names that the barrel `effect` takes from `effect/Function` one by one. */
  readonly functions: ReadonlyArray<string>
  /** Of the Effect that is bundled. */
  readonly effectVersion: string
}

const isEffect = /^effect(?:\/|$)/

/** Strings stay, so that what looks like a comment in one stays with it. */
const withoutComments = (source: string): string =>
  source.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (_all, text: string | undefined) => text ?? " "
  )

/** The names that a source imports from a specifier, or undefined when it takes all of it. */
const importedNames = (text: string, specifier: string): ReadonlyArray<string> | undefined => {
  const source = withoutComments(text)
  const escaped = specifier.replace(/[/.]/g, "\\$&")
  const statements = [
    ...source.matchAll(new RegExp(`(?:import|export)\\s+(type\\s+)?([^"';]*?)\\s*from\\s*["']${escaped}["']`, "g"))
  ]
  // What a file takes at run time cannot be read off it.
  if (new RegExp(`(?:import|require)\\s*\\(\\s*["'\`]${escaped}["'\`]`).test(source)) return undefined
  if (statements.length === 0) return undefined
  const names: Array<string> = []
  for (const [, isType, clause] of statements) {
    if (isType !== undefined) continue
    const braces = /^\{([^}]*)\}$/.exec(clause ?? "")
    if (braces === null) return undefined
    for (const part of (braces[1] ?? "").split(",")) {
      const name = part.trim().split(/\s+as\s+/)[0] ?? ""
      if (name !== "" && !name.startsWith("type ")) names.push(name)
    }
  }
  return names
}

const sourceOf = (parentUrl: string | undefined): string | undefined => {
  if (parentUrl === undefined || !parentUrl.startsWith("file:")) return undefined
  try {
    return fs.readFileSync(fileURLToPath(new URL(parentUrl)), "utf8")
  } catch {
    return undefined
  }
}

/** The user's copy of Effect was found to be of another version than the bundle's. */
const otherVersion = (found: string, own: string, root: string): Error =>
  new Error(
    `${root} is effect ${found}; nerve's workers carry effect ${own}, and the two do not mix: install effect@${own}`
  )

const ownFile = /^(file:.*\/effect\/)dist\/(.+)\.js$/

const read = (url: URL): string | undefined => {
  try {
    return fs.readFileSync(url, "utf8")
  } catch {
    return undefined
  }
}

/** The version of the copy of Effect in this folder; undefined when there is none. */
const versionIn = (root: URL): string | undefined => {
  const text = read(new URL("package.json", root))
  if (text === undefined) return undefined
  const manifest: unknown = JSON.parse(text)
  return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "?"
}

/** Throws when there is a copy of Effect of another version than the bundle's; tells whether there is one. */
const makeCheck = (version: string): ((root: URL) => boolean) => {
  const checked = new Map<string, boolean>()
  return (root) => {
    const known = checked.get(root.href)
    if (known !== undefined) return known
    const found = versionIn(root)
    if (found !== undefined && found !== version) throw otherVersion(found, version, fileURLToPath(root))
    checked.set(root.href, found !== undefined)
    return found !== undefined
  }
}

/** Installs the hook. Call it once, before user code is loaded. */
export const install = ({ barrels, effectVersion, files, functions }: Shared): void => {
  // No prototype: a package named `constructor` is none of ours.
  const modules: Record<string, string> = Object.assign(Object.create(null), files)
  const ownUrls = new Set(Object.values(files))
  const check = makeCheck(effectVersion)

  /** Where each name of a barrel comes from, as a line of the module that stands in for it. */
  const lines = new Map<string, ReadonlyMap<string, string>>()
  for (const [barrel, members] of Object.entries(barrels)) {
    const byName = new Map<string, string>()
    if (barrel === "effect") {
      for (const name of functions) byName.set(name, exporting(name, modules["effect/Function"]))
    }
    for (const [name, specifier] of Object.entries(members))
      byName.set(name, exporting(`* as ${name}`, modules[specifier]))
    lines.set(barrel, byName)
  }

  /** The URL that answers a specifier; undefined when Node is to look. */
  const answer = (specifier: string, parentUrl: string | undefined): string | undefined => {
    const byName = lines.get(specifier)
    if (byName === undefined) return modules[specifier]
    const source = sourceOf(parentUrl)
    const names = source === undefined ? undefined : importedNames(source, specifier)
    return names !== undefined && names.every((name) => byName.has(name))
      ? `${scheme}${specifier}?${[...new Set(names)].join(",")}`
      : modules[specifier]
  }

  /** The specifier of a file of the user's copy of Effect, once its version was checked. */
  const ownSpecifier = (url: string): string | undefined => {
    const [, root, name] = ownFile.exec(url) ?? []
    if (root === undefined || name === undefined) return undefined
    check(new URL(root))
    return `effect/${name}`
  }

  /**
   * Looks where Node would look for the importing file's copy of Effect. Not by Node's own resolution: that costs a
   * worker's start some 2 ms.
   */
  const checkFrom = (parentUrl: string | undefined): void => {
    if (parentUrl === undefined || !parentUrl.startsWith("file:")) return
    let folder = new URL(".", parentUrl)
    while (!check(new URL("node_modules/effect/", folder)) && folder.pathname !== "/") folder = new URL("..", folder)
  }

  const found = (url: string) => ({ url, format: "module", shortCircuit: true })

  nodeModule.registerHooks({
    resolve: (specifier, context, next) => {
      if (ownUrls.has(specifier)) return found(specifier)
      const url = answer(specifier, context.parentURL)
      if (url !== undefined) {
        if (isEffect.test(specifier)) checkFrom(context.parentURL)
        return found(url)
      }
      const resolved = next(specifier, context)
      if (!resolved.url.includes("/effect/dist/")) return resolved
      const own = modules[ownSpecifier(resolved.url) ?? ""]
      return own === undefined ? resolved : found(own)
    },
    load: (url, context, next) => {
      if (!url.startsWith(scheme)) return next(url, context)
      const [barrel = "", names = ""] = url.slice(scheme.length).split("?")
      const byName = lines.get(barrel)
      const source = names.split(",").map((name) => byName?.get(name) ?? "")
      return { format: "module", shortCircuit: true, source: source.join("\n") }
    }
  })
}

const exporting = (what: string, url: string | undefined): string =>
  `export ${what.startsWith("*") ? what : `{ ${what} }`} from ${JSON.stringify(url)};`
