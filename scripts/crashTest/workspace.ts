/**
 * The workspace of the crash test: two workflows whose rounds leave a line outside the log each, one of
 * plain rounds, one that also sleeps and waits for a child.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

/** How many threads of each may be active. */
export const CONCURRENCY = 4

/** Rounds of a thread of `work`, from its prompt's number. */
const ROUNDS = 5

/** One line per round that was run: workflow, thread, round. Short, so that the system appends it whole. */
const effect = `import { Role, Workflow } from "@nerve/core"
import { appendFileSync } from "node:fs"
import { join } from "node:path"
export const speaker = Role.make(async (context, { signal, workspace }) => {
  const round = context.steps.length + 1
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 20))
  signal.throwIfAborted()
  appendFileSync(join(workspace, "effects.log"), context.threadId + " " + round + "\\n")
  if (Math.random() < 0.3) await new Promise((resolve) => setTimeout(resolve, Math.random() * 30))
  return "round " + round
})
`

const work = `${effect}
export default Workflow.make({
  roles: { speaker },
  moderator: ({ steps }) => (steps.length < ${ROUNDS} ? "speaker" : Workflow.END)
})
`

const waits = `${effect}
export default Workflow.make({
  roles: {
    speaker,
    nap: Role.sleep("60 millis"),
    helper: Role.child({ workflow: "work", prompt: ({ start }) => "child of " + start.prompt })
  },
  moderator: Workflow.sequence("speaker", "nap", "speaker", "helper", "speaker")
})
`

const files = {
  "nerve.yaml": `workflows:
  work: { concurrency: ${CONCURRENCY}, overflow: queue, max_queue: 100000 }
  waits: { concurrency: ${CONCURRENCY}, overflow: queue, max_queue: 100000 }
`,
  "package.json": `{ "type": "module" }\n`,
  "workflows/work/index.mjs": work,
  "workflows/waits/index.mjs": waits
}

export const write = (root: string): void => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
}
