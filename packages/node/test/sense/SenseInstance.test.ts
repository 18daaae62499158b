/**
 * What a sense author can count on: a compute is one transaction with its state and its signal, a signal is
 * handed over until it is recorded and never twice (S6), parameters and state are checked, peers are typed and
 * cannot be written (S3), log lines carry the sense's name, and one sense boots anew alone, its migrations too
 * (S2).
 */
import { assert, describe, expect, it } from "@effect/vitest"
import { GroupName, SenseName } from "@nerve/core/domain/Ids"
import type { SenseInit } from "@nerve/core/wire/SenseRpcs"
import { Effect, Fiber, Queue, Scope, Exit } from "effect"
import type { Schema } from "effect"
import { TestClock } from "effect/testing"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as SenseConsole from "../../src/sense/SenseConsole.ts"
import * as SenseHost from "../../src/sense/SenseHost.ts"
import type { Line } from "../../src/user/UserLog.ts"
import { makeWorkspace, withNativeImport, writeFiles } from "../user/workspace.ts"

const head = `import { Sense } from "@nerve/core"\nimport { Effect, Schema } from "effect"\n`

/** A module with these options of `Sense.make`. */
const module = (options: string): string => `${head}export default Sense.make({ ${options} })\n`

const any = "signal: Schema.Any"

const init = (name: string, more: Partial<SenseInit> = {}): SenseInit => ({
  name: SenseName.make(name),
  timeoutMs: 60_000,
  ...more
})

/** A worker's host over a workspace with these files, its senses and what they say. */
const host = (workspace: string, senses: ReadonlyArray<SenseInit>) =>
  Effect.gen(function* () {
    const lines = yield* Queue.unbounded<Line>()
    const { handlers, ready } = yield* SenseHost.make(
      { group: GroupName.make("g"), workspace, senses, peers: senses.map(({ name }) => name) },
      { log: (line) => Queue.offerUnsafe(lines, line) }
    )
    return {
      ...handlers,
      ready: ready.senses,
      lines,
      compute: (name: string, recorded?: string | null) =>
        handlers.RunCompute({ sense: SenseName.make(name), ...(recorded === undefined ? {} : { recorded }) })
    }
  }).pipe(withNativeImport)

const setUp = (files: Record<string, string>, senses: ReadonlyArray<SenseInit>) =>
  Effect.gen(function* () {
    const workspace = yield* makeWorkspace(files)
    return { workspace, ...(yield* host(workspace, senses)) }
  })

/** The rows of a sense's database, as anybody sees them. */
const rows = (workspace: string, sense: string, sql: string): ReadonlyArray<Record<string, unknown>> => {
  const database = new DatabaseSync(join(workspace, `data/senses/${sense}.db`), { readOnly: true })
  try {
    return database.prepare(sql).all()
  } finally {
    database.close()
  }
}

/** Counts its computes, in a row and in its state; fails, or is silent, as it is told by its parameters. */
const counter = {
  "senses/count/index.ts": module(`
  signal: Schema.Struct({ n: Schema.Int }),
  params: Schema.Struct({ end: Schema.Literals(["signal", "none", "throw", "refused"]) }),
  state: { schema: Schema.Struct({ n: Schema.Int }), initial: { n: 0 } },
  compute: async ({ db, params, state }) => {
    const n = state.get().n + 1
    state.set({ n })
    db.prepare("INSERT INTO counts (n) VALUES (?)").run(n)
    await Promise.resolve()
    if (params.end === "throw") throw new Error("on purpose")
    if (params.end === "refused") return Sense.signal({ n: "many" })
    return params.end === "signal" ? Sense.signal({ n }) : Sense.none
  }`),
  "senses/count/migrations/1.sql": "CREATE TABLE counts (n INTEGER)"
}

const counted = (workspace: string) => ({
  rows: rows(workspace, "count", "SELECT n FROM counts ORDER BY n").map((row) => row.n),
  state: rows(workspace, "count", "SELECT value FROM _nerve_state").map((row) => row.value)
})

