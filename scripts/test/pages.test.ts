/**
 * Runs the programs of the documentation, their files taken from the text as they stand.
 */
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))
const run = promisify(execFile)

const folders: Array<string> = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** A folder of its own; within the workspace the packages are found. */
const makeFolder = (parent: string): string => {
  const folder = mkdtempSync(join(parent, ".pages-"))
  folders.push(folder)
  return folder
}

const read = (page: string): string => readFileSync(join(root, page), "utf8")

/** Writes the code blocks whose first line is a file's name in a comment; gives those names. */
const write = (page: string, folder: string): ReadonlyArray<string> =>
  Array.from(read(page).matchAll(/^```ts\n\/\/ (\S+\.ts)\n([\s\S]*?)^```$/gm), ([, name = "", text = ""]) => {
    writeFileSync(join(folder, name), text)
    return name
  })

/** What a program prints; it must not complain. */
const printed = async (file: string): Promise<ReadonlyArray<string>> => {
  const { stderr, stdout } = await run(process.execPath, [file], { timeout: 100_000 })
  expect(stderr).toBe("")
  return stdout.trim().split("\n")
}

const echoes = (answers: ReadonlyArray<string>): void => {
  expect(answers).toEqual([
    expect.stringMatching(/^hi a from process \d+$/),
    expect.stringMatching(/^hi b from process \d+$/)
  ])
  expect(new Set(answers.map((answer) => answer.split(" ").at(-1))).size).toBe(2)
}

describe("the README's library example", () => {
  it("prints an answer from each of two processes and ends", async () => {
    const folder = makeFolder(join(root, "scripts/test"))
    expect(write("README.md", folder)).toEqual(["EchoRpcs.ts", "echo.worker.ts", "main.ts"])
    echoes(await printed(join(folder, "main.ts")))
  })

  it("runs outside of the checkout, with the packages linked as docs/api.md says", async () => {
    const folder = makeFolder(tmpdir())
    write("README.md", folder)
    const manifest = /^```json\n([\s\S]*?)^```$/m.exec(read("docs/api.md"))?.[1] ?? ""
    writeFileSync(join(folder, "package.json"), manifest)
    const links = Array.from(manifest.matchAll(/"(\S+)": "link:\.\.\/nerve\/(\S+)"/g))
    expect(links.length).toBeGreaterThan(3)
    for (const [, name = "", target = ""] of links) {
      const link = join(folder, "node_modules", name)
      mkdirSync(dirname(link), { recursive: true })
      symlinkSync(join(root, target), link)
    }
    echoes(await printed(join(folder, "main.ts")))
  })
})

describe("the program of docs/supervision.md", () => {
  it("answers, and logs what its worker does", async () => {
    const folder = makeFolder(join(root, "scripts/test"))
    write("docs/supervision.md", folder)
    const lines = await printed(join(folder, "main.ts"))
    expect(lines).toContain("hello Bob, says ada")
    for (const said of ["worker is ready", "open", "closed", "worker stopped"]) {
      expect(lines.some((line) => line.includes(said))).toBe(true)
    }
  })

  it("passes the tests of docs/testing.md, without processes", async () => {
    const folder = makeFolder(join(root, "scripts/test"))
    write("docs/supervision.md", folder)
    expect(write("docs/testing.md", folder)).toContain("Tenants.test.ts")
    const vitest = join(root, "node_modules/.bin/vitest")
    const report = join(folder, "report.json")
    await run(vitest, ["run", "--root", folder, "--reporter", "json", "--outputFile", report], { timeout: 100_000 })
    expect(JSON.parse(readFileSync(report, "utf8"))).toMatchObject({ numPassedTests: 3, numTotalTests: 3 })
  })
})
