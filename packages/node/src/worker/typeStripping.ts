/**
 * Keeps user code with its types stripped, so that only the first worker that loads a file pays for
 * it. Node strips types by a WebAssembly program that costs a process some 40 ms to load, more than
 * everything else that a worker does until it is ready.
 *
 * Each change of a file leaves another stripped one behind, so their number is bounded: the oldest go.
 *
 * Only ES modules in TypeScript are answered from here. Whatever else there is to say about a file,
 * a syntax error in particular, is left to Node.
 */
import type { BigIntStats } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { fs, nodeModule } from "./builtins.ts"

/** Stripped files kept at most. One that was removed too early costs the next worker its 40 ms, once. */
export const maxKept = 1000

const prefix = "stripped-"

const read = (file: string): string | undefined => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}

/** A file that changed this shortly before may change once more without a sign: its times may be as coarse as that. */
const tooFreshMs = 20

/** The file as it is now. By a hash it would be surer, but to load what hashes costs a worker 8 ms and 1.4 MB. */
const identity = ({ ctimeNs, dev, ino, mtimeNs, size }: BigIntStats): string =>
  [dev, ino, size, mtimeNs, ctimeNs].map((part) => part.toString(36)).join("-")

const look = (file: string): BigIntStats | undefined => {
  try {
    return fs.statSync(file, { bigint: true })
  } catch {
    return undefined
  }
}

/** Another worker may write the same file at the same moment: each writes its own and moves it there. */
const write = (file: string, text: string): void => {
  try {
    fs.writeFileSync(`${file}.${process.pid}`, text, { mode: 0o600 })
    fs.renameSync(`${file}.${process.pid}`, file)
  } catch {
    // A full disk: the next worker strips it again.
  }
}

const modified = (file: string): number => fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Removes the older half when there are too many; what a worker that was killed has left half written, too. */
const prune = (folder: string, limit: number): void => {
  try {
    const names = fs.readdirSync(folder).filter((name) => name.startsWith(prefix))
    if (names.length <= limit) return
    const byAge = names.map((name) => ({ name, at: modified(join(folder, name)) })).sort((a, b) => a.at - b.at)
    for (const { name } of byAge.slice(0, byAge.length - Math.floor(limit / 2))) {
      fs.rmSync(join(folder, name), { force: true })
    }
  } catch {
    // Another worker does the same at this moment, or the folder is gone: the next one looks again.
  }
}

const strip = (source: string): string | undefined => {
  try {
    return nodeModule.stripTypeScriptTypes(source)
  } catch {
    // Node says better than we could what is wrong, when it loads the file itself.
    return undefined
  }
}

/**
 * Installs the hook. `folder` must be the user's own: what lies there is run. Without one nothing is
 * kept, and Node strips as ever.
 */
export const install = (folder: string | undefined, limit: number = maxKept): void => {
  if (folder === undefined) return
  nodeModule.registerHooks({
    load: (url, context, next) => {
      if (context.format !== "module-typescript" || !url.startsWith("file:")) return next(url, context)
      const file = fileURLToPath(new URL(url))
      const found = look(file)
      if (found === undefined) return next(url, context)
      const kept = join(folder, `${prefix}${process.version}-${identity(found)}.js`)
      const known = read(kept)
      if (known !== undefined) return { format: "module", source: known, shortCircuit: true }
      const source = read(file)
      const stripped = source === undefined ? undefined : strip(source)
      if (stripped === undefined) return next(url, context)
      if (Date.now() - Number(found.ctimeMs) > tooFreshMs) {
        write(kept, stripped)
        prune(folder, limit)
      }
      return { format: "module", source: stripped, shortCircuit: true }
    }
  })
}
