/** In processes of their own: module hooks are for a whole process. */
import { describe, expect, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterEach, beforeEach } from "vitest"

const hook = new URL("../../src/worker/freshModules.ts", import.meta.url).href

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "nerve-fresh-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const write = (files: Record<string, string>) => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

/** What a script with the hook on prints; `load(version)` imports `main.mjs`, `write(name, text)` edits. */
const run = (script: string) => {
  const source = `
    import { install } from ${JSON.stringify(hook)}
    import { writeFileSync } from "node:fs"
    install()
    const load = (version) => import(${JSON.stringify(pathToFileURL(join(folder, "main.mjs")).href)} + (version ? "?v=" + version : ""))
    const write = (name, text) => writeFileSync(${JSON.stringify(`${folder}/`)} + name, text)
    ${script}
  `
  const result = spawnSync(process.execPath, ["--no-warnings", "--input-type=module", "-e", source], {
    encoding: "utf8"
  })
  expect(result.stderr).toBe("")
  return result.stdout.trim().split("\n")
}

describe("freshModules", () => {
  it("loads a module of another version anew, with all that it imports, near and far", () => {
    write({
      "main.mjs": `import { far } from "./near.mjs"\nexport const value = far`,
      "near.mjs": `export { far } from "./far/far.mjs"`,
      "far/far.mjs": `import data from "../data.json" with { type: "json" }\nexport const far = "first " + data`,
      "data.json": "1"
    })
    expect(
      run(`
        console.log((await load()).value)
        write("far/far.mjs", 'import data from "../data.json" with { type: "json" }\\nexport const far = "second " + data')
        write("data.json", "2")
        console.log((await load("1")).value)
        console.log((await load()).value)
      `)
    ).toEqual(["first 1", "second 2", "first 1"])
  })

  it("loads what is imported later, too, and CommonJS", () => {
    write({
      "main.mjs": `export const later = () => import("./later.mjs")\nexport { default as old } from "./old.cjs"`,
      "later.mjs": `export const value = 1`,
      "old.cjs": "module.exports = 1"
    })
    expect(
      run(`
        const first = await load()
        console.log((await first.later()).value, first.old)
        write("later.mjs", "export const value = 2")
        write("old.cjs", "module.exports = 2")
        const second = await load("1")
        console.log((await second.later()).value, second.old)
        console.log((await first.later()).value, first.old)
      `)
    ).toEqual(["1 1", "2 2", "1 1"])
  })

  it("loads a package once", () => {
    write({
      "main.mjs": `export { instance } from "thing"`,
      "node_modules/thing/package.json": `{ "name": "thing", "type": "module", "exports": "./index.js" }`,
      "node_modules/thing/index.js": `import { inner } from "./inner.js"\nexport const instance = inner`,
      "node_modules/thing/inner.js": `export const inner = {}`
    })
    expect(run(`console.log((await load("1")).instance === (await load("2")).instance)`)).toEqual(["true"])
  })

  it("loads a module that did not load before, once it does", () => {
    write({ "main.mjs": `import { value } from "./near.mjs"\nexport { value }`, "near.mjs": "export const" })
    expect(
      run(`
        await load().catch((error) => console.log(error.name))
        write("near.mjs", "export const value = 1")
        console.log((await load("1")).value)
      `)
    ).toEqual(["SyntaxError", "1"])
  })
})
