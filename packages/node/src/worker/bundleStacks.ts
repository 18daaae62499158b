/**
 * Has the stacks of a bundled worker name the files that it was made of. Node's own way, `--enable-source-maps`, reads
 * the map while the worker boots, for Effect looks at a stack as it loads; that costs 20 ms and 3 MB. Here it is read
 * when an error of the worker is first shown.
 */
import type { SourceMap } from "node:module"
import { fs, nodeModule } from "./builtins.ts"

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** The map beside the bundle; null when there is none that can be used. */
const read = (url: string): SourceMap | null => {
  try {
    return new nodeModule.SourceMap(JSON.parse(fs.readFileSync(new URL(`${url}.map`), "utf8")))
  } catch {
    return null
  }
}

/** A text in which each place in the bundle is replaced by where it came from, as far as the map says. */
export const naming = (url: string): ((text: string) => string) => {
  const places = new RegExp(`${escaped(url)}:(\\d+):(\\d+)`, "g")
  let map: SourceMap | null | undefined
  return (text) => {
    if (!text.includes(url)) return text
    map ??= read(url)
    const known = map
    if (known === null) return text
    return text.replaceAll(places, (place, line, column) => {
      const origin = known.findOrigin(Number(line), Number(column))
      return "fileName" in origin
        ? `${new URL(origin.fileName, url).href}:${origin.lineNumber}:${origin.columnNumber}`
        : place
    })
  }
}

/** What V8 does without a function of its own. */
const plain = (error: Error, trace: ReadonlyArray<NodeJS.CallSite>): string =>
  [String(error), ...trace.map(String)].join("\n    at ")

/** For the bundle at this URL. Who sets `Error.prepareStackTrace` afterwards gets what it gives. */
export const install = (url: string): void => {
  const named = naming(url)
  const before = Error.prepareStackTrace ?? plain
  Error.prepareStackTrace = (error, trace) => {
    const stack: unknown = before(error, trace)
    return typeof stack === "string" ? named(stack) : stack
  }
}
