/**
 * A `nerve.yaml` with ten different mistakes: all of them are told at once, with their places, and
 * nothing is started.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { run, workspace } from "./harness.ts"

const broken = `senses:
  cpu:
    intervall: 5s
    timeout: 5 seconds
    group: [a, b]
  memory:
    interval: 10ms
    on: [cpuu]
  disk:
    on: [disk]
workflows:
  investigate:
    concurrency: 0
    overflow: drop
    max_queue: 3
max_rounds: many
api:
  port: 7000
  host: 0.0.0.0
`

/** Each mistake by its place and a word of what is said about it. */
const mistakes: ReadonlyArray<readonly [place: string, says: string]> = [
  ["3:5", 'did you mean "interval"?'],
  ["4:14", 'did you mean "5s"?'],
  ["5:12", "found a list"],
  ["7:15", "too short"],
  ["8:10", 'did you mean "cpu"?'],
  ["10:10", "would trigger itself"],
  ["13:18", "found 0"],
  ["15:5", "overflow: queue"],
  ["16:13", 'found "many"'],
  ["19:9", "no token"]
]

describe("a nerve.yaml with ten mistakes", () => {
  for (const command of ["validate", "dev"]) {
    it.live(`is told by nerve ${command} with line and column of each, and exit code 1`, () =>
      Effect.gen(function* () {
        const root = yield* workspace({ "nerve.yaml": broken })
        const ran = yield* run(root, command)
        assert.strictEqual(ran.code, 1)
        assert.strictEqual(ran.stdout, "")
        const told = ran.stderr.split("\n").filter((line) => line.startsWith("nerve.yaml:"))
        assert.strictEqual(told.length, mistakes.length)
        for (const [index, [place, says]] of mistakes.entries()) {
          assert.include(told[index], `nerve.yaml:${place}  `)
          assert.include(told[index], says)
        }
        assert.include(ran.stderr, "10 problems in nerve.yaml")
        assert.notMatch(ran.stderr, /^\s+at .*:\d+/m)
        assert.isFalse(existsSync(join(root, ".nerve")) || existsSync(join(root, "data")))
      })
    )
  }
})
