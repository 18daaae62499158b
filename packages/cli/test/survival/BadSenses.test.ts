/**
 * Senses that are broken in every way, beside one that is not: each fault is told with the name of the
 * sense or of its file, and the good one goes on at its interval.
 */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { counting, sense } from "./fixtures.ts"
import { canLook, daemon, field, type Files, is, stored, workspace, write } from "./harness.ts"

// Less than what users get, so that the greedy one meets its limit soon.
process.env["NERVE_SENSE_HEAP_MB"] = "192"

/** How often the good sense is to signal, in milliseconds. */
const intervalMs = 200

const files: Files = {
  "nerve.yaml": `senses:
  # The worker of the good one has these beside it.
  good: { interval: ${intervalMs}ms, group: shared }
  throws-on-import: { interval: 200ms, group: shared }
  no-export: { interval: 200ms, group: shared }
  no-module: { interval: 200ms, group: shared }
  bad-sql: { interval: 200ms, group: shared }
  refused: { interval: 200ms, group: shared }
  intruder: { interval: 200ms, group: shared }
  slow: { interval: 200ms, timeout: 300ms, group: shared }
  syntax: { interval: 200ms, group: shared }
  throws: { interval: 200ms, group: shared }
  fails: { interval: 200ms, group: shared }
  bloats: { interval: 200ms, group: shared }
  gap: { interval: 200ms, group: shared }
  # These take their worker with them, or would.
  hangs: { interval: 200ms, timeout: 300ms, grace_period: 200ms }
  spins: { interval: 200ms, timeout: 300ms, grace_period: 200ms }
  exits: { interval: 200ms }
  rejects: { interval: 200ms }
  chatters: { interval: 200ms }
  devours: { interval: 200ms }
`,
  "senses/good/index.ts": counting,
  "senses/throws-on-import/index.ts": `${counting}\nthrow new Error("no such device")\n`,
  "senses/no-export/index.ts": counting.replace("export default", "export const mine ="),
  "senses/bad-sql/index.ts": counting,
  "senses/bad-sql/migrations/0001_init.sql": "CREATE TABEL samples (id INTEGER);\n",
  "senses/refused/index.mjs": sense(`return Sense.signal({ count: "many" })`),
  "senses/intruder/index.ts": sense(`peer("good").exec("CREATE TABLE mine (id INTEGER)")`),
  "senses/slow/index.ts": sense(
    `await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))`
  ),
  "senses/syntax/index.ts": counting.replace("count = 0", "count = = 0"),
  "senses/throws/index.ts": sense(`db.exec("CREATE TABLE left_behind (x)"); throw new TypeError("on purpose")`),
  "senses/fails/index.ts": `import { Sense } from "@nerve/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
export default Sense.make({ signal: Schema.Never, compute: Effect.fail(new Error("failed as an Effect")) })
`,
  "senses/bloats/index.ts": `import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
export default Sense.make({ signal: Schema.String, compute: () => Sense.signal("x".repeat(50 * 1024 * 1024)) })
`,
  "senses/gap/index.ts": counting,
  "senses/gap/migrations/0002_second.sql": "CREATE TABLE second (x);\n",
  // All that it allocates stays in use: a gigabyte, and on until it may have no more.
  "senses/devours/index.ts": sense(`const kept = []
    for (let n = 0; n < 1024; n++) kept.push(new Array(131_072).fill(n))
    for (;;) kept.push(new Array(131_072).fill(kept.length))`),
  "senses/hangs/index.ts": sense("await new Promise(() => {})"),
  "senses/spins/index.ts": sense("for (;;) {}"),
  "senses/exits/index.ts": sense("process.exit(0)"),
  "senses/rejects/index.ts": sense(`Promise.reject(new Error("nobody awaits this")); await new Promise(() => {})`),
  "senses/chatters/index.ts": sense(`process.stdout.write("\\x00\\xff{]\\n" + "noise\\n".repeat(5000))
    return Sense.signal({ count: 1 })`)
}

const decodeCount = Schema.decodeUnknownSync(Schema.Struct({ value: Schema.Struct({ count: Schema.Finite }) }))

const text = (entry: LogEntry, name = "message"): string => String(field(entry, name))

