/** Loading user code: every way in which it can be wrong is a distinct problem that names the file (S8). */
import { describe, expect, it } from "@effect/vitest"
import * as Sense from "@nerve/core/authoring/Sense"
import * as Workflow from "@nerve/core/authoring/Workflow"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { join } from "node:path"
import * as UserModule from "../../src/user/UserModule.ts"
import { makeWorkspace, withNativeImport, writeFiles } from "./workspace.ts"

const goodSense = `
import { Sense } from "@nerve/core"
import { Schema } from "effect"
export default Sense.make({ signal: Schema.Struct({ n: Schema.Finite }), compute: () => null })
`

/** The problem with which loading a module of this text fails. */
const problemWith = (
  text: string,
  options: { readonly file?: string; readonly others?: Record<string, string> } = {}
) =>
  Effect.gen(function* () {
    const file = options.file ?? "senses/cpu/index.ts"
    const workspace = yield* makeWorkspace({ [file]: text, ...options.others })
    const problem = yield* Effect.flip(UserModule.load(file, { workspace, kind: "sense", is: Sense.isSense }))
    expect(JSON.stringify(problem)).not.toContain(workspace)
    expect(JSON.stringify(problem)).not.toContain("node:internal")
    expect(problem.message).toContain(problem.file)
    return problem
  }).pipe(withNativeImport)

