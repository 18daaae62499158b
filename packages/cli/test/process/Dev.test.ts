/**
 * `nerve dev` with the real daemon, and the other commands against it.
 */
import { LogEntry } from "@nerve/core/domain/LogEntry"
import { DaemonStatus, ThreadDetail } from "@nerve/core/wire/ControlRpcs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { run, start, workspace } from "./run.ts"

const files = {
  "nerve.yaml": `senses:
  tick:
    interval: 200ms
workflows:
  greet: {}
`,
  "senses/tick/index.ts": `import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
let count = 0
export default Sense.make({
  signal: Schema.Struct({ count: Schema.Finite }),
  compute: () => Sense.signal({ count: ++count })
})
`,
  "workflows/greet/index.ts": `import { Role, Workflow } from "@nerve/core"
const role = (name: string) => Role.make(async (context: { start: { prompt: string } }) => ({
  content: name + " says " + context.start.prompt
}))
export default Workflow.make({
  roles: { one: role("one"), two: role("two") },
  moderator: Workflow.sequence("one", "two")
})
`
}

const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")
const decode = <A>(schema: Schema.Codec<A, unknown>, text: string): A =>
  Schema.decodeUnknownSync(schema)(JSON.parse(text))

const running = Effect.gen(function* () {
  const root = yield* workspace(files)
  const dev = yield* start(root, "dev")
  yield* dev.printed("signal: count 2")
  return { root, dev }
})

describe("nerve dev with the real daemon", () => {
  it.live("shows signals for the time given, sums up, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const root = yield* workspace(files)
      const ran = yield* run(root, "dev", "--for", "5s")
      assert.strictEqual(ran.stderr, "")
      assert.strictEqual(ran.code, 0)
      assert.match(ran.stdout, /^nerve \d.* in /)
      assert.match(ran.stdout, /sense {5}tick {24}signal: count 1\n/)
      assert.match(ran.stdout, /\nran \d.* s: \d+ signals \(tick \d+\), 0 threads ended\n$/)
      assert.isFalse(existsSync(join(root, ".nerve/control.sock")))
      assert.isFalse(existsSync(join(root, ".nerve/daemon.json")))
    })
  )

  it.live("prints one log entry per line with --json, from the kernel's start to its stop", () =>
    Effect.gen(function* () {
      const root = yield* workspace(files)
      const dev = yield* start(root, "dev", "--json")
      yield* dev.printed('"signal"')
      dev.child.kill("SIGINT")
      const ran = yield* dev.ended
      assert.strictEqual(ran.code, 0)
      const entries = lines(ran.stdout).map((line) => decode(LogEntry, line))
      const kernel = (type: string | undefined) => `kernel ${type}`
      assert.deepStrictEqual(
        [entries.at(0), entries.at(-1)].map((entry) => `${entry?.source} ${entry?.type}`),
        [kernel("started"), kernel("stopped")]
      )
      assert.isTrue(entries.some((entry) => entry.type === "signal"))
      assert.isTrue(entries.every((entry, index) => index === 0 || entry.id > (entries[index - 1]?.id ?? 0)))
    })
  )

  it.live("answers the other commands, and stops gracefully on Ctrl-C", () =>
    Effect.gen(function* () {
      const { dev, root } = yield* running
      const status = decode(DaemonStatus, (yield* run(root, "status", "--json")).stdout)
      assert.strictEqual(status.pid, dev.child.pid)
      assert.strictEqual(status.workspace, root)
      const triggered = yield* run(root, "workflow", "trigger", "greet", "-p", "hello", "--wait", "--json")
      assert.strictEqual(triggered.stderr, "")
      assert.strictEqual(triggered.code, 0)
      const { messages, run: ended } = decode(ThreadDetail, triggered.stdout)
      assert.deepStrictEqual(
        messages.map(({ content }) => content),
        ["one says hello", "two says hello"]
      )
      const shown = yield* run(root, "thread", "show", ended.threadId.slice(0, -2), "--json")
      assert.deepStrictEqual(decode(ThreadDetail, shown.stdout).messages, messages)
      assert.strictEqual((yield* run(root, "sense", "trigger", "tick")).code, 0)
      assert.include((yield* run(root, "sense", "trigger", "tock")).stderr, "tick")
      const follow = yield* start(root, "logs", "--follow", "--source", "sense")
      yield* follow.printed("signal: count")
      dev.child.kill("SIGINT")
      const ran = yield* dev.ended
      assert.strictEqual(ran.stderr, "")
      assert.strictEqual(ran.code, 0)
      assert.include(ran.stdout, "1 thread ended (completed 1)")
      assert.strictEqual((yield* follow.ended).code, 1)
      // Without the daemon: from the file.
      assert.strictEqual((yield* run(root, "status")).code, 1)
      const offline = yield* run(root, "thread", "show", ended.threadId, "--json")
      assert.deepStrictEqual(decode(ThreadDetail, offline.stdout).messages, messages)
    })
  )

  it.live("refuses a second daemon, naming the first, which goes on", () =>
    Effect.gen(function* () {
      const { dev, root } = yield* running
      const second = yield* run(root, "dev")
      assert.strictEqual(second.code, 1)
      assert.strictEqual(second.stdout, "")
      assert.include(second.stderr, `nerve: a daemon already runs in ${root} (pid ${dev.child.pid})`)
      assert.include(second.stderr, `kill ${dev.child.pid}`)
      assert.strictEqual((yield* run(root, "status")).code, 0)
    })
  )

  it.live("starts at once after its predecessor was killed", () =>
    Effect.gen(function* () {
      const { dev, root } = yield* running
      dev.child.kill("SIGKILL")
      yield* dev.ended
      const next = yield* start(root, "dev")
      yield* next.printed("signal: count")
      next.child.kill("SIGINT")
      assert.strictEqual((yield* next.ended).code, 0)
    })
  )
})
