/** Runs the examples as they stand and looks at what they print. */
import { execFile } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"

const folder = (example: string): string => fileURLToPath(new URL(`../${example}`, import.meta.url))

const run = async (example: string): Promise<ReadonlyArray<string>> => {
  const { stderr, stdout } = await promisify(execFile)(process.execPath, [`${folder(example)}/main.ts`], {
    timeout: 100_000
  })
  expect(stderr).toBe("")
  return stdout.trimEnd().split("\n")
}

describe("library examples", () => {
  it("hello-worker answers, and fails with a typed error", async () => {
    expect(await run("hello-worker")).toEqual(["hello Ada", "a typed error: greet whom?"])
  })

  it("crash-loop opens the breaker at the third crash and closes it by a trial", async () => {
    const lines = await run("crash-loop")
    expect(lines).toContain("crashes 3, Failed, breaker open")
    expect(lines).toContain("crashes 3, Running, breaker half-open")
    expect(lines.at(-1)).toBe("crashes 3, Running, breaker closed")
  })

  it("graceful-drain finishes what is in flight and loses nothing that arrives meanwhile", async () => {
    expect(await run("graceful-drain")).toEqual([
      "in flight: done by incarnation 1",
      "meanwhile: done by incarnation 2"
    ])
  })

  it("supervisor-tree restarts what comes after the database, draws the tree, and stops in reverse order", async () => {
    const lines = await run("supervisor-tree")
    const diagram = lines.findIndex((line) => line === "flowchart TD")
    // Beside them the log: that the database has crashed.
    expect(lines.slice(0, diagram).filter((line) => /^[+-] /.test(line))).toEqual([
      "+ metrics",
      "+ http",
      "+ mail",
      "- mail",
      "- http",
      "+ http",
      "+ mail"
    ])
    expect(lines).toContain(`  n_1["database<br/>command<br/>Running, 1 crash<br/>command: sleep"]:::Running`)
    expect(lines.slice(-3)).toEqual(["- mail", "- http", "- metrics"])
  })

  it("each is under 60 lines", () => {
    for (const example of ["hello-worker", "crash-loop", "graceful-drain", "worker-pool", "supervisor-tree"]) {
      const lines = readdirSync(folder(example)).map(
        (name) => readFileSync(`${folder(example)}/${name}`, "utf8").split("\n").length - 1
      )
      expect(
        lines.reduce((sum, one) => sum + one, 0),
        example
      ).toBeLessThan(60)
    }
  })
})
