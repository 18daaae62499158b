/**
 * What user code says of a secret that it was given does not reach the log, whichever way it says it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { canLook, daemon, is, printed, run, trigger, workspace } from "./harness.ts"

const secret = "sk-do-not-tell-0123456789"
process.env["TALKATIVE_API_KEY"] = secret

const files = {
  "nerve.yaml": `senses:
  teller: { interval: 200ms }
  thrower: { interval: 200ms }
workflows:
  talk: { concurrency: 100 }
env: [TALKATIVE_API_KEY]
`,
  "senses/teller/index.js": `import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
const key = process.env["TALKATIVE_API_KEY"]
export default Sense.make({
  signal: Schema.Struct({ key: Schema.String }),
  compute: () => {
    console.log("length " + key.length)
    console.log("my key is " + key)
    return Sense.signal({ key }, { launch: { workflow: "talk", prompt: "use " + key } })
  }
})
`,
  "senses/thrower/index.js": `import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
export default Sense.make({
  signal: Schema.String,
  compute: () => { throw new Error("refused: " + process.env["TALKATIVE_API_KEY"]) }
})
`,
  "workflows/talk/index.js": `import { Role, Workflow } from "@nerve/core"
const key = process.env["TALKATIVE_API_KEY"]
export default Workflow.make({
  roles: {
    teller: Role.make(() => ({ content: "it is " + key, meta: { [key]: key } })),
    thrower: Role.make(() => { throw new Error("refused: " + key) })
  },
  moderator: Workflow.sequence("teller", "thrower")
})
`
}

describe.skipIf(!canLook)("secrets", () => {
  it.live("are replaced in everything that is stored or shown", () =>
    Effect.gen(function* () {
      const root = yield* workspace(files)
      const nerve = yield* daemon(root)
      yield* nerve.entry("a printed line", printed("sense:teller", "my key is <redacted>"))
      yield* nerve.entry("the length", printed("sense:teller", `length ${secret.length}`))
      yield* nerve.entry("a signal", is("signal", "teller"))
      yield* nerve.entry("an error", is("error", "thrower"))
      const thread = yield* trigger(root, "talk", `with ${secret}`)
      const end = yield* nerve.entry("the thread's end", is("failed", thread))
      assert.include(JSON.stringify(end.payload), "refused: <redacted>")
      const shown = yield* run(root, "thread", "show", thread)
      assert.include(shown.stdout, "it is <redacted>")
      assert.notInclude(shown.stdout, secret)
      assert.notInclude(JSON.stringify(nerve.entries), secret)

      nerve.kill("SIGTERM")
      yield* nerve.ended
      const data = join(root, "data")
      const told = readdirSync(data, { recursive: true, withFileTypes: true })
        // A sense's own database is its author's: it holds what the sense puts there, its last signal too.
        .filter((file) => file.isFile() && !file.parentPath.endsWith("/senses"))
        .filter((file) => readFileSync(join(file.parentPath, file.name)).includes(secret))
      assert.deepStrictEqual(
        told.map((file) => file.name),
        []
      )
    })
  )
})
