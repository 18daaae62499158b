/** The planner reads which files there are, and says in a few steps what to do. */
import { Role } from "@nerve/core"
import * as Effect from "effect/Effect"
import { checkout, git } from "./git.ts"
import { model } from "./models.ts"

const adapter = model(({ prompt }) => {
  const files = prompt.split("\n").filter((line) => line.startsWith("src/"))
  return `Change ${files.join(", ")} as asked for, and add a test for each case that the task names.`
})

export const planner = Role.make(
  Effect.fnUntraced(function* (context, { role, workspace }) {
    const { folder } = yield* Effect.promise(() => checkout(workspace, context.threadId))
    const files = yield* Effect.promise(() => git(folder, "ls-files"))
    const prompt = `Plan the change in at most five steps. Name the files to touch. The repository has:\n${files}`
    return yield* adapter.run({ role, prompt, context })
  })
)
