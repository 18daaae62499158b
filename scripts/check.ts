/**
 * Everything that CI checks, in one command (`npm run check`): types, lint, format, imports, build, the
 * examples' configuration, and all tests, the examples' smoke tests among them. Each part runs even when
 * an earlier one failed. The last line is `N passed, N failed`: every test and every other part counts.
 *
 * `--only NAME` runs one part. `.ci/run` runs the tests by itself first and hands over their outcome:
 * `--tests-exit CODE --tests-report FILE` (vitest's JSON report).
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { countTests, failedTests, type Counts } from "./testReport.ts"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const node = process.execPath
const tool = (name: string): string => join(root, "node_modules/.bin", name)
const nerve = join(root, "packages/cli/dist/nerve.mjs")

const run = (command: string, args: ReadonlyArray<string>): boolean =>
  spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] }).status === 0

const workspaces = (): ReadonlyArray<string> =>
  readdirSync(join(root, "examples"))
    .map((name) => join("examples", name))
    .filter((folder) => existsSync(join(root, folder, "nerve.yaml")))

/** Processes that run something of this checkout, this one and its ancestors aside. */
const leftovers = (): ReadonlyArray<string> => {
  const listed = spawnSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" }).stdout ?? ""
  return listed
    .split("\n")
    .filter((line) => /\/(?:dist|examples)\//.test(line) && line.includes(join(root, "packages")))
}

interface Part {
  readonly name: string
  readonly run: () => boolean
}

const parts: ReadonlyArray<Part> = [
  { name: "build", run: () => run(node, ["scripts/build.ts"]) },
  { name: "typecheck", run: () => run(node, ["scripts/typecheck.ts"]) },
  { name: "lint", run: () => run(tool("oxlint"), ["."]) },
  { name: "format", run: () => run(tool("oxfmt"), ["--check", "."]) },
  { name: "imports", run: () => run(node, ["scripts/checkImports.ts"]) },
  {
    name: "examples",
    run: () => workspaces().every((folder) => run(node, [nerve, "validate", "--workspace", folder]))
  }
]

const runTests = (): Report => {
  const folder = mkdtempSync(join(tmpdir(), "nerve-check-"))
  const report = join(folder, "tests.json")
  const { status } = spawnSync(
    tool("vitest"),
    ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
    { cwd: root, stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, NERVE_SKIP_BUILD: "1" } }
  )
  const outcome = readReport(report, status ?? 1)
  rmSync(folder, { recursive: true, force: true })
  return outcome
}

interface Report {
  readonly counts: Counts
  readonly failed: ReadonlyArray<string>
}

const readReport = (file: string, exitCode: number): Report => {
  const text = existsSync(file) ? readFileSync(file, "utf8") : ""
  return { counts: countTests(text, exitCode), failed: failedTests(text) }
}

const main = (): void => {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      "tests-exit": { type: "string" },
      "tests-report": { type: "string" }
    }
  })
  const isCi = values["tests-exit"] !== undefined
  const chosen = [
    ...parts,
    ...(isCi
      ? [{ name: "no process left behind", run: () => leftovers().every((line) => (console.log(line), false)) }]
      : [])
  ].filter((part) => values.only === undefined || values.only === part.name)

  let passed = 0
  let failed = 0
  const summary: Array<string> = []
  for (const part of chosen) {
    console.log(`\n== ${part.name}`)
    const started = performance.now()
    const isOk = part.run()
    passed += isOk ? 1 : 0
    failed += isOk ? 0 : 1
    summary.push(`${isOk ? "ok    " : "FAILED"} ${part.name} (${((performance.now() - started) / 1000).toFixed(1)} s)`)
  }
  if (values.only === undefined || values.only === "tests") {
    if (!isCi) console.log("\n== tests")
    const { counts: tests, failed: names } = isCi
      ? readReport(values["tests-report"] ?? "", Number(values["tests-exit"]))
      : runTests()
    passed += tests.passed
    failed += tests.failed
    summary.push(
      `${tests.failed === 0 ? "ok    " : "FAILED"} tests (${tests.passed} passed, ${tests.failed} failed, ${tests.skipped} skipped)`,
      ...names.map((name) => `       ${name}`)
    )
  }
  console.log(`\n${summary.join("\n")}\n\n${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1
}

main()
