/**
 * `nerve sense test` (C3): one compute on a copy, which changes nothing; with `--commit` for good, by the daemon or
 * without one; and whatever a sense does to its worker, the command says what it was and ends.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { sense } from "./fixtures.ts"
import { canLook, daemon, field, type Files, is, processesIn, run, stored, workspace, write } from "./harness.ts"

const files: Files = {
  "nerve.yaml": `senses:
  counter: { params: { step: 2 } }
  throws: {}
  slow: { timeout: 200ms }
  hangs: { timeout: 200ms, grace_period: 200ms }
  exits: {}
  broken: {}
workflows:
  greet: {}
`,
  "senses/counter/index.ts": `import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
export default Sense.make({
  signal: Schema.Struct({ n: Schema.Int }),
  params: Schema.Struct({ step: Schema.Int }),
  state: { schema: Schema.Int, initial: 0 },
  compute: ({ db, log, params, state }) => {
    const n = state.get() + params.step
    state.set(n)
    db.prepare("INSERT INTO counts (n) VALUES (?)").run(n)
    log("counting", { n })
    console.log("aloud")
    return Sense.signal({ n }, { launch: { workflow: "greet", prompt: "number " + n } })
  }
})
`,
  "senses/counter/migrations/1.sql": "CREATE TABLE counts (id INTEGER PRIMARY KEY, n INTEGER);",
  "senses/throws/index.ts": sense(`db.exec("CREATE TABLE t (x)"); throw new Error("on purpose")`),
  "senses/slow/index.ts": sense(
    `await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)))`
  ),
  "senses/hangs/index.ts": sense("for (;;) {}"),
  "senses/exits/index.ts": sense(`console.log("last words"); process.exit(3)`),
  "senses/broken/index.ts": "export const mine = 1",
  "workflows/greet/index.mjs": `import { Role, Workflow } from "@nerve/core"
export default Workflow.make({
  roles: { host: Role.make(async () => "hello") },
  moderator: Workflow.sequence("host")
})
`
}

const View = Schema.fromJsonString(
  Schema.Struct({
    sense: Schema.String,
    committed: Schema.Boolean,
    outcome: Schema.String,
    value: Schema.Json,
    launches: Schema.Array(Schema.Json),
    detail: Schema.NullOr(Schema.String),
    durationMs: Schema.Finite,
    lines: Schema.Array(Schema.Struct({ level: Schema.String, message: Schema.String, fields: Schema.Json })),
    tables: Schema.Array(
      Schema.Struct({
        table: Schema.String,
        added: Schema.Struct({ count: Schema.Int, rows: Schema.Array(Schema.Json) }),
        changed: Schema.Struct({ count: Schema.Int }),
        removed: Schema.Struct({ count: Schema.Int })
      })
    ),
    state: Schema.NullOr(Schema.Struct({ before: Schema.Json, after: Schema.Json })),
    signal: Schema.NullOr(Schema.Int)
  })
)

const test = (root: string, name: string, ...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const ran = yield* run(root, "sense", "test", name, "--json", ...args)
    assert.include([0, 1], ran.code, ran.stderr)
    return { code: ran.code, stderr: ran.stderr, view: yield* Schema.decodeEffect(View)(ran.stdout) }
  })

const counts = (root: string): ReadonlyArray<unknown> => {
  const file = join(root, "data/senses/counter.db")
  if (!existsSync(file)) return []
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    return database
      .prepare("SELECT n FROM counts ORDER BY id")
      .all()
      .map((row) => row["n"])
  } finally {
    database.close()
  }
}

const signalsIn = (root: string) => stored(root).logs.filter(is2("signal", "counter"))
const is2 = (type: string, ref: string) => (row: { readonly type: string; readonly ref_id: string | null }) =>
  row.type === type && row.ref_id === ref

describe.skipIf(!canLook)("nerve sense test", () => {
  it.live("shows signal, launches, rows, state and log lines, and changes nothing", () =>
    Effect.gen(function* () {
      const root = yield* workspace(files)
      for (const _ of [1, 2]) {
        const { code, view } = yield* test(root, "counter")
        assert.strictEqual(code, 0)
        assert.deepInclude(view, {
          committed: false,
          outcome: "signal",
          value: { n: 2 },
          launches: [{ workflow: "greet", prompt: "number 2" }],
          state: { before: null, after: 2 },
          signal: null
        })
        assert.deepStrictEqual(view.lines, [
          { level: "Info", message: "counting", fields: { n: 2 } },
          { level: "Info", message: "aloud", fields: {} }
        ])
        assert.deepStrictEqual(
          view.tables.map(({ added, table }) => [table, added.count, added.rows]),
          [["counts", 1, [{ id: 1, n: 2 }]]]
        )
      }
      assert.isFalse(existsSync(join(root, "data")))
      const text = yield* run(root, "sense", "test", "counter")
      assert.include(text.stdout, `counter signals {"n":2}\nwould launch greet: number 2\n`)
      assert.include(text.stdout, "counts: 1 added\n    + id=1 n=2\n  state: null -> 2")
      assert.include(text.stdout, "nothing was saved")
      assert.deepStrictEqual(processesIn(root), [])
    })
  )

  it.live("says how a sense failed, whatever it did to its worker, with exit code 1", () =>
    Effect.gen(function* () {
      const root = yield* workspace(files)
      const cases = [
        ["throws", "error", "on purpose"],
        ["slow", "timeout", "longer than its timeout of 200 ms"],
        ["hangs", "killed", "did not give way within 400 ms"],
        ["exits", "died", "exit code 3"],
        ["broken", "broken", "no default export"]
      ] as const
      for (const [name, outcome, detail] of cases) {
        const { code, view } = yield* test(root, name)
        assert.strictEqual(code, 1, name)
        assert.strictEqual(view.outcome, outcome)
        assert.include(view.detail ?? "", detail)
        assert.deepStrictEqual(view.tables, [], `${name} left something`)
        if (name === "exits") assert.strictEqual(view.lines[0]?.message, "last words")
      }
      const unknown = yield* run(root, "sense", "test", "countre")
      assert.strictEqual(unknown.code, 1)
      assert.include(unknown.stderr, "did you mean counter?")
      assert.deepStrictEqual(processesIn(root), [])
    })
  )

  it.live("--commit without a daemon saves rows, state and signal, and the next daemon starts the launch", () =>
    Effect.gen(function* () {
      const root = yield* workspace(files)
      const first = yield* test(root, "counter", "--commit")
      assert.deepInclude(first.view, { committed: true, outcome: "signal", value: { n: 2 } })
      assert.include(first.stderr, "the workflows start when the next one does")
      const second = yield* test(root, "counter", "--commit")
      assert.deepInclude(second.view, { value: { n: 4 }, state: { before: 2, after: 4 } })
      assert.isAbove(second.view.signal ?? 0, first.view.signal ?? 0)
      assert.deepStrictEqual(counts(root), [2, 4])
      assert.deepStrictEqual(
        signalsIn(root).map(({ id }) => id),
        [first.view.signal, second.view.signal]
      )
      const failed = yield* test(root, "throws", "--commit")
      assert.deepInclude(failed.view, { outcome: "error", committed: true, signal: null })
      const nerve = yield* daemon(root)
      yield* nerve.entry(
        "the end of the launched thread",
        ({ source, type }) => source === "workflow" && type === "completed"
      )
      nerve.kill("SIGINT")
      yield* nerve.ended
    })
  )

  it.live("--commit beside a daemon lets it compute, and shows what came of it", () =>
    Effect.gen(function* () {
      const root = yield* workspace(files)
      const nerve = yield* daemon(root)
      // Once without --commit: beside the daemon, and nothing of it reaches the log.
      assert.deepInclude((yield* test(root, "counter")).view, { committed: false, value: { n: 2 } })
      const { code, view } = yield* test(root, "counter", "--commit")
      assert.strictEqual(code, 0)
      assert.deepInclude(view, {
        committed: true,
        outcome: "signal",
        value: { n: 2 },
        launches: [{ workflow: "greet", prompt: "number 2" }]
      })
      assert.deepStrictEqual(
        view.tables.map(({ added, table }) => [table, added.count]),
        [["counts", 1]]
      )
      const entry = yield* nerve.entry("the signal", is("signal", "counter"))
      assert.strictEqual(entry.id, view.signal)
      assert.deepStrictEqual(field(entry, "cause"), "manual")
      yield* nerve.entry(
        "the end of the launched thread",
        ({ source, type }) => source === "workflow" && type === "completed"
      )
      const thrown = yield* test(root, "throws", "--commit")
      assert.deepInclude(thrown.view, { outcome: "error", detail: "on purpose" })
      assert.strictEqual(thrown.code, 1)
      nerve.kill("SIGINT")
      yield* nerve.ended
      assert.deepStrictEqual(counts(root), [2])
      assert.strictEqual(signalsIn(root).length, 1)
    })
  )

  it.live("a signal that a daemon had no time to record is recorded before another one", () =>
    Effect.gen(function* () {
      const root = yield* workspace(files)
      yield* test(root, "counter", "--commit")
      // As if the daemon had died between the compute and the log.
      const database = new DatabaseSync(join(root, "data/senses/counter.db"))
      database.exec("UPDATE _nerve_signal SET number = number + 1, value = '{\"n\":99}'")
      database.close()
      const { view } = yield* test(root, "counter", "--commit")
      assert.deepInclude(view, { value: { n: 4 } })
      assert.strictEqual(signalsIn(root).length, 3)
      write(root, {})
    })
  )
})