describe("a compute is one transaction", () => {
  it.live("rows and state are saved when it ends well, with and without a signal", () =>
    Effect.gen(function* () {
      for (const end of ["signal", "none"]) {
        const { compute, workspace } = yield* setUp(counter, [init("count", { params: { end } })])
        yield* compute("count")
        yield* compute("count")
        expect(counted(workspace)).toEqual({ rows: [1, 2], state: [`{"n":2}`] })
      }
    })
  )

  it.live("nothing is when it throws, or when its signal is refused", () =>
    Effect.gen(function* () {
      for (const end of ["throw", "refused"]) {
        const { compute, workspace } = yield* setUp(counter, [init("count", { params: { end } })])
        expect((yield* Effect.flip(compute("count")))._tag).toBe("ComputeFailed")
        expect(counted(workspace)).toEqual({ rows: [], state: [] })
      }
    })
  )

  it.live("nothing is when it is interrupted", () =>
    Effect.gen(function* () {
      const { compute, lines, workspace } = yield* setUp(
        {
          "senses/a.ts": module(`${any}, compute: Effect.gen(function* () {
            const sql = yield* Sense.Database
            yield* sql\`INSERT INTO t VALUES (1)\`
            yield* Effect.log("written")
            return yield* Effect.never
          })`),
          "senses/a/migrations/1.sql": "CREATE TABLE t (x)"
        },
        [init("a")]
      )
      const fiber = yield* Effect.forkChild(compute("a"))
      yield* Queue.take(lines)
      yield* Fiber.interrupt(fiber)
      expect(rows(workspace, "a", "SELECT * FROM t")).toEqual([])
    })
  )

  it.live("an Effect's own transaction that fails takes back its own rows, and the compute's others stay", () =>
    Effect.gen(function* () {
      const { compute, workspace } = yield* setUp(
        {
          "senses/a.ts": module(`${any}, compute: ({ db }) => Effect.gen(function* () {
            const sql = yield* Sense.Database
            yield* sql\`INSERT INTO t VALUES (1)\`
            yield* sql.withTransaction(Effect.andThen(sql\`INSERT INTO t VALUES (2)\`, Effect.fail("no"))).pipe(Effect.ignore)
            yield* sql.withTransaction(sql.withTransaction(sql\`INSERT INTO t VALUES (3)\`))
            db.exec("INSERT INTO t VALUES (4)")
            return Sense.signal((yield* sql\`SELECT x FROM t\`).map((row) => row.x))
          })`),
          "senses/a/migrations/1.sql": "CREATE TABLE t (x)"
        },
        [init("a")]
      )
      expect(yield* compute("a")).toMatchObject({ value: [1, 3, 4] })
      expect(rows(workspace, "a", "SELECT x FROM t").map((row) => row.x)).toEqual([1, 3, 4])
    })
  )
})

describe("a signal that was not recorded", () => {
  it.live("is the answer until it is, also after the worker's death; then it computes again", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace(counter)
      const senses = [init("count", { params: { end: "signal" } })]
      const first = yield* Effect.scoped(
        Effect.flatMap(host(workspace, senses), ({ compute }) => compute("count", null))
      )
      assert(first._tag === "Signal" && first.key !== undefined)
      expect(first.value).toEqual({ n: 1 })
      // Its worker died before the daemon had it in the log.
      const { compute, ready } = yield* host(workspace, senses)
      expect(ready).toEqual([{ name: "count", problem: null, lastSignal: first.key }])
      expect(yield* compute("count", null)).toEqual(first)
      expect(yield* compute("count", null)).toEqual(first)
      const second = yield* compute("count", first.key)
      expect(second).toMatchObject({ value: { n: 2 } })
      assert(second._tag === "Signal")
      expect(second.key).not.toBe(first.key)
      expect(yield* compute("count", first.key)).toEqual(second)
      expect(counted(workspace)).toEqual({ rows: [1, 2], state: [`{"n":2}`] })
    })
  )

  it.live("keeps its launches", () =>
    Effect.gen(function* () {
      const { compute } = yield* setUp(
        {
          "senses/a.ts": module(`${any}, compute: () => Sense.signal(1, { launch: [
            { workflow: "one", prompt: "first" }, { workflow: "two", prompt: "second", maxRounds: 2 }
          ] })`)
        },
        [init("a")]
      )
      const first = yield* compute("a", null)
      expect(first).toMatchObject({
        launches: [
          { workflow: "one", prompt: "first" },
          { workflow: "two", prompt: "second", maxRounds: 2 }
        ]
      })
      expect(yield* compute("a", null)).toEqual(first)
    })
  )

  it.live("has another key in a database that was made anew", () =>
    Effect.gen(function* () {
      const senses = [init("count", { params: { end: "signal" } })]
      const keys = new Set<unknown>()
      for (const _ of [1, 2]) {
        const { compute } = yield* setUp(counter, senses)
        const outcome = yield* compute("count", null)
        keys.add(outcome._tag === "Signal" ? outcome.key : null)
      }
      expect(keys.size).toBe(2)
    })
  )
})

