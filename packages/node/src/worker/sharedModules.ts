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
import { readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"

const scheme = "nerve-shared:"

/** Modules by specifier, as `import *` gives them. */
export type Shared = Readonly<Record<string, object>>

/** Barrels whose exports are modules: `effect` gives `Effect` for `effect/Effect`. */
const barrels = ["effect", "effect/rpc", "effect/sql"]

const isEffect = /^effect(?:\/|$)/

const identifier = /^[A-Za-z_$][\w$]*$/

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
    return readFileSync(fileURLToPath(new URL(parentUrl)), "utf8")
  } catch {
    return undefined
  }
}

/** The members of a barrel that the bundle has. */
const barrelMembers = (shared: Shared, barrel: string): Record<string, object> => {
  const members: Record<string, object> = {}
  for (const [specifier, module] of Object.entries(shared)) {
    const name = specifier.slice(barrel.length + 1)
    if (specifier.startsWith(`${barrel}/`) && identifier.test(name)) members[name] = module
  }
  return members
}

/** The user's copy of Effect was found to be of another version than the bundle's. */
const otherVersion = (found: string, own: string, root: string): Error =>
  new Error(
    `${root} is effect ${found}; nerve's workers carry effect ${own}, and the two do not mix: install effect@${own}`
  )

const ownFile = /^(file:.*\/effect\/)dist\/(.+)\.js$/

const read = (url: URL): string | undefined => {
  try {
    return readFileSync(url, "utf8")
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

/** Installs the hook. `version` is the bundle's of Effect. Call it once, before user code is loaded. */
export const install = (shared: Shared, version: string): void => {
  // No prototype: a package named `constructor` is none of ours.
  const modules: Record<string, object> = Object.assign(Object.create(null), shared)
  const check = makeCheck(version)
  for (const barrel of barrels) {
    const functions = barrel === "effect" ? shared["effect/Function"] : undefined
    modules[barrel] = { ...functions, ...barrelMembers(shared, barrel) }
  }
  // The synthetic modules below read their exports from here.
  Object.defineProperty(globalThis, Symbol.for(scheme), { value: modules })

  const answers = (specifier: string, parentUrl: string | undefined): boolean => {
    const module = modules[specifier]
    if (module === undefined) return false
    if (!barrels.includes(specifier) && specifier !== "@nerve/runtime") return true
    const source = sourceOf(parentUrl)
    const names = source === undefined ? undefined : importedNames(source, specifier)
    return names !== undefined && names.every((name) => Object.hasOwn(module, name))
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

  const sharedUrl = (specifier: string) => ({ url: `${scheme}${specifier}`, shortCircuit: true })

  registerHooks({
    resolve: (specifier, context, next) => {
      if (answers(specifier, context.parentURL)) {
        if (isEffect.test(specifier)) checkFrom(context.parentURL)
        return sharedUrl(specifier)
      }
      const resolved = next(specifier, context)
      if (!resolved.url.includes("/effect/dist/")) return resolved
      const own = ownSpecifier(resolved.url)
      return own !== undefined && own in modules ? sharedUrl(own) : resolved
    },
    load: (url, context, next) => {
      if (!url.startsWith(scheme)) return next(url, context)
      const specifier = url.slice(scheme.length)
      const names = Object.keys(modules[specifier] ?? {}).filter((name) => identifier.test(name) && name !== "default")
      const lines = names.map((name, i) => `const e${i} = m[${JSON.stringify(name)}]; export { e${i} as ${name} };`)
      return {
        format: "module",
        shortCircuit: true,
        source: `const m = globalThis[Symbol.for(${JSON.stringify(scheme)})][${JSON.stringify(specifier)}];\n${lines.join("\n")}`
      }
    }
  })
}