describe("UserModule.load", () => {
  it.live("hands over the default export of a TypeScript module", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({ "senses/cpu/index.ts": goodSense })
      const sense = yield* UserModule.load("senses/cpu/index.ts", { workspace, kind: "sense", is: Sense.isSense })
      expect(sense.compute._tag).toBe("Plain")
    }).pipe(withNativeImport)
  )

  it.live("imports a file anew under another version", () =>
    Effect.gen(function* () {
      const isString = (value: unknown): value is string => typeof value === "string"
      const file = "senses/cpu.mjs"
      const workspace = yield* makeWorkspace({ [file]: `export default "one"` })
      const load = (version?: string) => UserModule.load(file, { workspace, kind: "sense", is: isString, version })
      expect(yield* load()).toBe("one")
      writeFiles(workspace, { [file]: `export default "two"` })
      expect(yield* load()).toBe("one")
      expect(yield* load("2")).toBe("two")
    }).pipe(withNativeImport)
  )

  it.live("a file that is not there", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({})
      const options = { workspace, kind: "sense", is: Sense.isSense } as const
      const problem = yield* Effect.flip(UserModule.load("senses/cpu/index.ts", options))
      expect(problem).toMatchObject({ code: "module-missing", file: "senses/cpu/index.ts" })
    }).pipe(withNativeImport)
  )

  it.live("no default export", () =>
    Effect.gen(function* () {
      const problem = yield* problemWith(`export const cpu = 1\nexport const other = 2\n`)
      expect(problem).toEqual({
        code: "export-missing",
        file: "senses/cpu/index.ts",
        message: "senses/cpu/index.ts has no default export: it exports only cpu, other",
        hint: "Write: export default Sense.make({ … })"
      })
    })
  )

  it.live("exports nothing at all", () =>
    Effect.gen(function* () {
      const problem = yield* problemWith(`export {}`)
      expect(problem.code).toBe("export-missing")
      expect(problem.message).toContain("it exports nothing")
    })
  )

  const shapes: ReadonlyArray<readonly [string, string]> = [
    ["{ signal: 1, compute: 2 }", "an object with the keys signal, compute"],
    ["() => null", "a function"],
    ["class Cpu {}", "a class"],
    ["42", "a number"],
    ["undefined", "undefined"],
    ["null", "null"],
    ["[]", "an array"],
    ["Promise.resolve(1)", "a promise"]
  ]
  for (const [source, said] of shapes) {
    it.live(`the default export is ${said}`, () =>
      Effect.gen(function* () {
        const problem = yield* problemWith(`export default ${source}`)
        expect(problem.code).toBe("wrong-shape")
        expect(problem.message).toBe(`the default export of senses/cpu/index.ts is ${said}, not a sense`)
      })
    )
  }

  it.live("a workflow where a sense should be, and the other way round", () =>
    Effect.gen(function* () {
      const workflow = `import { Workflow } from "@nerve/core"
export default Workflow.make({ roles: {}, moderator: () => Workflow.END })`
      const problem = yield* problemWith(workflow)
      expect(problem.message).toBe("the default export of senses/cpu/index.ts is a workflow, not a sense")
      const workspace = yield* makeWorkspace({ "workflows/a.ts": goodSense })
      const other = yield* Effect.flip(
        UserModule.load("workflows/a.ts", { workspace, kind: "workflow", is: Workflow.isWorkflow })
      )
      expect(other.message).toBe("the default export of workflows/a.ts is a sense, not a workflow")
      expect(other.hint).toBe("Export what Workflow.make returns.")
    }).pipe(withNativeImport)
  )

  it.live("throws on import: the message, and the first line of the stack in the user's own files", () =>
    Effect.gen(function* () {
      const problem = yield* problemWith(`import { read } from "./read.ts"\nexport default read()\n`, {
        others: { "senses/cpu/read.ts": `\nexport const read = () => {\n  throw new TypeError("no /proc here")\n}\n` }
      })
      expect(problem).toEqual({
        code: "import-failed",
        file: "senses/cpu/index.ts",
        message:
          "senses/cpu/index.ts threw while it was imported: TypeError: no /proc here " +
          "(at read (senses/cpu/read.ts:3:9))",
        hint: ""
      })
    })
  )

  it.live("throws what is no Error", () =>
    Effect.gen(function* () {
      expect((yield* problemWith(`throw "just text"`)).message).toContain("threw while it was imported: just text")
      expect((yield* problemWith(`throw undefined`)).message).toContain("the value undefined")
    })
  )

  it.live("a JSON.parse that throws on import is no syntax error of the module", () =>
    Effect.gen(function* () {
      const problem = yield* problemWith(`export default JSON.parse("{")`)
      expect(problem.code).toBe("import-failed")
      expect(problem.message).toContain("SyntaxError: ")
      expect(problem.message).toContain("(at senses/cpu/index.ts:1:21)")
    })
  )

  it.live("a syntax error in TypeScript, with its line", () =>
    Effect.gen(function* () {
      const problem = yield* problemWith(`const a: number = 1\nconst b = ;\nexport default a\n`)
      expect(problem.code).toBe("syntax-error")
      expect(problem.message).toBe("senses/cpu/index.ts:2: Expression expected")
    })
  )

  it.live("a syntax error in a module that the sense imports names that module", () =>
    Effect.gen(function* () {
      const problem = yield* problemWith(`import "./broken.ts"`, {
        others: { "senses/cpu/broken.ts": "\n\nlet = = 1" }
      })
      expect(problem).toMatchObject({ code: "syntax-error", file: "senses/cpu/broken.ts" })
      expect(problem.message).toContain("senses/cpu/broken.ts:3: ")
    })
  )

  it.live("a syntax error in JavaScript", () =>
    Effect.gen(function* () {
      const problem = yield* problemWith("const a = 1\nconst b = ;\nexport default b", { file: "senses/cpu.mjs" })
      expect(problem.code).toBe("syntax-error")
      expect(problem.message).toContain("senses/cpu.mjs: Unexpected token ';'")
    })
  )

  it.live("TypeScript that Node does not strip", () =>
    Effect.gen(function* () {
      const problem = yield* problemWith(`export default 1\nenum Level { Low, High }\n`)
      expect(problem.code).toBe("syntax-error")
      expect(problem.message).toBe("senses/cpu/index.ts:2: TypeScript enum is not supported in strip-only mode")
      expect(problem.hint).toContain("enums")
    })
  )

  it.live("a package that is not installed", () =>
    Effect.gen(function* () {
      const problem = yield* problemWith(`import x from "no-such-package"\nexport default x`)
      expect(problem).toMatchObject({
        code: "import-failed",
        message:
          "senses/cpu/index.ts cannot be imported: " +
          "Cannot find package 'no-such-package' imported from senses/cpu/index.ts",
        hint: "Install the package in the workspace."
      })
    })
  )

  it.live("a file that it imports is not there", () =>
    Effect.gen(function* () {
      const problem = yield* problemWith(`import x from "./helper"\nexport default x`)
      expect(problem.code).toBe("import-failed")
      expect(problem.message).toContain("Cannot find module 'senses/cpu/helper'")
      expect(problem.hint).toContain("extension")
    })
  )

  it.live("a name that the imported module does not export", () =>
    Effect.gen(function* () {
      const problem = yield* problemWith(`import { Usage } from "./usage.ts"\nexport default Usage`, {
        others: { "senses/cpu/usage.ts": "export interface Usage { readonly n: number }" }
      })
      expect(problem.code).toBe("import-failed")
      expect(problem.message).toContain("does not provide an export named 'Usage'")
      expect(problem.hint).toContain("import type")
    })
  )

  it.effect("an import that never ends is given up", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({ "senses/cpu.mjs": `await new Promise(() => {})` })
      const fiber = yield* Effect.forkChild(
        Effect.flip(UserModule.load("senses/cpu.mjs", { workspace, kind: "sense", is: Sense.isSense }))
      )
      yield* Effect.yieldNow
      yield* TestClock.adjust("5 seconds")
      const problem = yield* Fiber.join(fiber)
      expect(problem.code).toBe("import-failed")
      expect(problem.message).toBe("senses/cpu.mjs did not finish importing within 5s")
    }).pipe(withNativeImport)
  )
})