describe("state", () => {
  const stateful = (state: string, compute: string) => ({
    "senses/a.ts": module(`${any}, state: ${state}, compute: ${compute}`)
  })
  const restart = (workspace: string, name = "a") => host(workspace, [init(name)])

  it.live("that no longer fits its schema keeps the sense down, and says what to do", () =>
    Effect.gen(function* () {
      const { compute, workspace } = yield* setUp(
        stateful(
          "{ schema: Schema.Struct({ line: Schema.Int }), initial: { line: 0 } }",
          "({ state }) => { state.set({ line: 7 }) }"
        ),
        [init("a")]
      )
      yield* compute("a")
      writeFiles(
        workspace,
        stateful("{ schema: Schema.Struct({ offset: Schema.Int }), initial: { offset: 0 } }", "() => null")
      )
      const boot = (version: string) => Effect.map(host(workspace, [init("a", { version })]), ({ ready }) => ready)
      const [broken] = yield* boot("2")
      expect(broken?.problem).toEqual({
        code: "state-invalid",
        file: "senses/a.ts",
        message: 'the saved state of sense a does not fit its `state` schema: Missing key at ["offset"]',
        hint: "Give `state` a `migrate: (old) => …` that makes today's state of the saved one."
      })
      writeFiles(
        workspace,
        stateful(
          "{ schema: Schema.Struct({ offset: Schema.Int }), initial: { offset: 0 }, migrate: (old) => ({ offset: old.line * 10 }) }",
          "({ state }) => Sense.signal(state.get())"
        )
      )
      const mended = yield* host(workspace, [init("a", { version: "3" })])
      expect(yield* mended.compute("a")).toMatchObject({ value: { offset: 70 } })
    })
  )

  it.live("is what its schema encodes, and what it refuses fails the compute where it was set", () =>
    Effect.gen(function* () {
      const { compute, workspace } = yield* setUp(
        {
          "senses/date.ts":
            module(`${any}, state: { schema: Schema.Date, initial: new Date(0) }, compute: ({ state }) => {
            const before = state.get()
            state.set(new Date(before.getTime() + 1000))
            return Sense.signal(state.get().toISOString())
          }`),
          "senses/wrong.ts": module(`${any}, state: { schema: Schema.Int, initial: 0 }, compute: ({ state }) => {
            state.set("one")
          }`),
          "senses/huge.ts": module(`${any}, state: { schema: Schema.String, initial: "" }, compute: ({ state }) => {
            state.set("x".repeat(200_000))
          }`),
          "senses/none.ts": module(`${any}, compute: ({ state }) => { state.get() }`)
        },
        ["date", "wrong", "huge", "none"].map((name) => init(name))
      )
      yield* compute("date")
      expect(yield* compute("date")).toMatchObject({ value: "1970-01-01T00:00:02.000Z" })
      const again = yield* restart(workspace, "date")
      expect(yield* again.compute("date")).toMatchObject({ value: "1970-01-01T00:00:03.000Z" })
      const wrong = yield* Effect.flip(compute("wrong"))
      expect(wrong.message).toContain("the state does not fit its schema: Expected number")
      expect(wrong._tag === "ComputeFailed" && wrong.stack).toContain("senses/wrong.ts")
      expect((yield* Effect.flip(compute("huge"))).message).toContain("200002 characters of JSON; 100000 are allowed")
      expect((yield* Effect.flip(compute("none"))).message).toContain("this sense has no state")
    })
  )
})

