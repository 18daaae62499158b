import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { readFileSync } from "node:fs"
import { parse } from "../../src/config/ConfigParser.ts"
import { format } from "../../src/config/ConfigProblem.ts"
import * as ConfigSchema from "../../src/config/ConfigSchema.ts"

const chapter = readFileSync(new URL("../../../../docs/config.md", import.meta.url), "utf8")
/** Contents of the fenced blocks with this info string. */
const blocks = (info: string) =>
  Array.from(chapter.matchAll(/^```(.*)\n([^]*?)^```$/gm))
    .filter(([, found]) => found === info)
    .map(([, , content]) => content ?? "")

describe("docs/config.md", () => {
  it("has a row for each key, with the type, default and meaning of the table", () => {
    const { agent, api, extract, log, reflex, root, sense, workflow } = ConfigSchema
    for (const { keys } of [root, sense, workflow, log, api, extract, agent, reflex]) {
      for (const [name, key] of Object.entries(keys)) {
        assert.include(chapter, `| \`${name}\` | ${key.kind.type} | ${key.default} | ${key.meaning} |`)
      }
    }
  })

  it("has examples that nerve accepts", () => {
    const examples = [...blocks("yaml"), ...blocks("yaml minimal")]
    assert.isAtLeast(examples.length, 4)
    for (const example of examples) assert.isTrue(Result.isSuccess(parse(example)), example)
  })

  it("shows problems exactly as they are printed", () => {
    const [broken = ""] = blocks("yaml broken")
    const parsed = parse(broken)
    assert.isTrue(Result.isFailure(parsed))
    if (Result.isFailure(parsed)) {
      assert.deepStrictEqual(blocks("text problems"), [`${format(parsed.failure.problems, broken, "nerve.yaml")}\n`])
    }
  })
})
