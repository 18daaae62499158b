/**
 * The coder has a command-line agent change the worktree, and commits what it did.
 *
 * A round may run again when the worker died before it was recorded. The commit names thread and round,
 * so a second run finds that the work is done; half of one is thrown away first.
 */
import { Role } from "@nerve/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { checkout, git } from "./git.ts"
import { codingAgent } from "./models.ts"

/** What the coder leaves for others. */
export const Change = Schema.Struct({
  branch: Schema.String,
  commit: Schema.String,
  files: Schema.Array(Schema.String)
})

const prompt =
  "Change the files in this folder as the task, the plan and the reviewer's last words ask for, tests included. " +
  "Do not commit. End with one sentence on what you did."

export const coder = Role.make(
  Effect.fnUntraced(function* (context, { role, workspace }) {
    const { branch, folder } = yield* Effect.promise(() => checkout(workspace, context.threadId))
    const inFolder = (...args: ReadonlyArray<string>) => Effect.promise(() => git(folder, ...args))
    const mark = `Nerve-Round: ${context.threadId}/${context.steps.length + 1}`

    if (!(yield* inFolder("log", "-1", "--format=%B")).includes(mark)) {
      yield* inFolder("reset", "--quiet", "--hard")
      yield* inFolder("clean", "--quiet", "-fd")
      const { content } = yield* codingAgent(workspace, folder).run({ role, prompt, context })
      yield* inFolder("add", "--all")
      yield* inFolder("commit", "--quiet", "--allow-empty", "--message", `${content}\n\n${mark}`)
    }
    const message = yield* inFolder("log", "-1", "--format=%B")
    const commit = yield* inFolder("rev-parse", "HEAD")
    const files = (yield* inFolder("show", "--format=", "--name-only", "HEAD"))
      .split("\n")
      .filter((name) => name !== "")
    return {
      content: `${message.replace(mark, "").trim()}\n\n${branch} is at ${commit.slice(0, 10)}.`,
      meta: { branch, commit, files }
    }
  })
)
