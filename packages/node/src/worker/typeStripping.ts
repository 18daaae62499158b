/**
 * Keeps user code with its types stripped, so that only the first worker that loads a file pays for
 * it. Node strips types by a WebAssembly program that costs a process some 40 ms to load, more than
 * everything else that a worker does until it is ready.
 *
 * Only ES modules in TypeScript are answered from here. Whatever else there is to say about a file,
 * a syntax error in particular, is left to Node.
 */
import { createHash } from "node:crypto"
import { readFileSync, renameSync, writeFileSync } from "node:fs"
import { registerHooks, stripTypeScriptTypes } from "node:module"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const read = (file: string): string | undefined => {
  try {
    return readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}

/** Another worker may write the same file at the same moment: each writes its own and moves it there. */
const write = (file: string, text: string): void => {
  try {
    writeFileSync(`${file}.${process.pid}`, text, { mode: 0o600 })
    renameSync(`${file}.${process.pid}`, file)
  } catch {
    // A full disk: the next worker strips it again.
  }
}

const strip = (source: string): string | undefined => {
  try {
    return stripTypeScriptTypes(source)
  } catch {
    // Node says better than we could what is wrong, when it loads the file itself.
    return undefined
  }
}

/**
 * Installs the hook. `folder` must be the user's own: what lies there is run. Without one nothing is
 * kept, and Node strips as ever.
 */
export const install = (folder: string | undefined): void => {
  if (folder === undefined) return
  registerHooks({
    load: (url, context, next) => {
      if (context.format !== "module-typescript" || !url.startsWith("file:")) return next(url, context)
      const source = read(fileURLToPath(new URL(url)))
      if (source === undefined) return next(url, context)
      const key = createHash("sha256").update(`${process.version}\0${source}`).digest("hex")
      const kept = join(folder, `stripped-${key}.js`)
      const known = read(kept)
      const stripped = known ?? strip(source)
      if (stripped === undefined) return next(url, context)
      if (known === undefined) write(kept, stripped)
      return { format: "module", source: stripped, shortCircuit: true }
    }
  })
}