describe("UserModule.locate", () => {
  const locate = (files: Record<string, string>, folder: UserModule.Folder = "senses") =>
    Effect.flatMap(makeWorkspace(files), (workspace) => UserModule.locate(workspace, folder, "cpu"))

  it.live("finds a folder's index and a single file, in every extension", () =>
    Effect.gen(function* () {
      for (const extension of ["ts", "mts", "js", "mjs"]) {
        expect(yield* locate({ [`senses/cpu/index.${extension}`]: "" })).toBe(`senses/cpu/index.${extension}`)
        expect(yield* locate({ [`workflows/cpu.${extension}`]: "" }, "workflows")).toBe(`workflows/cpu.${extension}`)
      }
    })
  )

  it.live("a folder that has only migrations beside a single file is no second module", () =>
    Effect.gen(function* () {
      expect(yield* locate({ "senses/cpu.ts": "", "senses/cpu/migrations/1.sql": "" })).toBe("senses/cpu.ts")
    })
  )

  it.live("says where it looked when there is none", () =>
    Effect.gen(function* () {
      const problem = yield* Effect.flip(locate({ "senses/cpu/main.ts": "" }))
      expect(problem.code).toBe("module-missing")
      expect(problem.file).toBe("senses/cpu/index.ts")
      expect(problem.message).toContain("neither senses/cpu/index.ts nor senses/cpu.ts")
    })
  )

  it.live("a directory is no module", () =>
    Effect.gen(function* () {
      const problem = yield* Effect.flip(locate({ [join("senses/cpu/index.ts", "x.txt")]: "" }))
      expect(problem.code).toBe("module-missing")
    })
  )

  it.live("refuses to choose between two", () =>
    Effect.gen(function* () {
      const problem = yield* Effect.flip(locate({ "senses/cpu.js": "", "senses/cpu/index.ts": "" }))
      expect(problem.code).toBe("module-ambiguous")
      expect(problem.message).toContain("senses/cpu/index.ts, senses/cpu.js")
    })
  )
})
