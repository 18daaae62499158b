/**
 * User code for the workspaces of these tests.
 */
import type { Files } from "./harness.ts"

/** A sense that signals a count, from 1 in each worker. */
export const counting = `import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
let count = 0
export default Sense.make({
  signal: Schema.Struct({ count: Schema.Finite }),
  compute: () => Sense.signal({ count: ++count })
})
`

/** A plain sense whose compute has this body. */
export const sense = (body: string, before = ""): string => `import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
${before}
export default Sense.make({
  signal: Schema.Struct({ count: Schema.Finite }),
  compute: async ({ db, peer, signal }) => {
    ${body}
  }
})
`

/** A sense whose compute says `busy` and then never gives way. */
export const busy = sense(`console.log("busy")\n    for (;;) {}`)

/**
 * A workflow of three rounds, of which the second waits until the workspace has a file `gate`. Each
 * round is recorded outside the log, in `rounds.log`, when it begins and when it ends, and prints a
 * line when it has begun.
 */
const talking = `import { Role, Workflow } from "@nerve/core"
import { appendFileSync, existsSync } from "node:fs"
import { join } from "node:path"
const role = (waits) => Role.make(async (context, { signal, workspace }) => {
  const round = context.steps.length + 1
  const record = (what) =>
    appendFileSync(join(workspace, "rounds.log"), what + " " + context.threadId + " " + round + "\\n")
  record("began")
  console.log("in round " + round + " of " + context.threadId)
  while (waits && !existsSync(join(workspace, "gate"))) {
    signal.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  record("ended")
  return "round " + round
})
export default Workflow.make({
  roles: { first: role(false), second: role(true), third: role(false) },
  moderator: Workflow.sequence("first", "second", "third")
})
`

/** The workflow `talk`, one thread at a time, and a sense `tick` beside it. */
export const talk: Files = {
  "nerve.yaml": `senses:
  tick: { interval: 150ms, group: clock }
workflows:
  talk: { overflow: queue }
`,
  "senses/tick/index.ts": counting,
  "workflows/talk/index.mjs": talking
}

/** What the workflow `talk` prints once it is in this round. */
export const inRound = (round: number, threadId: string): string => `in round ${round} of ${threadId}`

/** Rounds of `talk` that began and ended one after the other, as `rounds.log` has them. */
export const rounds = (thread: string, ...numbers: ReadonlyArray<number>): ReadonlyArray<string> =>
  numbers.flatMap((round) => [`began ${thread} ${round}`, `ended ${thread} ${round}`])