describe.skipIf(!canLook)("bad senses beside a good one", () => {
  it.live("are each told by name, and the good one goes on at its interval", () =>
    Effect.gen(function* () {
      const root = yield* workspace(files)
      const nerve = yield* daemon(root)
      const first = yield* nerve.entry("a signal of the good one", is("signal", "good"))

      // --- those that do not load: the file, and what is wrong with it
      const broken = (name: string) => nerve.entry(`what is wrong with ${name}`, is("broken", name))
      const thrown = yield* broken("throws-on-import")
      assert.strictEqual(field(thrown, "file"), "senses/throws-on-import/index.ts")
      assert.include(text(thrown), "no such device")
      const unexported = yield* broken("no-export")
      assert.strictEqual(field(unexported, "file"), "senses/no-export/index.ts")
      assert.include(text(unexported), "no default export: it exports only mine")
      const missing = yield* broken("no-module")
      assert.strictEqual(field(missing, "file"), "senses/no-module/index.ts")
      const migration = yield* broken("bad-sql")
      assert.strictEqual(field(migration, "file"), "senses/bad-sql/migrations/0001_init.sql")
      assert.include(text(migration), "TABEL")
      const syntax = yield* broken("syntax")
      assert.strictEqual(field(syntax, "file"), "senses/syntax/index.ts")
      assert.strictEqual(field(syntax, "code"), "syntax-error")
      assert.include(text(syntax), "senses/syntax/index.ts:3")

      // --- those whose computes fail
      const error = (name: string) => nerve.entry(`an error of ${name}`, is("error", name))
      assert.match(text(yield* error("refused")), /schema.*count/)
      assert.match(text(yield* error("intruder")), /readonly|read-only/)
      assert.strictEqual(text(yield* error("throws")), "TypeError: on purpose")
      assert.strictEqual(text(yield* error("fails")), "failed as an Effect")
      assert.include(text(yield* error("bloats")), "52428802 characters of JSON; 1000000 are allowed")
      assert.include(text(yield* nerve.entry("the timeout of slow", is("timeout", "slow"))), "longer than 300 ms")

      // --- those that do not come to an end
      for (const name of ["hangs", "spins"]) {
        assert.include(
          text(yield* nerve.entry(`the kill of ${name}`, is("killed", name))),
          "did not give way within 500 ms"
        )
        assert.strictEqual(
          field(yield* nerve.entry(`the exit of ${name}`, is("exited", `sense:${name}`)), "signal"),
          "SIGKILL"
        )
      }

      // --- those that end their worker: an exit with code 0 is a crash, too
      const left = yield* nerve.entry("the exit of exits", is("exited", "sense:exits"))
      assert.deepStrictEqual([field(left, "code"), field(left, "expected")], [0, false])
      const crashed = yield* nerve.entry("the exit of rejects", is("exited", "sense:rejects"))
      assert.strictEqual(field(crashed, "code"), 1)
      assert.include(text(crashed, "stderrTail"), "nobody awaits this")
      const devoured = yield* nerve.entry("the exit of devours", is("exited", "sense:devours"))
      assert.match(text(devoured, "stderrTail"), /heap out of memory|Allocation failed/)
      assert.include(text(yield* error("devours")), "SIGABRT, out of heap memory, for the second time in a row")
      // Whose compute it was under which the worker died twice.
      assert.include(text(yield* error("exits")), "for the second time in a row")

      // --- one that prints without end: what is left out is counted, and it still signals
      yield* nerve.entry("a signal of the chatterer", is("signal", "chatters"))
      yield* nerve.entry(
        "a count of what was left out",
        (entry) =>
          is("output", "sense:chatters")(entry) && /^\d+ lines of output were left out$/.test(text(entry, "line"))
      )

      // --- all the while
      const again = (name: string) =>
        nerve.entry(
          `the second exit of ${name}`,
          (entry) => is("exited", `sense:${name}`)(entry) && field(entry, "incarnation") === 2
        )
      const { id } = (yield* Effect.forEach(["hangs", "spins", "exits"], again)).at(-1) ?? first
      const last = yield* nerve.entry(
        "a signal of the good one, after all that",
        (entry) => is("signal", "good")(entry) && entry.id > id
      )
      const signals = nerve.entries.filter((entry) => is("signal", "good")(entry) && entry.id <= last.id)
      const counts = signals.map(({ payload }) => decodeCount(payload).value.count)
      assert.deepStrictEqual(
        counts,
        signals.map((_, index) => index + 1),
        "its worker was replaced"
      )
      // A busy machine leaves ticks out, as many as it likes, and the first signal may be written one late.
      const ticks = (last.timestamp - first.timestamp) / intervalMs
      assert.isAtMost(signals.length, ticks + 3)
      nerve.kill("SIGINT")
      assert.deepStrictEqual(yield* nerve.ended, { code: 0, signal: null, stderr: "" })
      stored(root)
    })
  )

  it.live("that end their worker while it loads them are found, and their neighbours compute without them", () =>
    Effect.gen(function* () {
      const root = yield* workspace({
        "nerve.yaml": `senses:
  first: { interval: 200ms, group: shared }
  leaves: { interval: 200ms, group: shared }
  last: { interval: 200ms, group: shared }
`,
        "senses/first/index.ts": counting,
        "senses/leaves/index.ts": `${counting}\nprocess.exit(0)\n`,
        "senses/last/index.ts": counting
      })
      const nerve = yield* daemon(root)
      const broken = yield* nerve.entry("that leaves is broken", is("broken", "leaves"))
      assert.include(text(broken), "the sense leaves did not start")
      const signalAfter = (name: string, { id }: LogEntry) =>
        nerve.entry(`a signal of ${name}`, (entry) => is("signal", name)(entry) && entry.id > id)
      for (const name of ["first", "last"]) yield* signalAfter(name, yield* signalAfter(name, broken))
      // With all of them, then with that one alone.
      assert.lengthOf(nerve.entries.filter(is("exited", "sense:shared")), 2)
      write(root, { "senses/leaves/index.ts": counting })
      yield* nerve.entry("a signal of the one that is mended", is("signal", "leaves"))
      assert.lengthOf(nerve.entries.filter(is("exited", "sense:shared")), 2)
      nerve.kill("SIGINT")
      assert.deepStrictEqual(yield* nerve.ended, { code: 0, signal: null, stderr: "" })
      stored(root)
    })
  )
})
