/**
 * The version of a workflow's code: a hash over its module and all that it imports from the workspace,
 * directly or through others. Threads pin the version that they began with (see `ThreadLoop`).
 *
 * Imports are found in the text, by their relative specifiers: what a package of node_modules holds, or
 * what a module reads while it runs, is not part of the version.
 */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { readFileSync, statSync } from "node:fs"
import { dirname, join, relative, resolve, sep } from "node:path"

/** A version, and the files (absolute) that it was computed from. */
export interface CodeVersion {
  readonly version: string
  readonly files: ReadonlyArray<string>
}

/** Twelve hexadecimal digits: enough to tell versions apart, short enough to read. */
const digits = 12

/** Beyond any workflow; a circle of links must not go on for ever. */
const maxFiles = 2_000

/** `from "./x.ts"`, `import "./x.ts"`, `import("./x.ts")`. */
const specifiers = /\b(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"'\n]+)["']/g

/** The version of `file` (relative to the workspace); null when it cannot be read. */
export const of = (workspace: string, file: string): Effect.Effect<CodeVersion | null> =>
  Effect.sync(() => {
    const first = resolve(workspace, file)
    const texts = new Map<string, string>()
    const open = [first]
    for (let path = open.pop(); path !== undefined && texts.size < maxFiles; path = open.pop()) {
      if (texts.has(path)) continue
      const text = read(path)
      if (text === undefined) continue
      texts.set(path, text)
      for (const [, specifier = ""] of text.matchAll(specifiers)) {
        const imported = join(dirname(path), specifier)
        if (imported.startsWith(workspace + sep)) open.push(imported)
      }
    }
    if (!texts.has(first)) return null
    const files = [...texts.keys()].sort()
    const hash = createHash("sha256")
    for (const path of files) hash.update(`${relative(workspace, path)}\0${texts.get(path) ?? ""}\0`)
    return { version: hash.digest("hex").slice(0, digits), files }
  })

const read = (path: string): string | undefined => {
  const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
  return isFile ? readFileSync(path, "utf8") : undefined
}
