/**
 * Plants each fault in a small workspace of its own and expects it to be found; and nothing else.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { checkImports, importsOf } from "../checkImports.ts"

let root = ""

const write = (files: Readonly<Record<string, string>>): void => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
}

const manifest = (name: string, ...dependencies: ReadonlyArray<string>): string =>
  JSON.stringify({ name, dependencies: Object.fromEntries(dependencies.map((dependency) => [dependency, "*"])) })

/** The faults as `file:line rule`. */
const found = (): ReadonlyArray<string> =>
  checkImports(root).map((fault) => `${fault.file}:${fault.line} ${fault.rule}`)

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "nerve-imports-"))
  write({
    "package.json": JSON.stringify({ name: "root", devDependencies: { vitest: "*" } }),
    "packages/core/package.json": manifest("@nerve/core", "effect"),
    "packages/core/src/index.ts": 'export * as Ids from "./Ids.ts"\n',
    "packages/core/src/Ids.ts": 'import * as Schema from "effect/Schema"\nexport const ids = Schema\n',
    "packages/runtime/package.json": manifest("@nerve/runtime", "effect", "@nerve/core"),
    "packages/runtime/src/Log.ts": 'import { ids } from "@nerve/core/Ids"\nexport const log = ids\n',
    "packages/runtime/test/Log.test.ts": 'import { it } from "vitest"\nimport "node:fs"\nimport "../src/Log.ts"\nit\n',
    "packages/node/package.json": manifest("@nerve/node", "effect", "@nerve/core", "@nerve/runtime"),
    "packages/node/src/Files.ts": 'import * as Fs from "node:fs"\nexport const fs = Fs\n',
    "examples/demo/package.json": manifest("demo", "effect", "@nerve/core"),
    "examples/demo/senses/a/index.ts":
      'import { Effect } from "effect"\nimport "@nerve/core"\nimport "node:os"\nEffect\n'
  })
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

