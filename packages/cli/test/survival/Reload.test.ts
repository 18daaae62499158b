/**
 * Edits under a daemon that runs: code and configuration are taken over as they are saved, however an
 * editor does that, and nobody else is disturbed (M9, M10, M14).
 */
import { assert, describe, it } from "@effect/vitest"
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import { Effect } from "effect"
import { cpSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Fixtures from "./fixtures.ts"
import { ask, canLook, daemon, field, is, printed, run, trigger, workspace, write } from "./harness.ts"

/** A sense that signals `version`, which it imports, and how often this copy of its module has computed. */
const versioned = `import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
import { version } from "../../lib/version.ts"
let count = 0
export default Sense.make({
  signal: Schema.Struct({ version: Schema.String, count: Schema.Finite }),
  compute: () => Sense.signal({ version, count: ++count })
})
`

const files = {
  "nerve.yaml": `senses:
  cpu: { interval: 200ms, group: main }
  disk: { interval: 200ms, group: main }
`,
  "senses/cpu/index.ts": versioned,
  "senses/disk/index.ts": Fixtures.counting,
  "lib/version.ts": `export const version: string = "one"`
}

/** As many editors save: another file takes the place of the old one. */
const replace = (root: string, file: string, text: string) => {
  writeFileSync(join(root, `${file}.tmp`), text)
  renameSync(join(root, `${file}.tmp`), join(root, file))
}

const value = (entry: LogEntry, name: string): unknown => {
  const found = field(entry, "value")
  return typeof found === "object" && found !== null ? Reflect.get(found, name) : undefined
}

const says = (version: string) => (entry: LogEntry) => is("signal", "cpu")(entry) && value(entry, "version") === version

const reasonHas = (text: string) => (entry: LogEntry) => String(field(entry, "reason")).includes(text)

const after =
  (earlier: LogEntry, fits: (entry: LogEntry) => boolean) =>
  (entry: LogEntry): boolean =>
    entry.id > earlier.id && fits(entry)

describe.skipIf(!canLook)("a sense's code", () => {
  it.live("is taken over when it is saved, and its neighbour in the same worker keeps what it has in memory", () =>
    Effect.gen(function* () {
      const root = yield* workspace(files)
      const nerve = yield* daemon(root)
      yield* nerve.entry("the first version", says("one"))
      const counted = yield* nerve.entry("a count", is("signal", "disk"))

      // What it imports, saved in place.
      write(root, { "lib/version.ts": `export const version: string = "two"` })
      const two = yield* nerve.entry("the second version", says("two"))
      assert.strictEqual(value(two, "count"), 1)
      const reloaded = yield* nerve.entry("the reload", is("reloaded", "cpu"))
      assert.deepStrictEqual(field(reloaded, "files"), ["lib/version.ts"])

      // A mistake, saved by rename: only this sense is down, and says where the mistake is.
      replace(root, "senses/cpu/index.ts", `${versioned}\nexport const = 1\n`)
      const broken = yield* nerve.entry("the mistake", is("broken", "cpu"))
      assert.include(field(broken, "message"), "senses/cpu/index.ts")
      replace(root, "senses/cpu/index.ts", versioned.replace("version, count", `version: version + "!", count`))
      yield* nerve.entry("its recovery", is("recovered", "cpu"))
      yield* nerve.entry("the third version", says("two!"))

      // A migration that fails, mended; then all of it gone, and back.
      write(root, { "senses/cpu/migrations/001.sql": "CREATE TABEL samples (n)" })
      const failing = yield* nerve.entry("the failing migration", after(broken, is("broken", "cpu")))
      assert.include(JSON.stringify(failing.payload), "001.sql")
      write(root, { "senses/cpu/migrations/001.sql": "CREATE TABLE samples (n)" })
      const mended = yield* nerve.entry("the mended migration", after(failing, is("recovered", "cpu")))
      cpSync(join(root, "senses/cpu"), join(root, "kept"), { recursive: true })
      rmSync(join(root, "senses/cpu"), { recursive: true })
      const missing = yield* nerve.entry("that it is missing", after(mended, is("broken", "cpu")))
      assert.strictEqual(field(missing, "code"), "module-missing")
      renameSync(join(root, "kept"), join(root, "senses/cpu"))
      const back = yield* nerve.entry("that it is back", after(missing, is("recovered", "cpu")))
      yield* nerve.entry("a signal of its", after(back, says("two!")))

      const last = yield* nerve.entry("a last count", after(back, is("signal", "disk")))
      const counts = nerve.entries
        .filter((entry) => is("signal", "disk")(entry) && entry.id >= counted.id && entry.id <= last.id)
        .map((entry) => Number(value(entry, "count")))
      // One after the other: the worker was never another, and no compute was lost.
      assert.deepStrictEqual(
        counts,
        counts.map((_, i) => (counts[0] ?? 0) + i)
      )
      assert.isEmpty(nerve.entries.filter(is("exited", "sense:main")))
    })
  )
})

describe.skipIf(!canLook)("nerve.yaml", () => {
  it.live("that is refused changes nothing and says where it is wrong; mended, it is taken over", () =>
    Effect.gen(function* () {
      const root = yield* workspace(files)
      const nerve = yield* daemon(root)
      yield* nerve.entry("a signal", says("one"))
      const before = String(files["nerve.yaml"])

      write(root, { "nerve.yaml": before.replace("interval: 200ms, group: main }", "intervall: 200ms, group: main }") })
      const refused = yield* nerve.entry("the refusal", ({ type }) => type === "refused")
      assert.include(field(refused, "reason"), "nerve.yaml:2:10")
      assert.include(field(refused, "reason"), "intervall")
      yield* nerve.entry("a signal all the same", after(refused, says("one")))
      const status = yield* run(root, "status")
      assert.include(status.stdout, "nerve.yaml on disk is not what runs")
      assert.include(status.stdout, "nerve.yaml:2:10")
      const asked = yield* run(root, "reload")
      assert.strictEqual(asked.code, 1)
      assert.include(asked.stdout, "nerve.yaml:2:10")

      rmSync(join(root, "nerve.yaml"))
      const gone = yield* nerve.entry(
        "that it is gone",
        after(refused, ({ type }) => type === "refused")
      )
      replace(root, "nerve.yaml", before)
      const again = yield* nerve.entry("that it is right again", after(gone, reasonHas("says again what runs")))
      assert.notInclude((yield* run(root, "status")).stdout, "not what runs")

      // Moved, added and removed at once; the one that stays where it is goes on.
      write(root, { "senses/net/index.ts": Fixtures.counting })
      replace(
        root,
        "nerve.yaml",
        `senses:\n  cpu: { interval: 300ms, group: other }\n  net: { interval: 200ms, group: main }\n`
      )
      const reloaded = yield* nerve.entry(
        "the reload",
        after(again, ({ type }) => type === "reloaded")
      )
      assert.deepStrictEqual(field(reloaded, "changes"), [
        "sense disk removed",
        "sense cpu moved from group main to other",
        "sense cpu: interval 200ms -> 300ms",
        "sense net added"
      ])
      yield* nerve.entry("a signal of the new one", is("signal", "net"))
      const moved = yield* nerve.entry(
        "a signal from its new group",
        (entry) => says("one")(entry) && field(entry, "group") === "other"
      )
      assert.isAbove(moved.id, reloaded.id)
      assert.isEmpty(nerve.entries.filter(is("exited", "sense:main")))
      const views = yield* ask(root, (client) => client.GetStatus())
      assert.deepStrictEqual(views.workers.map(({ key }) => key).sort(), ["sense:main", "sense:other"])
    })
  )

  it.live("and code are left alone with watch: never, until somebody asks for a reload", () =>
    Effect.gen(function* () {
      const root = yield* workspace({ ...files, "nerve.yaml": `watch: never\n${files["nerve.yaml"]}` })
      const nerve = yield* daemon(root)
      yield* nerve.entry("the first version", says("one"))
      write(root, { "lib/version.ts": `export const version: string = "two"` })
      write(root, { "nerve.yaml": `watch: never\nmax_rounds: 3\n${files["nerve.yaml"]}` })
      const asked = yield* run(root, "reload", "--json")
      const outcome: unknown = JSON.parse(asked.stdout)
      assert.deepInclude(outcome, { changes: ["max_rounds 20 -> 3"], senses: ["cpu"], workflows: [] })
      yield* nerve.entry("the second version", says("two"))
      const nothing = yield* run(root, "reload")
      assert.strictEqual(nothing.stdout.trim(), "nothing has changed")
      assert.strictEqual(nothing.code, 0)
    })
  )
})

describe.skipIf(!canLook)("a workflow's code", () => {
  it.live("is taken over when no thread runs: the one that does finishes on the old", () =>
    Effect.gen(function* () {
      const root = yield* workspace(Fixtures.talk)
      const nerve = yield* daemon(root)
      const first = yield* trigger(root, "talk", "one")
      yield* nerve.entry("round 2", printed("workflow:talk", Fixtures.inRound(2, first)))
      const code = String(Fixtures.talk["workflows/talk/index.mjs"])
      replace(root, "workflows/talk/index.mjs", code.replace(`return "round "`, `return "new round "`))
      const noted = yield* nerve.entry("the change", reasonHas("workflows/talk/index.mjs changed"))
      assert.strictEqual(noted.source, "kernel")
      const second = yield* trigger(root, "talk", "two")
      write(root, { gate: "" })
      yield* nerve.entry("the end of the first", is("completed", first))
      yield* nerve.entry("the end of the second", is("completed", second))
      const said = (thread: string) =>
        nerve.entries.filter(is("message", thread)).map((entry) => field(entry, "content"))
      assert.deepStrictEqual(said(first), ["round 1", "round 2", "round 3"])
      assert.deepStrictEqual(said(second), ["new round 1", "new round 2", "new round 3"])
      assert.isEmpty(nerve.entries.filter(({ type }) => type === "interrupted" || type === "crashed"))
    })
  )

  it.live("brings the workflow back when its worker was given up; a removed workflow is started no more", () =>
    Effect.gen(function* () {
      const root = yield* workspace({ ...Fixtures.talk, gate: "", "workflows/talk/index.mjs": "process.exit(3)" })
      const nerve = yield* daemon(root)
      const lost = yield* trigger(root, "talk", "one")
      const given = yield* nerve.entry("that it is given up", is("given-up", "workflow:talk"))
      yield* nerve.entry("the end of the thread", is("crashed", lost))
      write(root, { "workflows/talk/index.mjs": String(Fixtures.talk["workflows/talk/index.mjs"]) })
      yield* nerve.entry("the change", after(given, reasonHas("workflows/talk/index.mjs changed")))
      const found = yield* trigger(root, "talk", "two")
      yield* nerve.entry("the end of the next", is("completed", found))

      rmSync(join(root, "gate"))
      const active = yield* trigger(root, "talk", "three")
      const queued = yield* trigger(root, "talk", "four")
      yield* nerve.entry("round 2", printed("workflow:talk", Fixtures.inRound(2, active)))
      write(root, { "nerve.yaml": "senses:\n  tick: { interval: 150ms, group: clock }\n" })
      for (const thread of [active, queued]) {
        const end = yield* nerve.entry(`the end of ${thread}`, is("interrupted", thread))
        assert.include(field(end, "reason"), "left the config")
      }
      assert.isEmpty(nerve.entries.filter(is("started", queued)))
      const refused = yield* run(root, "workflow", "trigger", "talk", "five")
      assert.strictEqual(refused.code, 2)
    })
  )
})
