import * as sourceMap from "@nerve/node/worker/sourceMap"
import { build } from "esbuild"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { SourceMap } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nerve-map-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** A bundle of two files, whose statements take turns, with its map. */
const bundle = async (minifyWhitespace: boolean) => {
  writeFileSync(join(folder, "a.ts"), `import { b } from "./b.ts"\nexport const one = () => b()\nconsole.log(one())\n`)
  writeFileSync(join(folder, "b.ts"), `export const b = (): number => {\n  return 2\n}\n\nexport const c = "ö"\n`)
  const { outputFiles } = await build({
    entryPoints: [join(folder, "a.ts")],
    absWorkingDir: folder,
    bundle: true,
    format: "esm",
    sourcemap: "external",
    outfile: join(folder, "out.mjs"),
    minifyWhitespace,
    write: false
  })
  const map = outputFiles.find(({ path }) => path.endsWith(".map"))?.text ?? ""
  const code = outputFiles.find(({ path }) => !path.endsWith(".map"))?.text ?? ""
  return { map, code }
}

/** For each place of the code where it came from. */
const origins = (map: ConstructorParameters<typeof SourceMap>[0], code: string) => {
  const known = new SourceMap(map)
  return code.split("\n").flatMap((line, row) =>
    Array.from({ length: line.length + 1 }, (_, column) => {
      const { columnNumber, fileName, lineNumber } = { ...known.findOrigin(row + 1, column + 1) }
      return fileName === undefined || fileName === "" ? undefined : `${fileName}:${lineNumber}:${columnNumber}`
    })
  )
}

describe("a part of a source map", () => {
  it.each([true, false])("says of each place what the whole says, or nothing (minified: %s)", async (minified) => {
    const { code, map } = await bundle(minified)
    const whole = origins(JSON.parse(map), code)
    for (const wanted of ["a.ts", "b.ts"]) {
      const part = sourceMap.only(
        JSON.parse(map) as ConstructorParameters<typeof SourceMap>[0],
        (source) => source === wanted
      )
      const expected = whole.map((origin) => (origin?.startsWith(wanted) === true ? origin : undefined))
      expect(expected.filter((origin) => origin !== undefined).length).toBeGreaterThan(5)
      expect(origins(part, code)).toEqual(expected)
    }
  })
})