describe("checkImports", () => {
  it("finds nothing in a workspace that keeps the rules", () => {
    expect(found()).toEqual([])
  })

  it("finds an import against the direction, in code and in package.json", () => {
    write({
      "packages/core/package.json": manifest("@nerve/core", "effect", "@nerve/runtime"),
      "packages/core/src/Ids.ts": '\nimport { log } from "@nerve/runtime/Log"\nexport const ids = log\n'
    })
    expect(found()).toContain("packages/core/package.json:1 direction")
    expect(found()).toContain("packages/core/src/Ids.ts:2 direction")
  })

  it("finds an example that imports more than authors do", () => {
    write({ "examples/demo/senses/a/index.ts": 'import { log } from "@nerve/runtime/Log"\nlog\n' })
    expect(found()).toEqual([
      "examples/demo/senses/a/index.ts:1 direction",
      "examples/demo/senses/a/index.ts:1 undeclared"
    ])
  })

  it("finds a relative import that leaves its package", () => {
    write({ "examples/demo/senses/a/index.ts": 'import { ids } from "../../../../packages/core/src/Ids.ts"\nids\n' })
    expect(found()).toEqual(["examples/demo/senses/a/index.ts:1 relative"])
  })

  it("lets a test run the suite of a package below its own, and of no other", () => {
    write({
      "packages/runtime/test/Suite.ts": "export const suite = 1\n",
      "packages/node/test/Files.test.ts": 'import { suite } from "../../runtime/test/Suite.ts"\nsuite\n',
      "packages/core/test/Ids.test.ts": 'import { suite } from "../../runtime/test/Suite.ts"\nsuite\n',
      "packages/node/src/Files.ts": 'import { suite } from "../../runtime/test/Suite.ts"\nexport const fs = suite\n'
    })
    expect(found()).toEqual(["packages/core/test/Ids.test.ts:1 relative", "packages/node/src/Files.ts:1 relative"])
  })

  it("finds a relative import without extension", () => {
    write({ "packages/core/src/index.ts": 'export * as Ids from "./Ids"\n' })
    expect(found()).toEqual(["packages/core/src/index.ts:1 relative"])
  })

  it("finds a reach into another package's internals", () => {
    write({
      "packages/core/src/internal/secret.ts": "export const secret = 1\n",
      "packages/runtime/src/Log.ts": 'export { secret } from "@nerve/core/internal/secret"\n'
    })
    expect(found()).toEqual(["packages/runtime/src/Log.ts:1 internal"])
  })

  it.each(["node:fs", "fs", "fs/promises"])("finds %s in core, also when imported lazily", (specifier) => {
    write({
      "packages/core/src/Ids.ts": `import * as Fs from "${specifier}"\nexport const ids = Fs\n`,
      "packages/core/src/Lazy.ts": `\n\nexport const lazy = () => import("${specifier}")\n`
    })
    expect(found()).toEqual(["packages/core/src/Ids.ts:1 node", "packages/core/src/Lazy.ts:3 node"])
  })

  it("finds the barrel in a library, but not in tests", () => {
    write({
      "packages/node/src/Files.ts": 'import { Effect } from "effect"\nexport const fs = Effect\n',
      "packages/node/test/Files.test.ts": 'import { Effect } from "effect"\nEffect\n'
    })
    expect(found()).toEqual(["packages/node/src/Files.ts:1 barrel"])
  })

  it("finds a package that package.json does not declare", () => {
    write({ "packages/core/src/Ids.ts": 'import { parse } from "yaml"\nexport const ids = parse\n' })
    expect(found()).toEqual(["packages/core/src/Ids.ts:1 undeclared"])
  })

  it("finds a test tool in product code", () => {
    write({ "packages/core/src/Ids.ts": 'import { it } from "vitest"\nexport const ids = it\n' })
    expect(found()).toEqual(["packages/core/src/Ids.ts:1 undeclared"])
  })

  it("finds a cycle between files once, and takes type-only imports for none", () => {
    write({
      "packages/core/src/A.ts": 'import { b } from "./B.ts"\nexport const a = b\n',
      "packages/core/src/B.ts": 'import { c } from "./C.ts"\nexport const b = c\n',
      "packages/core/src/C.ts": 'import { a } from "@nerve/core/A"\nexport const c = a\n',
      "packages/core/src/D.ts": 'import type { E } from "./E.ts"\nexport type D = E\n',
      "packages/core/src/E.ts": 'import type { D } from "./D.ts"\nexport type E = D\n'
    })
    expect(found()).toEqual(["packages/core/src/C.ts:1 cycle"])
  })
})

describe("importsOf", () => {
  it("reads every form of import, with its line", () => {
    const text = [
      'import a from "a"',
      'import type { B } from "b"',
      "import {",
      "  c,",
      "  type C",
      "} from 'c'",
      'export * as d from "d"',
      'import "e"',
      'const f = () => import("f")',
      'import { type G } from "g"',
      'import type from "h"'
    ].join("\n")
    expect(importsOf(text)).toEqual([
      { specifier: "a", line: 1, erased: false },
      { specifier: "b", line: 2, erased: true },
      { specifier: "c", line: 3, erased: false },
      { specifier: "d", line: 7, erased: false },
      { specifier: "e", line: 8, erased: false },
      { specifier: "f", line: 9, erased: false },
      { specifier: "g", line: 10, erased: false },
      { specifier: "h", line: 11, erased: false }
    ])
  })

  it("ignores comments, doc examples and template literals", () => {
    const text = [
      '// import "a"',
      "/**",
      ' * import { b } from "b"',
      " */",
      "const text = `",
      'import "c"',
      "`",
      'const url = "https://example.org/x" // import("d")',
      'import "e"'
    ].join("\n")
    expect(importsOf(text)).toEqual([{ specifier: "e", line: 9, erased: false }])
  })
})
