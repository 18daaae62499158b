/**
 * Has a module import from a package's modules what it imports from the package's barrel: `import { Effect } from
 * "effect"` as `import * as Effect from "effect/Effect"`. The two mean the same, but of a namespace that comes through
 * a barrel esbuild keeps everything, and a bundle with all of Effect is four times as large.
 *
 * Only the imports that a module begins with are looked at. Lines stay where they are, for stacks.
 */

/** What a module may take from a barrel of Effect or of nerve. */
export const specifiersIn = (text: string): ReadonlyArray<string> => [
  ...new Set(Array.from(text.matchAll(/["'](effect(?:\/\w+)?|@nerve\/\w+)["']/g), ([, specifier = ""]) => specifier))
]

/** Of a barrel its exports that are modules: paths by name. */
export type Members = ReadonlyMap<string, string>

/** The members of a barrel, by its text. `resolve` makes a path of what it says, such as `./Effect.js`. Pure. */
export const membersOf = (barrel: string, resolve: (relative: string) => string): Members =>
  new Map(
    Array.from(barrel.matchAll(/^export \* as (\w+) from ["'](\.[^"'\n]+)["']/gm), ([, name = "", path = ""]) => [
      name,
      resolve(path)
    ])
  )

/** White space, comments, directives, and imports of any other form. */
const between =
  /(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/|#![^\n]*|(?:"use strict"|'use strict');?|import\s*["'][^"'\n]*["'];?|import\s+(?![\s{])[^"'();]*?\bfrom\s*["'][^"'\n]*["'](?:\s*with\s*\{[^{}]*\})?;?)*/y

const named = /import\s*\{([^{}"'();]*)\}\s*from\s*(["'])([^"'\n]*)\2(?!\s*with\b);?/y

/** A name of an import's braces. */
interface Binding {
  readonly text: string
  readonly imported: string
  readonly local: string
}

const bindingsOf = (braces: string): ReadonlyArray<Binding> =>
  braces
    .split(",")
    .map((part) => part.trim())
    .filter((text) => text !== "")
    .map((text) => {
      const [imported = "", local = imported] = text.split(/\s+as\s+/)
      return { text, imported, local }
    })

/** The statements that stand for one, on as many lines. */
const direct = (statement: string, bindings: ReadonlyArray<Binding>, specifier: string, members: Members): string => {
  const rest = bindings.filter(({ imported }) => !members.has(imported))
  const statements = bindings.flatMap(({ imported, local }) => {
    const path = members.get(imported)
    return path === undefined ? [] : [`import * as ${local} from ${JSON.stringify(path)};`]
  })
  if (rest.length > 0) {
    statements.push(`import { ${rest.map(({ text }) => text).join(", ")} } from ${JSON.stringify(specifier)};`)
  }
  return statements.join(" ") + "\n".repeat(statement.split("\n").length - 1)
}

/** The module's text with its barrel imports made direct; undefined where it has none. Pure, but for `members`. */
export const rewrite = (text: string, members: (specifier: string) => Members | undefined): string | undefined => {
  let [at, written, found] = [0, "", false]
  for (;;) {
    between.lastIndex = at
    written += between.exec(text)?.[0] ?? ""
    named.lastIndex = between.lastIndex
    const [statement, braces = "", , specifier = ""] = named.exec(text) ?? []
    if (statement === undefined) break
    const of = members(specifier)
    // A comment within the braces: left as it is.
    const isPlain = /^[\w$\s,]*$/.test(braces)
    if (of !== undefined && isPlain) found = true
    written += of !== undefined && isPlain ? direct(statement, bindingsOf(braces), specifier, of) : statement
    at = named.lastIndex
  }
  return found ? written + text.slice(between.lastIndex) : undefined
}
