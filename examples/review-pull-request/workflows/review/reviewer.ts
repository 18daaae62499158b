/**
 * The reviewer runs the tests and reads the diff. A model says what it thinks; failing tests overrule
 * it, whatever it says.
 */
import { execFile } from "node:child_process"
import { env, execPath } from "node:process"
import { Role } from "@nerve/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { checkout, diff } from "./git.ts"
import { model } from "./models.ts"

export const Review = Schema.Struct({
  verdict: Schema.Literals(["approve", "change"]),
  comments: Schema.Array(Schema.String)
})

/** So much of the diff and of the tests' output is shown to the model. */
const shown = 20_000

const judge = (testsPass: boolean): string =>
  testsPass
    ? 'The tests pass and the diff does what was asked for.\n```json\n{ "verdict": "approve", "comments": [] }\n```'
    : 'A test fails.\n```json\n{ "verdict": "change", "comments": ["Make all tests pass: numbers are sorted as texts."] }\n```'

interface Tests {
  readonly pass: boolean
  readonly output: string
}

const runTests = (folder: string): Promise<Tests> =>
  new Promise((resolve) => {
    // A test runner inside a test runner would report to its parent instead of exiting with its own code.
    const { NODE_TEST_CONTEXT: _, ...environment } = env
    execFile(execPath, ["--test"], { cwd: folder, env: environment, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ pass: error === null, output: `${stdout}${stderr}` })
    )
  })

/** A model's review of one state of the branch. */
const ask = (tests: Tests, patch: string): Role.Role =>
  Role.fromAdapter({
    adapter: model(() => judge(tests.pass)),
    prompt: [
      "Review the change against the task. Approve it, or say what to change.",
      `The tests ${tests.pass ? "pass" : "fail"}:\n${tests.output.slice(-shown)}`,
      `The diff:\n${patch.slice(0, shown)}`
    ].join("\n\n"),
    meta: Review
  })

export const reviewer = Role.make(
  Effect.fnUntraced(function* (context, options) {
    const place = yield* Effect.promise(() => checkout(options.workspace, context.threadId))
    const tests = yield* Effect.promise(() => runTests(place.folder))
    const patch = yield* Effect.promise(() => diff(options.workspace, place))
    const answer = yield* ask(tests, patch).run(context, options)
    if (tests.pass) return answer
    return {
      content: `The tests fail, so this is not approved.\n\n${answer.content}\n\n${failures(tests.output)}`,
      meta: { verdict: "change", comments: [failures(tests.output)] }
    }
  })
)

/** The lines of a test run that say what failed. */
const failures = (output: string): string =>
  output
    .split("\n")
    .filter((line) => /^(?:not ok|✖)|expected|actual|Error/.test(line.trim()))
    .slice(0, 10)
    .join("\n")
