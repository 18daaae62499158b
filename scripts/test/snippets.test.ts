/**
 * Type-checks every TypeScript snippet of the documentation, in one run of the compiler.
 *
 * - A snippet whose first line names a file (`// main.ts`) is that file, beside the others of its page.
 * - What a snippet takes for given is said above it, in a comment that no reader sees: `<!-- given: … -->`. In it `given`
 *   is what stands for `...` in `{ ..., heartbeat: false }`, and a part of a module goes in place of `// snippet`.
 * - The others need not import what `effect` and the packages' own index give.
 * - One that yields outside of a function is the body of an `Effect.gen`.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))
// Within the workspace, so that its packages are found.
const folder = mkdtempSync(join(root, "scripts/test/.snippets-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Snippet {
  /** Where its text begins, as `docs/ipc.md` and a line that counts from 1. */
  readonly page: string
  readonly line: number
  readonly given: string
  readonly text: string
}

const pages = (): ReadonlyArray<string> => [
  "README.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
  ...readdirSync(join(root, "examples")).map((name) => `examples/${name}/README.md`)
]

const block = /(?:^<!-- given:?(?<given>(?:(?!-->)[\s\S])*)-->\n+)?^```ts\n(?<text>[\s\S]*?)^```$/gm

const snippetsOf = (page: string): ReadonlyArray<Snippet> => {
  const markdown = readFileSync(join(root, page), "utf8")
  return Array.from(markdown.matchAll(block), ({ 0: all, groups, index }) => {
    const text = groups?.["text"] ?? ""
    const start = index + all.length - text.length - "```".length
    return { page, line: markdown.slice(0, start).split("\n").length, given: groups?.["given"] ?? "", text }
  })
}

const effect = [
  "Config",
  "Context",
  "Effect",
  "Fiber",
  "Layer",
  "Logger",
  "Queue",
  "RcMap",
  "Schedule",
  "Schema",
  "Stream"
]

/** What `effect` and each package give by name, as far as the snippet does not say itself where it has it from. */
const usual = ({ given, text }: Snippet): string => {
  if (namedFile.test(text)) return ""
  const own = `${given}\n${text}`.match(statement)?.join("") ?? ""
  const offered = (packageName: string) =>
    Array.from(
      readFileSync(join(root, "packages", packageName, "src/index.ts"), "utf8").matchAll(/^export \* as (\w+)/gm),
      (match) => match[1] ?? ""
    )
  const from = (specifier: string, names: ReadonlyArray<string>) =>
    `import { ${names.filter((name) => !new RegExp(`\\b${name}\\b`).test(own)).join(", ")} } from "${specifier}"; `
  return [
    from("effect", effect),
    ...["core", "runtime", "node"].map((name) => from(`@nerve/${name}`, offered(name)))
  ].join("")
}

const namedFile = /^\/\/ (\S+\.ts)\n/

const statement = /^import .*\n/gm

/** The snippet as a module, and how many lines come before its first. */
const moduleOf = (snippet: Snippet): { readonly source: string; readonly before: number } => {
  const { text } = snippet
  const given = `${usual(snippet)}${snippet.given}`
  const filled = text.replaceAll("...,", "...given,")
  const [before = "", after] = given.split("// snippet\n")
  const isBody = /\byield\*/.test(filled) && !/function\*/.test(filled)
  if (after === undefined && !isBody) return { source: `${given}\n${filled}`, before: linesOf(given) }
  // An import stands at the top of a module alone; its line is left, so that lines can be counted.
  const imports = (filled.match(statement) ?? []).join("")
  const [open, close] = isBody ? ["export const body = Effect.gen(function* () {", "})"] : ["", ""]
  const head = `${imports}${before}\n${open}`
  return { source: `${head}\n${filled.replaceAll(statement, "\n")}${close}${after ?? ""}`, before: linesOf(head) }
}

const linesOf = (text: string): number => text.split("\n").length

const fileOf = ({ line, page, text }: Snippet): string => {
  const name = namedFile.exec(text)?.[1] ?? `line${line}.ts`
  return join(folder, page.replaceAll("/", "-"), name)
}

const settings = {
  extends: join(root, "tsconfig.json"),
  compilerOptions: {
    noUnusedLocals: false,
    noUnusedParameters: false,
    plugins: [],
    // A page may go on with the files of another.
    rootDirs: ["docs-testing.md", "docs-supervision.md"]
  },
  include: ["**/*.ts"],
  exclude: []
}

describe("the snippets of the documentation", () => {
  it("are what the compiler takes", () => {
    const snippets = pages().flatMap(snippetsOf)
    // A pattern that finds none would find no fault either.
    expect(snippets.length).toBeGreaterThan(30)
    const placed = new Map(snippets.map((snippet) => [fileOf(snippet), { snippet, ...moduleOf(snippet) }]))
    for (const [file, { source }] of placed) {
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, source)
    }
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(settings))
    const { stdout } = spawnSync(join(root, "node_modules/.bin/tsc"), ["-p", folder, "--pretty", "false"], {
      cwd: folder,
      encoding: "utf8"
    })
    const faults = stdout
      .trim()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const [, file = "", at = "0", fault = ""] = /^(.*?)\((\d+),\d+\): (.*)$/.exec(line) ?? []
        const found = placed.get(join(folder, file))
        if (found === undefined) return line
        const { before, snippet } = found
        return `${relative(root, join(root, snippet.page))}:${Number(at) - before + snippet.line} ${fault}`
      })
    expect(faults).toEqual([])
  })
})
