/**
 * The table in docs/testing.md that says which tests prove which behaviour: complete, and true as far
 * as a machine can tell.
 */
import { existsSync, globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"

const root = join(import.meta.dirname, "../..")

/** How many behaviours there are of each kind. */
const kinds = { R: 13, P: 8, L: 8, M: 14, S: 10, D: 4, W: 4, C: 5 }

const ids = Object.entries(kinds).flatMap(([kind, count]) =>
  Array.from({ length: count }, (_, index) => `${kind}${index + 1}`)
)

interface Row {
  readonly id: string
  readonly state: string
  /** Paths from the repository's root. */
  readonly tests: ReadonlyArray<string>
  readonly missing: string
}

/** `runtime/log/Archive` is of a package, `examples/python-worker/pool` of an example. */
const fileOf = (name: string): string =>
  `${name.replace(/^(examples\/[\w-]+|\w+)\//, "$1/test/").replace(/^(?!examples\/)/, "packages/")}.test.ts`

const rows: ReadonlyArray<Row> = readFileSync(join(root, "docs/testing.md"), "utf8")
  .split("\n")
  .filter((line) => /^\| [A-Z]\d+ \|/.test(line))
  .map((line) => {
    const [id = "", , state = "", tests = "", missing = ""] = line
      .split("|")
      .slice(1)
      .map((cell) => cell.trim())
    return { id, state, tests: [...tests.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => fileOf(name)), missing }
  })

/** Ids that a test file cites, in the names of its tests or in its comments. */
const citedIn = (file: string): ReadonlyArray<string> => {
  const cited = new Set(readFileSync(join(root, file), "utf8").match(/\b[RPLMSDWC]\d{1,2}\b/g))
  return ids.filter((id) => cited.has(id))
}

describe("the table of behaviours", () => {
  it("has each behaviour once, in order", () => {
    expect(rows.map((row) => row.id)).toEqual(ids)
  })

  it.each(rows)("says of $id what proves it, or what is missing", ({ missing, state, tests }) => {
    expect(["met", "partly", "not yet"]).toContain(state)
    expect(tests.length > 0).toBe(state !== "not yet")
    expect(missing !== "").toBe(state === "partly")
    expect(tests.filter((file) => !existsSync(join(root, file)))).toEqual([])
  })

  it("calls nothing `not yet` that a test is there for", () => {
    const files = globSync("packages/*/test/**/*.test.ts", { cwd: root })
    expect(files.length).toBeGreaterThan(50)
    const later = new Set(rows.filter((row) => row.state === "not yet").map((row) => row.id))
    const cited = files.flatMap((file) =>
      citedIn(file)
        .filter((id) => later.has(id))
        .map((id) => `${id} is tested by ${file}: say so in docs/testing.md`)
    )
    expect(cited).toEqual([])
  })

  it("names for each behaviour that is met a test that says so itself", () => {
    const silent = rows.filter(
      ({ id, state, tests }) => state === "met" && !tests.some((file) => citedIn(file).includes(id))
    )
    expect(silent.map((row) => row.id)).toEqual([])
  })
})