describe("params", () => {
  it.live("are decoded by the sense's own schema, and told with their place when they do not fit", () =>
    Effect.gen(function* () {
      const text = module(`${any},
        params: Schema.Struct({ url: Schema.String, every: Schema.optionalKey(Schema.Int) }),
        compute: ({ params }) => Sense.signal(params)`)
      const bare = module(`${any}, compute: ({ params }) => Sense.signal(params)`)
      const files = { "senses/good.ts": text, "senses/bad.ts": text, "senses/lacks.ts": text, "senses/bare.ts": bare }
      const given: Record<string, Schema.Json> = { url: "http://localhost" }
      const { compute, ready } = yield* setUp(files, [
        init("good", { params: given }),
        init("bad", { params: { url: 5 } }),
        init("lacks"),
        init("bare", { params: { a: [1] } })
      ])
      expect(yield* compute("good")).toMatchObject({ value: given })
      expect(yield* compute("bare")).toMatchObject({ value: { a: [1] } })
      expect(ready.map(({ problem }) => problem?.message)).toEqual([
        undefined,
        '`params` of sense bad do not fit its schema: Expected string at ["url"]',
        '`params` of sense lacks do not fit its schema: Missing key at ["url"]',
        undefined
      ])
      expect(ready[1]?.problem).toMatchObject({ code: "params-invalid", file: "nerve.yaml" })
    })
  )
})

