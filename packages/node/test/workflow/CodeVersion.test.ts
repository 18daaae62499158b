/**
 * The version of a workflow's code: its module and what it imports of the workspace.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import * as CodeVersion from "../../src/workflow/CodeVersion.ts"
import { makeWorkspace } from "../user/workspace.ts"

const files = {
  "workflows/w/index.ts": `import { a } from "./a.ts"\nimport "effect"\nexport { b } from '../../lib/b.ts'\n`,
  "workflows/w/a.ts": `const c = () => import("./c.ts")\nimport type { T } from "./index.ts"\n`,
  "workflows/w/c.ts": "export {}\n",
  "workflows/w/other.ts": "export {}\n",
  "lib/b.ts": `export const b = 1\nimport "./missing.ts"\n`
}

describe("CodeVersion", () => {
  it.effect("is of the module and all it imports, also lazily, in circles and from elsewhere in the workspace", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace(files)
      const found = yield* CodeVersion.of(workspace, "workflows/w/index.ts")
      expect(found?.files.map((file) => relative(workspace, file))).toEqual([
        "lib/b.ts",
        "workflows/w/a.ts",
        "workflows/w/c.ts",
        "workflows/w/index.ts"
      ])
      expect(found?.version).toMatch(/^[0-9a-f]{12}$/)
    })
  )

  it.effect("changes with each of them, and with nothing else", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace(files)
      const version = Effect.map(CodeVersion.of(workspace, "workflows/w/index.ts"), (found) => found?.version)
      const before = yield* version
      writeFileSync(join(workspace, "workflows/w/other.ts"), "export const x = 1\n")
      expect(yield* version).toBe(before)
      const seen = new Set([before])
      for (const file of ["lib/b.ts", "workflows/w/a.ts", "workflows/w/c.ts", "workflows/w/index.ts"] as const) {
        writeFileSync(join(workspace, file), `${files[file]}// changed\n`)
        seen.add(yield* version)
      }
      expect(seen.size).toBe(5)
    })
  )

  it.effect("is none for a module that is not there", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({})
      expect(yield* CodeVersion.of(workspace, "workflows/w/index.ts")).toBeNull()
    })
  )
})
