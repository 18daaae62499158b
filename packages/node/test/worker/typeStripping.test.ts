/** In processes of their own: module hooks are for a whole process. */
import { describe, expect, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterEach, beforeEach } from "vitest"

const hook = new URL("../../src/worker/typeStripping.ts", import.meta.url).href

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nerve-strip-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Prints what a module exports by default, loaded with the hook on. */
const load = (file: string, limit?: number) => {
  const script = `
    import { install } from ${JSON.stringify(hook)}
    install(${JSON.stringify(folder)}, ${limit})
    console.log((await import(${JSON.stringify(pathToFileURL(file).href)})).default)
  `
  const result = spawnSync(process.execPath, ["--no-warnings", "--input-type=module", "-e", script], {
    encoding: "utf8"
  })
  return { out: result.stdout.trim(), error: result.stderr, code: result.status }
}

const kept = () => readdirSync(folder).filter((name) => name.startsWith("stripped-"))

describe("typeStripping", () => {
  it("strips a file once and loads it stripped from then on", () => {
    const file = join(folder, "user.mts")
    writeFileSync(file, "const answer: number = 42\nexport default answer satisfies number\n")
    expect(load(file).out).toBe("42")
    expect(kept()).toHaveLength(1)
    // What is kept is what runs.
    writeFileSync(join(folder, kept()[0] ?? ""), "export default 'kept'\n")
    expect(load(file).out).toBe("kept")
  })

  it("strips anew what has changed", () => {
    const file = join(folder, "user.mts")
    writeFileSync(file, "export default 1 as number\n")
    expect(load(file).out).toBe("1")
    writeFileSync(file, "export default 2 as number\n")
    expect(load(file).out).toBe("2")
    expect(kept()).toHaveLength(2)
  })

  it("keeps no more than so many, and drops the oldest first", () => {
    const file = join(folder, "user.mts")
    for (let i = 1; i <= 9; i++) {
      writeFileSync(file, `export default ${i} as number\n`)
      expect(load(file, 4).out).toBe(String(i))
      expect(kept().length).toBeLessThanOrEqual(4)
    }
    const before = kept()
    expect(load(file, 4).out).toBe("9")
    expect(kept()).toEqual(before)
  })

  it("leaves errors to Node, with file and line", () => {
    const file = join(folder, "user.mts")
    writeFileSync(file, "export default 1\nenum Colour { Red }\n")
    const { code, error } = load(file)
    expect(code).toBe(1)
    expect(error).toContain("user.mts:2")
    expect(error).toContain("enum is not supported")
    expect(kept()).toHaveLength(0)
  })

  it("keeps the lines of the file in stack traces", () => {
    const file = join(folder, "user.mts")
    writeFileSync(file, "interface A { a: number }\n\nthrow new Error('here')\n")
    load(file)
    expect(load(file).error).toContain("user.mts:3")
  })
})
