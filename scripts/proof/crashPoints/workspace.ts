/**
 * The workspace of the proof of crash points: workflows that between them leave every kind of entry, a
 * sense with migrations, and a log whose first days are old enough to be archived and removed.
 */
import { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore } from "@nerve/runtime/log/LogStore"
import * as RunLog from "@nerve/runtime/workflow/RunLog"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

export const DAY = 86_400_000

/** A role that leaves a line outside the log: thread and round. */
const prelude = `import { Role, Workflow } from "@nerve/core"
import { appendFileSync, existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
const code = (answer) => Role.make(async (context, tools) => {
  const said = await answer(context, tools)
  appendFileSync(join(tools.workspace, "effects.log"), context.threadId + " " + (context.steps.length + 1) + "\\n")
  return said
})
`

const workflow = (roles: string, order: string): string =>
  `${prelude}\nexport default Workflow.make({ roles: { ${roles} }, moderator: Workflow.sequence(${order}) })\n`

const say = `speaker: code(({ start, steps }) => start.prompt + " " + (steps.length + 1))`

const files: Readonly<Record<string, string>> = {
  "nerve.yaml": `env: [NERVE_CRASH_AT]
senses:
  probe: { interval: 1d }
workflows:
  talk: { concurrency: 1, overflow: queue, max_queue: 100 }
  drops: { concurrency: 1 }
  gate: { concurrency: 1, overflow: queue, max_queue: 10 }
  fails: { concurrency: 1, overflow: queue, max_queue: 10 }
  hangs: { concurrency: 2, overflow: queue, max_queue: 10 }
  dies: { concurrency: 1, overflow: queue, max_queue: 10 }
  large: { concurrency: 1, overflow: queue, max_queue: 10 }
`,
  "senses/probe/index.mjs": `import { Sense } from "@nerve/core"
import { Schema } from "effect"
export default Sense.make({ signal: Schema.Int, compute: ({ db }) => Sense.signal(db.prepare("SELECT * FROM seen").all().length) })
`,
  "senses/probe/migrations/001.sql": "CREATE TABLE seen (n INTEGER); INSERT INTO seen VALUES (1)",
  "senses/probe/migrations/002.sql": "INSERT INTO seen VALUES (2)",
  "workflows/talk.mjs": workflow(say, `"speaker", "speaker"`),
  "workflows/drops.mjs": workflow(say, `"speaker"`),
  "workflows/gate.mjs": workflow(
    `gate: Role.approval({ question: "?" }), nap: Role.sleep("1 millis"),
    child: Role.child({ workflow: "talk", prompt: "child" }), ${say}`,
    `"gate", "nap", "child", "speaker"`
  ),
  "workflows/fails.mjs": workflow(
    `${say}, picky: code((_, { workspace }) => {
      if (!existsSync(join(workspace, "mended"))) throw new Error("not mended")
      return "mended"
    })`,
    `"speaker", "picky"`
  ),
  "workflows/hangs.mjs": workflow(
    `hang: Role.make((_, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("stopped")))))`,
    `"hang"`
  ),
  "workflows/dies.mjs": workflow(
    `${say}, dead: code((_, { workspace }) => {
      const file = join(workspace, "died")
      if (existsSync(file)) return "alive"
      writeFileSync(file, "")
      process.exit(3)
    })`,
    `"speaker", "dead"`
  ),
  "workflows/large.mjs": workflow(`speaker: code(() => "x".repeat(100_000))`, `"speaker"`)
}

/** Days ago on which the log says something, before the workspace has a daemon: the older are removed, the newer kept. */
const past = [8, 7, 3]

/** Writes it to `root`, which exists. */
export const write = Effect.fnUntraced(function* (root: string) {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  mkdirSync(join(root, "data"), { recursive: true })
  const now = Date.now()
  yield* Effect.gen(function* () {
    const store = yield* LogStore
    for (const days of past) {
      yield* TestClock.setTime(now - days * DAY)
      const threadId = ThreadId.make(`talk-${days}`)
      const workflow = WorkflowName.make("talk")
      yield* store.appendAll([
        RunLog.started(threadId, { workflow, prompt: `past ${days}`, maxRounds: 5, dryRun: false, cause: "manual" }),
        RunLog.message(threadId, 1, { role: "speaker", content: `${days}`.repeat(100_000), meta: null }),
        RunLog.ended(threadId, "completed", 0, "")
      ])
    }
  }).pipe(
    Effect.provide(LogStoreSqlite.layer(join(root, "data", "nerve.db"))),
    Effect.scoped,
    Effect.provide(TestClock.layer())
  )
})