describe("peers", () => {
  const disk = module(`
    signal: Schema.Struct({ free: Schema.Int }),
    state: { schema: Schema.Struct({ seen: Schema.Int }), initial: { seen: 0 } },
    tables: { readings: Schema.Struct({ at: Schema.Int, free: Schema.Int }) },
    compute: ({ db, state }) => {
      const seen = state.get().seen + 1
      state.set({ seen })
      db.prepare("INSERT INTO readings (at, free, internal) VALUES (?, ?, 'x')").run(seen, seen * 10)
      return Sense.signal({ free: seen * 10 })
    }`)
  const files = {
    "senses/disk/index.ts": disk,
    "senses/disk/migrations/1.sql": "CREATE TABLE readings (at INTEGER, free INTEGER, internal TEXT)"
  }

  it.live("are typed when their module is imported: last signal, state, rows", () =>
    Effect.gen(function* () {
      const { compute } = yield* setUp(
        {
          ...files,
          "senses/plain.ts": `import disk from "./disk/index.ts"\n${module(`${any}, compute: ({ peer }) => {
            const other = peer("disk", disk)
            return Sense.signal({
              signal: other.signal(), state: other.state(), rows: other.rows("readings", "WHERE at > ? ORDER BY at DESC", 1)
            })
          }`)}`,
          "senses/effect.ts": `import disk from "./disk/index.ts"\n${module(`${any}, compute: Effect.gen(function* () {
            const other = yield* (yield* Sense.Peers).of("disk", disk)
            return Sense.signal({ signal: other.signal(), state: other.state(), rows: other.rows("readings", "WHERE at > ?", 1) })
          })`)}`,
          "senses/odd.ts": module(`${any}, compute: ({ peer }) => {
            const type = Sense.make({ signal: Schema.String, tables: { readings: Schema.Struct({ free: Schema.String }) }, compute: () => null })
            const other = peer("disk", type)
            const said = []
            for (const ask of [() => other.signal(), () => other.rows("readings"), () => other.rows("others")]) {
              try { ask() } catch (error) { said.push(error.message.replace(/\\n\\s*/g, " ")) }
            }
            return Sense.signal(said)
          }`)
        },
        ["disk", "plain", "effect", "odd"].map((name) => init(name))
      )
      expect(yield* compute("plain")).toMatchObject({ value: { signal: null, state: null, rows: [] } })
      for (const _ of [1, 2, 3]) yield* compute("disk")
      const value = {
        signal: { free: 30 },
        state: { seen: 3 },
        rows: [
          { at: 3, free: 30 },
          { at: 2, free: 20 }
        ]
      }
      expect(yield* compute("plain")).toMatchObject({ value })
      expect(yield* compute("effect")).toMatchObject({ value: { ...value, rows: value.rows.toReversed() } })
      expect(yield* compute("odd")).toMatchObject({
        value: [
          "the last signal of disk does not fit its schema: Expected string",
          'a row of readings of disk does not fit its schema: Expected string at ["free"]',
          "disk shares no table others; `tables` of its Sense.make: readings"
        ]
      })
    })
  )

  it.live("cannot be written, whatever is tried through their handle", () =>
    Effect.gen(function* () {
      const attempts = [
        "INSERT INTO readings VALUES (9, 9, 'y')",
        "UPDATE readings SET free = 0",
        "DELETE FROM readings",
        "REPLACE INTO readings VALUES (9, 9, 'y')",
        "DROP TABLE readings",
        "CREATE TABLE mine (x)",
        "CREATE INDEX mine ON readings (at)",
        "ALTER TABLE readings ADD COLUMN mine",
        "PRAGMA query_only = OFF; DELETE FROM readings",
        "PRAGMA query_only = OFF; PRAGMA writable_schema = ON; DELETE FROM sqlite_master",
        "PRAGMA user_version = 7",
        "PRAGMA application_id = 7",
        "PRAGMA journal_mode = DELETE",
        "BEGIN IMMEDIATE; DELETE FROM readings; COMMIT",
        "PRAGMA query_only = OFF; ATTACH 'FILE' AS again; DELETE FROM again.readings",
        "PRAGMA query_only = OFF; ATTACH 'file:FILE?mode=rwc' AS again; DELETE FROM again.readings",
        "PRAGMA query_only = OFF; ATTACH 'NEW' AS fresh; CREATE TABLE fresh.mine (x)",
        "VACUUM",
        "PRAGMA query_only = OFF; VACUUM",
        "REINDEX"
      ]
      const { compute, workspace } = yield* setUp(
        {
          ...files,
          "senses/thief.ts":
            module(`${any}, params: Schema.Struct({ sql: Schema.String }), compute: ({ peer, params }) => {
            peer("disk").exec(params.sql)
          }`),
          "senses/effective.ts":
            module(`${any}, params: Schema.Struct({ sql: Schema.String }), compute: ({ params }) => Effect.gen(function* () {
            const sql = yield* (yield* Sense.Peers).get("disk")
            for (const statement of params.sql.split("; ")) yield* sql.unsafe(statement)
            return Sense.none
          })`)
        },
        [init("disk")]
      )
      yield* compute("disk")
      const file = join(workspace, "data/senses/disk.db")
      const fresh = join(workspace, "fresh.db")
      const look = () => ({
        rows: rows(workspace, "disk", "SELECT * FROM readings"),
        schema: rows(workspace, "disk", "SELECT name, sql FROM sqlite_master"),
        version: rows(workspace, "disk", "PRAGMA user_version"),
        application: rows(workspace, "disk", "PRAGMA application_id"),
        mode: rows(workspace, "disk", "PRAGMA journal_mode"),
        fresh: existsSync(fresh)
      })
      const before = look()
      for (const attempt of attempts) {
        const sql = attempt.replace("FILE", file).replace("NEW", fresh)
        for (const thief of ["thief", "effective"]) {
          yield* Effect.gen(function* () {
            const { SetPeers, compute } = yield* host(workspace, [init(thief, { params: { sql } })])
            yield* SetPeers({ peers: [SenseName.make("disk")] })
            const exit = yield* Effect.exit(compute(thief))
            expect(String(Exit.isFailure(exit) && exit.cause), attempt).not.toMatch(/no sense|not run yet/)
          }).pipe(Effect.scoped)
          expect(look(), `${thief}: ${attempt}`).toEqual(before)
        }
      }
    })
  )

  it.live("are as many as the daemon last said", () =>
    Effect.gen(function* () {
      const { SetPeers, compute } = yield* setUp(
        {
          "senses/a.ts": module(
            `${any}, compute: Effect.gen(function* () { return Sense.signal((yield* Sense.Peers).names) })`
          )
        },
        [init("a")]
      )
      expect(yield* compute("a")).toMatchObject({ value: [] })
      yield* SetPeers({ peers: ["a", "b"].map((name) => SenseName.make(name)) })
      expect(yield* compute("a")).toMatchObject({ value: ["b"] })
    })
  )
})

