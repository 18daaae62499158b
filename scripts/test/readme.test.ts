/**
 * Runs the library example of the README, its files taken from the text as they stand.
 */
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))
let folder = ""

/** The code blocks whose first line is a file's name in a comment. */
const filesOf = (markdown: string): ReadonlyMap<string, string> =>
  new Map(
    Array.from(markdown.matchAll(/^```ts\n\/\/ (\S+\.ts)\n([\s\S]*?)^```$/gm), (match) => [
      match[1] ?? "",
      match[2] ?? ""
    ])
  )

beforeAll(async () => {
  // Within the workspace, so that its packages are found.
  folder = await mkdtemp(join(root, "scripts/test/.readme-"))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

describe("the README's library example", () => {
  it("prints an answer from each of two processes and ends", async () => {
    const files = filesOf(await readFile(join(root, "README.md"), "utf8"))
    expect([...files.keys()]).toEqual(["EchoRpcs.ts", "echo.worker.ts", "main.ts"])
    for (const [name, text] of files) await writeFile(join(folder, name), text)

    const { stderr, stdout } = await promisify(execFile)(process.execPath, [join(folder, "main.ts")], {
      timeout: 100_000
    })
    expect(stderr).toBe("")
    const answers = stdout.trim().split("\n")
    expect(answers).toEqual([
      expect.stringMatching(/^hi a from process \d+$/),
      expect.stringMatching(/^hi b from process \d+$/)
    ])
    expect(new Set(answers.map((answer) => answer.split(" ").at(-1))).size).toBe(2)
  })
})
