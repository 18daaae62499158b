/**
 * Makes `data/repository`, a small git repository with something to do. Leaves one that is there alone.
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { argv } from "node:process"
import { fileURLToPath } from "node:url"

const files = {
  "package.json": '{ "name": "figures", "version": "1.0.0", "type": "module", "scripts": { "test": "node --test" } }\n',
  "src/median.js": `/** The median of numbers. */
export const median = (values) => {
  const sorted = values.toSorted()
  return sorted[Math.floor(sorted.length / 2)]
}
`,
  "test/median.test.js": `import assert from "node:assert/strict"
import { test } from "node:test"
import { median } from "../src/median.js"

test("the one in the middle", () => assert.equal(median([3, 1, 2]), 2))
`
}

const folder = join(argv[2] ?? dirname(fileURLToPath(import.meta.url)), "data", "repository")
const git = (...args) => execFileSync("git", ["-C", folder, ...args], { stdio: "pipe" })

if (existsSync(join(folder, ".git"))) {
  console.log(`${folder} is there already.`)
} else {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  git("init", "--quiet", "--initial-branch=main")
  git("config", "user.name", "nerve example")
  git("config", "user.email", "example@localhost")
  git("add", "--all")
  git("commit", "--quiet", "--message", "The median of numbers")
  console.log(`Made ${folder}.`)
}