describe("console", () => {
  it.live("is a log line of the sense that prints, however its code is interleaved with another's", () =>
    Effect.gen(function* () {
      const print = Object.fromEntries(
        (["debug", "log", "info", "warn", "error"] as const).map((name) => [name, console[name]])
      )
      yield* Effect.addFinalizer(() => Effect.sync(() => Object.assign(console, print)))
      SenseConsole.install()
      const plain = module(`${any}, compute: async ({ name }) => {
        for (let i = 0; i < 3; i++) {
          console.log("%s says %d", name, i)
          await new Promise((resolve) => setImmediate(resolve))
        }
        await Promise.all([1, 2].map(async () => { await null; console.warn(name + " warns") }))
      }`)
      const effect = module(`${any}, compute: Effect.gen(function* () {
        const { name } = yield* Sense.Info
        for (let i = 0; i < 3; i++) {
          console.log(name + " says " + i)
          yield* Effect.sleep("1 millis")
          yield* Effect.promise(async () => { await null; console.error(name + " fails") })
        }
        yield* Effect.log(name + " logs")
        return null
      })`)
      const names = ["a", "b", "c", "d"]
      const { compute, lines } = yield* setUp(
        { "senses/a.ts": plain, "senses/b.ts": plain, "senses/c.ts": effect, "senses/d.ts": effect },
        names.map((name) => init(name))
      )
      yield* Effect.forEach(names, (name) => compute(name), { concurrency: "unbounded" })
      const said = yield* Queue.takeAll(lines)
      for (const { fields, message } of said) expect(message.split(" ")[0]).toBe(fields.sense)
      const of = (name: string) =>
        said.filter(({ fields }) => fields.sense === name).map(({ level, message }) => `${level} ${message}`)
      expect(of("a")).toEqual(["Info a says 0", "Info a says 1", "Info a says 2", "Warn a warns", "Warn a warns"])
      expect(of("d")).toEqual([...[0, 1, 2].flatMap((n) => [`Info d says ${n}`, "Error d fails"]), "Info d logs"])
    })
  )
})

describe("one sense alone", () => {
  const says = (text: string) => module(`${any}, compute: () => Sense.signal("${text}")`)

  it.live("boots anew with another version of its module, at the end of its compute; the others go on", () =>
    Effect.gen(function* () {
      const { BootSense, compute, lines, workspace } = yield* setUp(
        {
          "senses/a.ts": module(`${any}, compute: async ({ log }) => {
            log("in it")
            await new Promise((resolve) => { globalThis.nerveTestRelease = resolve })
            return Sense.signal("old")
          }`),
          "senses/b.ts": module(`${any}, compute: () => Sense.signal(++globalThis.nerveTestB)`)
        },
        [init("a"), init("b")]
      )
      Reflect.set(globalThis, "nerveTestB", 0)
      const running = yield* Effect.forkChild(compute("a"))
      yield* Queue.take(lines)
      writeFiles(workspace, { "senses/a.ts": says("new") })
      const booting = yield* Effect.forkChild(withNativeImport(BootSense(init("a", { version: "2" }))))
      yield* Effect.yieldNow
      expect(booting.pollUnsafe()).toBeUndefined()
      expect(yield* compute("b")).toMatchObject({ value: 1 })
      const release: unknown = Reflect.get(globalThis, "nerveTestRelease")
      assert(typeof release === "function")
      release()
      const old = yield* Fiber.join(running)
      assert(old._tag === "Signal" && old.key !== undefined)
      expect(old.value).toBe("old")
      expect(yield* Fiber.join(booting)).toEqual({ name: "a", problem: null, lastSignal: old.key })
      expect(yield* compute("a")).toMatchObject({ value: "new" })
      expect(yield* compute("b")).toMatchObject({ value: 2 })
    }).pipe(
      Effect.ensuring(
        Effect.sync(() =>
          ["nerveTestB", "nerveTestRelease"].forEach((name) => Reflect.deleteProperty(globalThis, name))
        )
      )
    )
  )

  it.live("is down with a migration that fails, until the file is mended; its neighbour is not", () =>
    Effect.gen(function* () {
      const files = {
        "senses/a.ts": says("a"),
        "senses/b.ts": says("b"),
        "senses/a/migrations/1.sql": "CREATE TABLE t (x)"
      }
      const { BootSense, compute, workspace } = yield* setUp(files, [init("a"), init("b")])
      const before = rows(workspace, "a", "SELECT * FROM _nerve_migrations")
      writeFiles(workspace, {
        "senses/a/migrations/2.sql": "INSERT INTO t VALUES (1); CREATE TABLE u (y); INSERT INTO nowhere VALUES (1)"
      })
      const broken = yield* withNativeImport(BootSense(init("a")))
      expect(broken.problem).toMatchObject({ code: "migration-failed", file: "senses/a/migrations/2.sql" })
      expect(rows(workspace, "a", "SELECT * FROM t")).toEqual([])
      expect(rows(workspace, "a", "SELECT * FROM _nerve_migrations")).toEqual(before)
      expect(rows(workspace, "a", "SELECT name FROM sqlite_master WHERE name = 'u'")).toEqual([])
      expect((yield* Effect.flip(compute("a")))._tag).toBe("SenseUnavailable")
      expect(yield* compute("b")).toMatchObject({ value: "b" })
      writeFiles(workspace, { "senses/a/migrations/2.sql": "INSERT INTO t VALUES (1)" })
      expect((yield* withNativeImport(BootSense(init("a")))).problem).toBeNull()
      expect(rows(workspace, "a", "SELECT x FROM t")).toEqual([{ x: 1 }])
    })
  )

  it.live("joins a worker that did not have it, and leaves it", () =>
    Effect.gen(function* () {
      const { AwaitBoot, BootSense, DropSense, compute } = yield* setUp(
        { "senses/a.ts": says("a"), "senses/b.ts": says("b") },
        [init("a")]
      )
      const b = SenseName.make("b")
      expect(yield* Effect.flip(AwaitBoot({ sense: b }))).toMatchObject({ _tag: "SenseUnavailable", problem: null })
      expect(yield* withNativeImport(BootSense(init("b")))).toEqual({ name: "b", problem: null })
      expect(yield* compute("b")).toMatchObject({ value: "b" })
      yield* DropSense({ sense: b })
      yield* DropSense({ sense: b })
      expect(yield* Effect.flip(compute("b"))).toMatchObject({ _tag: "SenseUnavailable", problem: null })
      expect(yield* compute("a")).toMatchObject({ value: "a" })
    })
  )

  it.effect("may take its time with a migration: the worker is ready, the others compute, and it follows", () =>
    Effect.gen(function* () {
      // A second or so of SQLite's time, in one statement that nothing can interrupt.
      const slow = `CREATE TABLE t (x);
        INSERT INTO t WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 8000000) SELECT count(*) FROM c;`
      const workspace = yield* makeWorkspace({
        "senses/a.ts": says("a"),
        "senses/b.ts": says("b"),
        "senses/b/migrations/1.sql": slow
      })
      const settingUp = yield* Effect.forkChild(host(workspace, [init("a"), init("b")]))
      const opened = () => ["a", "b"].every((name) => existsSync(join(workspace, `data/senses/${name}.db`)))
      const turn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
      while (!opened()) yield* turn
      yield* TestClock.adjust("3 seconds")
      const { AwaitBoot, compute, lines, ready } = yield* Fiber.join(settingUp)
      expect(ready).toEqual([
        { name: "a", problem: null },
        { name: "b", problem: null, booting: true }
      ])
      expect(yield* compute("a")).toMatchObject({ value: "a" })
      expect(yield* AwaitBoot({ sense: SenseName.make("b") })).toEqual({ name: "b", problem: null })
      expect(yield* compute("b")).toMatchObject({ value: "b" })
      expect((yield* Queue.takeAll(lines)).map(({ fields, message }) => [fields.sense, message])).toEqual([
        ["b", "applying migration 1.sql"],
        ["b", expect.stringContaining("applied migration 1.sql in ")]
      ])
    })
  )
})

it.live("closing the host's scope closes the databases", () =>
  Effect.gen(function* () {
    const workspace = yield* makeWorkspace(counter)
    const scope = yield* Scope.make()
    const { compute } = yield* Scope.provide(host(workspace, [init("count", { params: { end: "none" } })]), scope)
    yield* compute("count")
    yield* Scope.close(scope, Exit.void)
    // The last connection to close removes the WAL's files.
    expect(existsSync(join(workspace, "data/senses/count.db-wal"))).toBe(false)
  })
)
