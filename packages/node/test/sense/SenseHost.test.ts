/**
 * What runs inside a sense worker: boot (S1, S8), compute and its outcome (S6), soft timeout (S4), no
 * overlap (S5), peers (S3), log lines. With real files, databases and modules imported by Node itself.
 */
import { assert, describe, expect, it } from "@effect/vitest"
import { GroupName, SenseName } from "@nerve/core/domain/Ids"
import { SenseWorkerReady } from "@nerve/core/wire/SenseRpcs"
import { Cause, Effect, Exit, Fiber, Queue, Schema } from "effect"
import { TestClock } from "effect/testing"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as SenseHost from "../../src/sense/SenseHost.ts"
import type { Line } from "../../src/user/UserLog.ts"
import { makeWorkspace, withNativeImport } from "../user/workspace.ts"
import { effectSense, plainSense } from "./senses.ts"

/** A host for all senses of these files, a way to compute one, and the log lines that come. */
const setUp = (
  files: Record<string, string>,
  names: ReadonlyArray<string>,
  options: { readonly timeoutMs?: number } = {}
) =>
  Effect.gen(function* () {
    const workspace = yield* makeWorkspace(files)
    const lines = yield* Queue.unbounded<Line>()
    const host = yield* SenseHost.make(
      {
        group: GroupName.make("g"),
        workspace,
        senses: names.map((name) => ({ name: SenseName.make(name), timeoutMs: options.timeoutMs ?? 1_000 })),
        peers: names.map((name) => SenseName.make(name))
      },
      { log: (line) => Queue.offerUnsafe(lines, line) }
    )
    const compute = (name: string) => host.handlers.RunCompute({ sense: SenseName.make(name) })
    return { workspace, host, compute, failure: (name: string) => Effect.flip(compute(name)), lines }
  }).pipe(withNativeImport)

/** What one sense's compute comes to. */
const computeOnce = (text: string) =>
  Effect.flatMap(setUp({ "senses/a.ts": text }, ["a"]), ({ compute }) => compute("a"))

/** The message with which one sense's compute fails. */
const failureOf = (text: string) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(computeOnce(text))
    assert(error._tag === "ComputeFailed")
    return error
  })

describe("boot", () => {
  it.live("a broken sense is listed with its problem, and the others go on", () =>
    Effect.gen(function* () {
      const files = {
        "senses/good/index.ts": effectSense(`
    const sql = yield* Sense.Database
    yield* sql\`INSERT INTO samples (n) VALUES (4)\`
    const rows = yield* sql\`SELECT n FROM samples\`
    return Sense.signal({ n: rows.length })`),
        "senses/good/migrations/001.sql": "CREATE TABLE samples (n REAL);",
        "senses/plain.mjs": `import { Sense } from "@nerve/core"
import { Schema } from "effect"
export default Sense.make({
  signal: Schema.Struct({ n: Schema.Finite }),
  compute: ({ db }) => Sense.signal({ n: Number(db.prepare("SELECT n FROM t").get().n) })
})`,
        "senses/plain/migrations/001.sql": "CREATE TABLE t (n); INSERT INTO t VALUES (7);",
        "senses/throws/index.ts": `throw new Error("no sensor here")`,
        "senses/shapeless/index.ts": `export default { compute: () => null }`,
        "senses/badsql/index.ts": plainSense("return null"),
        "senses/badsql/migrations/001.sql": "CREATE TABEL x (y);",
        "senses/baddb/index.ts": plainSense("return null"),
        "data/senses/baddb.db": "this is no database".repeat(100)
      }
      const names = ["good", "throws", "shapeless", "missing", "badsql", "baddb", "plain"]
      const { compute, failure, host } = yield* setUp(files, names)
      expect(host.ready.senses.map(({ name, problem }) => [name, problem?.code, problem?.file])).toEqual([
        ["good", undefined, undefined],
        ["throws", "import-failed", "senses/throws/index.ts"],
        ["shapeless", "wrong-shape", "senses/shapeless/index.ts"],
        ["missing", "module-missing", "senses/missing/index.ts"],
        ["badsql", "migration-failed", "senses/badsql/migrations/001.sql"],
        ["baddb", "database-unusable", "data/senses/baddb.db"],
        ["plain", undefined, undefined]
      ])
      expect(Schema.is(SenseWorkerReady)(host.ready)).toBe(true)
      expect(yield* compute("good")).toMatchObject({ _tag: "Signal", value: { n: 1 }, launches: [] })
      expect(yield* compute("good")).toMatchObject({ _tag: "Signal", value: { n: 2 }, launches: [] })
      expect(yield* compute("plain")).toMatchObject({ _tag: "Signal", value: { n: 7 }, launches: [] })
      const broken = yield* failure("throws")
      expect(broken._tag).toBe("SenseUnavailable")
      expect(broken.message).toContain("no sensor here (at senses/throws/index.ts:1:7)")
      const unknown = yield* failure("nobody")
      expect(unknown).toMatchObject({ _tag: "SenseUnavailable", sense: "nobody", problem: null })
    })
  )

  it.live("what nobody foresaw is a problem too, and so is a sense of another version", () =>
    Effect.gen(function* () {
      const { host } = yield* setUp(
        {
          "senses/odd.mjs": `const odd = { encode() {}, decode() {}, get compute() { throw new Error("odd getter") } }
export default { "~@nerve/core/Sense": 1, __proto__: odd }`,
          "senses/old.mjs": `export default { "~@nerve/core/Sense": 1, signal: {}, compute: { _tag: "Plain", run() {} } }`,
          "senses/a.ts": plainSense("return null")
        },
        ["odd", "old", "a"]
      )
      const [odd, old, good] = host.ready.senses
      expect(odd?.problem?.code).toBe("boot-failed")
      expect(odd?.problem?.message).toContain("the sense odd did not start: odd getter (at ")
      expect(old?.problem).toMatchObject({ code: "wrong-shape", file: "senses/old.mjs" })
      expect(old?.problem?.message).toContain("another version of @nerve/core")
      expect(good?.problem).toBeNull()
    })
  )

  it.live("migrations are not run again when the worker comes back", () =>
    Effect.gen(function* () {
      const workspace = yield* makeWorkspace({
        "senses/a.ts": effectSense(
          `return Sense.signal({ n: (yield* (yield* Sense.Database)\`SELECT * FROM t\`).length })`
        ),
        "senses/a/migrations/1.sql": "CREATE TABLE t (x); INSERT INTO t VALUES (1);"
      })
      const init = {
        group: GroupName.make("g"),
        workspace,
        senses: [{ name: SenseName.make("a"), timeoutMs: 1_000 }],
        peers: [SenseName.make("a")]
      }
      for (const _ of [1, 2]) {
        const outcome = yield* SenseHost.make(init, { log: () => {} }).pipe(
          Effect.flatMap((host) => host.handlers.RunCompute({ sense: SenseName.make("a") })),
          Effect.scoped,
          withNativeImport
        )
        expect(outcome).toMatchObject({ value: { n: 1 } })
      }
    })
  )

  it.live("a sense that fails half-way leaves its database closed", () =>
    Effect.gen(function* () {
      const { workspace } = yield* setUp(
        { "senses/a.ts": plainSense("return null"), "senses/a/migrations/1.sql": "CREATE TABEL" },
        ["a"]
      )
      // The last connection to close removes the WAL's files.
      const handle = new DatabaseSync(join(workspace, "data/senses/a.db"))
      expect(handle.prepare("PRAGMA journal_mode = DELETE").get()?.journal_mode).toBe("delete")
      handle.close()
    })
  )
})

describe("outcomes", () => {
  it.live("null, undefined, none and skip are no signal, from both kinds of compute", () =>
    Effect.gen(function* () {
      const cases = [
        ["return null", null],
        ["return", null],
        ["return Sense.none", null],
        [`return Sense.skip("too early")`, "too early"]
      ] as const
      for (const [body, reason] of cases) {
        expect(yield* computeOnce(plainSense(body))).toEqual({ _tag: "NoSignal", reason })
        expect(yield* computeOnce(effectSense(body))).toEqual({ _tag: "NoSignal", reason })
      }
    })
  )

  it.live("a signal carries its launches", () =>
    Effect.gen(function* () {
      const launch = `{ workflow: "investigate", prompt: "why?", maxRounds: 3 }`
      expect(yield* computeOnce(plainSense(`return Sense.signal({ n: 1 }, { launch: ${launch} })`))).toMatchObject({
        _tag: "Signal",
        value: { n: 1 },
        launches: [{ workflow: "investigate", prompt: "why?", maxRounds: 3 }]
      })
    })
  )

  it.live("the value travels as the sense's schema encodes it to JSON", () =>
    Effect.gen(function* () {
      const signal = "Schema.Struct({ at: Schema.Date, big: Schema.BigInt })"
      expect(yield* computeOnce(plainSense("return Sense.signal({ at: new Date(0), big: 5n })", signal))).toMatchObject(
        {
          value: { at: "1970-01-01T00:00:00.000Z", big: "5" }
        }
      )
    })
  )

  it.live("a value that the schema refuses is told with its path and what was expected", () =>
    Effect.gen(function* () {
      const signal = "Schema.Struct({ cpu: Schema.Struct({ usage: Schema.Finite }) })"
      const error = yield* failureOf(plainSense(`return Sense.signal({ cpu: { usage: "high" } })`, signal))
      expect(error.message).toBe(
        `the signal's value does not fit the sense's \`signal\` schema: Expected number at ["cpu"]["usage"]`
      )
      const nan = yield* failureOf(plainSense(`return Sense.signal({ cpu: { usage: NaN } })`, signal))
      expect(nan.message).toContain(`Expected a finite number at ["cpu"]["usage"]`)
    })
  )

  it.live("a value that is no JSON under a schema that lets everything pass is refused", () =>
    Effect.gen(function* () {
      const error = yield* failureOf(plainSense("return Sense.signal({ n: 1n })", "Schema.Any"))
      expect(error.message).toContain("the signal's value is not JSON")
    })
  )

  it.live("a value too big for the log is refused", () =>
    Effect.gen(function* () {
      const error = yield* failureOf(plainSense(`return Sense.signal("x".repeat(1_000_001))`, "Schema.String"))
      expect(error.message).toContain("1000003 characters of JSON; 1000000 are allowed")
    })
  )

  it.live("a launch of no rounds at all is refused", () =>
    Effect.gen(function* () {
      const launch = `{ workflow: "investigate", prompt: "why?", maxRounds: 0 }`
      const sense = plainSense(`return Sense.signal({ n: 1 }, { launch: ${launch} })`)
      const error = yield* Effect.flip(computeOnce(sense))
      expect(error.message).toContain("a launch of the signal is not valid")
      expect(error.message).toContain("maxRounds")
    })
  )

  it.live("a launch that is not valid is refused with its path", () =>
    Effect.gen(function* () {
      const error = yield* failureOf(
        plainSense(`return Sense.signal({ n: 1 }, { launch: { workflow: "not a name", prompt: "" } })`)
      )
      expect(error.message).toContain("a launch of the signal is not valid: Expected a name of letters")
      expect(error.message).toContain(`at [0]["workflow"]`)
    })
  )

  const strangers: ReadonlyArray<readonly [string, string]> = [
    ["return { usage: 1 }", "compute returned an object with the keys usage: return Sense.signal(value)"],
    ["return 5", "compute returned a number: "]
  ]
  for (const [body, message] of strangers) {
    it.live(`what is no outcome is refused: ${body}`, () =>
      Effect.gen(function* () {
        expect((yield* failureOf(plainSense(body))).message).toContain(message)
      })
    )
  }
})

describe("failures", () => {
  it.live("a throw, a rejection, a failure and a defect are told with the user's own frames", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [string, string, string]> = [
        [plainSense(`    throw new TypeError("thrown")`), "TypeError: thrown", "at compute (senses/a.ts:6:11)"],
        [plainSense(`    await Promise.reject(new Error("rejected"))`), "rejected", "at compute (senses/a.ts:6:26)"],
        [effectSense(`    return yield* Effect.fail(new Error("failed"))`), "failed", "senses/a.ts:6:"],
        [effectSense(`    return yield* Effect.die(new Error("died"))`), "died", "senses/a.ts:6:"]
      ]
      for (const [text, message, frame] of cases) {
        const error = yield* failureOf(text)
        expect(error.message).toBe(message)
        expect(error.stack).toContain(frame)
        expect(error.stack).not.toContain("node_modules")
        expect(error.stack).not.toContain("internal")
      }
    })
  )

  it.live("a synchronous function that throws", () =>
    Effect.gen(function* () {
      const error = yield* failureOf(`import { Sense } from "@nerve/core"
import { Schema } from "effect"
export default Sense.make({ signal: Schema.Any, compute: () => { throw "text" } })`)
      expect(error.message).toBe("text")
    })
  )

  it.live("SQLite's own words reach the message", () =>
    Effect.gen(function* () {
      const error = yield* failureOf(effectSense("yield* (yield* Sense.Database)`SELECT * FROM nowhere`; return null"))
      expect(error.message).toContain("no such table: nowhere")
    })
  )

  it.live("an Effect that interrupts itself", () =>
    Effect.gen(function* () {
      expect((yield* failureOf(effectSense("return yield* Effect.interrupt"))).message).toContain("interrupted itself")
    })
  )

  it.live("one compute that fails harms neither the next nor another sense", () =>
    Effect.gen(function* () {
      const { compute, failure } = yield* setUp(
        {
          "senses/a.ts": plainSense(`
    globalThis.nerveTestCount = (globalThis.nerveTestCount ?? 0) + 1
    if (globalThis.nerveTestCount === 1) throw new Error("first")
    return Sense.signal({ n: 1 })`),
          "senses/b.ts": plainSense("return Sense.signal({ n: 1 })")
        },
        ["a", "b"]
      )
      expect((yield* failure("a")).message).toBe("first")
      expect(yield* compute("a")).toMatchObject({ value: { n: 1 } })
      expect(yield* compute("b")).toMatchObject({ value: { n: 1 } })
    })
  )

  it.live("a database that is taken away is told, instead of being written into nothing", () =>
    Effect.gen(function* () {
      for (const text of [plainSense(`return Sense.signal({ n: 1 })`), effectSense(`return Sense.signal({ n: 1 })`)]) {
        const { compute, workspace } = yield* setUp({ "senses/a.ts": text, "senses/b.ts": text }, ["a", "b"])
        expect(yield* compute("a")).toMatchObject({ _tag: "Signal" })
        rmSync(join(workspace, "data/senses/a.db"))
        const error = yield* Effect.flip(compute("a"))
        expect(error).toMatchObject({
          _tag: "ComputeFailed",
          message: "data/senses/a.db was deleted or replaced while it is open: start nerve again"
        })
        expect(yield* compute("b")).toMatchObject({ _tag: "Signal" })
      }
    })
  )

  it.live("a compute that begins or ends a transaction of its own is told that it is in one, and leaves nothing", () =>
    Effect.gen(function* () {
      const migration = "CREATE TABLE t (x);"
      const { failure, workspace } = yield* setUp(
        {
          "senses/begins.ts": plainSense(`context.db.exec("INSERT INTO t VALUES (1); BEGIN"); return null`),
          "senses/begins/migrations/1.sql": migration,
          "senses/rolls.ts": plainSense(`context.db.exec("INSERT INTO t VALUES (1); ROLLBACK"); return null`),
          "senses/rolls/migrations/1.sql": migration,
          "senses/throws.ts": plainSense(
            `context.db.exec("INSERT INTO t VALUES (1)"); throw new Error("thrown inside")`
          ),
          "senses/throws/migrations/1.sql": migration
        },
        ["begins", "rolls", "throws"]
      )
      const cases = [
        ["begins", "cannot start a transaction within a transaction: leave out BEGIN"],
        ["rolls", "compute ended the transaction that it runs in: leave out BEGIN"],
        ["throws", "thrown inside"]
      ] as const
      for (const [name, message] of cases) {
        expect((yield* failure(name)).message).toContain(message)
        // Another connection can write only when no transaction is open.
        const other = new DatabaseSync(join(workspace, `data/senses/${name}.db`), { timeout: 0 })
        other.exec("BEGIN IMMEDIATE; COMMIT")
        expect(other.prepare("SELECT count(*) AS n FROM t").get()?.n).toBe(0)
        other.close()
      }
    })
  )
})

describe("soft timeout", () => {
  it.effect("an Effect compute is interrupted, and the error comes after it gave way", () =>
    Effect.gen(function* () {
      const { failure, lines } = yield* setUp(
        {
          "senses/a.ts": effectSense(`
    yield* Effect.log("started")
    return yield* Effect.never.pipe(
      Effect.onInterrupt(() => Effect.andThen(Effect.sleep("300 millis"), Effect.log("cleaned up")))
    )`)
        },
        ["a"],
        { timeoutMs: 1_000 }
      )
      const fiber = yield* Effect.forkChild(failure("a"))
      expect((yield* Queue.take(lines)).message).toBe("started")
      yield* TestClock.adjust(999)
      expect(yield* Queue.size(lines)).toBe(0)
      yield* TestClock.adjust(1)
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust(300)
      const error = yield* Fiber.join(fiber)
      expect((yield* Queue.take(lines)).message).toBe("cleaned up")
      expect(error).toMatchObject({ _tag: "ComputeTimeout", sense: "a", timeoutMs: 1_000 })
    })
  )

  it.effect("a plain compute's abort signal fires, and the error comes after its promise settled", () =>
    Effect.gen(function* () {
      const { compute, failure, lines } = yield* setUp(
        {
          "senses/a.ts": plainSense(`
    if (globalThis.nerveTestDone) return null
    context.log("started")
    await new Promise((resolve) => context.signal.addEventListener("abort", resolve))
    context.log("aborted")
    await new Promise((resolve) => { globalThis.nerveTestRelease = resolve })
    globalThis.nerveTestDone = true
    return Sense.signal({ n: 1 })`)
        },
        ["a"],
        { timeoutMs: 1_000 }
      )
      const fiber = yield* Effect.forkChild(failure("a"))
      expect((yield* Queue.take(lines)).message).toBe("started")
      yield* TestClock.adjust(1_000)
      expect((yield* Queue.take(lines)).message).toBe("aborted")
      expect(fiber.pollUnsafe()).toBeUndefined()
      const release: unknown = Reflect.get(globalThis, "nerveTestRelease")
      assert(typeof release === "function")
      release()
      expect((yield* Fiber.join(fiber))._tag).toBe("ComputeTimeout")
      expect(yield* compute("a")).toEqual({ _tag: "NoSignal", reason: null })
    }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          Reflect.deleteProperty(globalThis, "nerveTestRelease")
          Reflect.deleteProperty(globalThis, "nerveTestDone")
        })
      )
    )
  )

  it.effect("a compute that is done in time is left alone", () =>
    Effect.gen(function* () {
      const { compute, lines } = yield* setUp(
        {
          "senses/a.ts": effectSense(`
    yield* Effect.log("started")
    yield* Effect.sleep("999 millis")
    return Sense.signal({ n: 1 })`)
        },
        ["a"],
        { timeoutMs: 1_000 }
      )
      const fiber = yield* Effect.forkChild(compute("a"))
      yield* Queue.take(lines)
      yield* TestClock.adjust(999)
      expect(yield* Fiber.join(fiber)).toMatchObject({ value: { n: 1 } })
    })
  )
})

describe("interruption and overlap", () => {
  it.live("an interrupted plain compute is aborted, and the next one waits until it gave way", () =>
    Effect.gen(function* () {
      const { compute, lines } = yield* setUp(
        {
          "senses/a.ts": plainSense(`
    context.log("started")
    if (globalThis.nerveTestSecond) return Sense.signal({ n: 2 })
    globalThis.nerveTestSecond = true
    await new Promise((resolve) => context.signal.addEventListener("abort", resolve))
    context.log("aborted")
    await new Promise((resolve) => setImmediate(resolve))
    context.log("gone")
    return null`)
        },
        ["a"],
        { timeoutMs: 60_000 }
      )
      const first = yield* Effect.forkChild(compute("a"))
      expect((yield* Queue.take(lines)).message).toBe("started")
      const second = yield* Effect.forkChild(compute("a"))
      yield* Effect.yieldNow
      first.interruptUnsafe()
      expect(yield* Fiber.join(second)).toMatchObject({ value: { n: 2 } })
      const exit = yield* Fiber.await(first)
      expect(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)).toBe(true)
      const messages = (yield* Queue.takeAll(lines)).map((line) => line.message)
      expect(messages).toEqual(["aborted", "gone", "started"])
    }).pipe(Effect.ensuring(Effect.sync(() => Reflect.deleteProperty(globalThis, "nerveTestSecond"))))
  )

  it.effect("computes of one sense never overlap; those of another run beside them", () =>
    Effect.gen(function* () {
      const body = `
    yield* Effect.log("in")
    yield* Effect.sleep("100 millis")
    yield* Effect.log("out")
    return Sense.none`
      const { compute, lines } = yield* setUp({ "senses/a.ts": effectSense(body), "senses/b.ts": effectSense(body) }, [
        "a",
        "b"
      ])
      const fiber = yield* Effect.forkChild(
        Effect.all([compute("a"), compute("a"), compute("b")], { concurrency: "unbounded" })
      )
      yield* Effect.yieldNow
      yield* TestClock.adjust(100)
      yield* TestClock.adjust(100)
      yield* Fiber.join(fiber)
      const said = (yield* Queue.takeAll(lines)).map((line) => `${String(line.fields.sense)} ${line.message}`)
      expect(said.filter((line) => line.startsWith("a"))).toEqual(["a in", "a out", "a in", "a out"])
      expect(said.indexOf("b in")).toBeLessThan(said.indexOf("a out"))
    })
  )
})

describe("what a compute is given", () => {
  it.live("peers of the same group, read-only, and its own name and workspace", () =>
    Effect.gen(function* () {
      const { compute, failure, workspace } = yield* setUp(
        {
          "senses/a.ts": plainSense("return null"),
          "senses/a/migrations/1.sql": "CREATE TABLE t (x); INSERT INTO t VALUES (41);",
          "senses/effect.ts": effectSense(
            `
    const peers = yield* Sense.Peers
    const info = yield* Sense.Info
    const rows = yield* (yield* peers.get("a"))\`SELECT x FROM t\`
    return Sense.signal({ rows, names: peers.names, info })`,
            "Schema.Any"
          ),
          "senses/plain.ts": plainSense(
            `
    const rows = context.peer("a").prepare("SELECT x FROM t").all().map((row) => ({ ...row }))
    return Sense.signal({ rows, info: { name: context.name, workspace: context.workspace } })`,
            "Schema.Any"
          ),
          "senses/writer.ts": effectSense("yield* (yield* (yield* Sense.Peers).get('a'))`DELETE FROM t`; return null"),
          "senses/plainwriter.ts": plainSense(`context.peer("a").exec("DELETE FROM t"); return null`),
          "senses/selfish.ts": plainSense(`context.peer("selfish"); return null`)
        },
        ["a", "effect", "plain", "writer", "plainwriter", "selfish"]
      )
      expect(yield* compute("effect")).toMatchObject({
        value: {
          rows: [{ x: 41 }],
          names: ["a", "plain", "writer", "plainwriter", "selfish"],
          info: { name: "effect", workspace }
        }
      })
      expect(yield* compute("plain")).toMatchObject({
        value: { rows: [{ x: 41 }], info: { name: "plain", workspace } }
      })
      expect((yield* failure("writer")).message).toContain("attempt to write a readonly database")
      expect((yield* failure("plainwriter")).message).toContain("attempt to write a readonly database")
      expect((yield* failure("selfish")).message).toContain("selfish is no peer of its own")
      expect(yield* compute("effect")).toMatchObject({ value: { rows: [{ x: 41 }] } })
    })
  )

  it.live("log lines carry the sense's name, whatever it says itself", () =>
    Effect.gen(function* () {
      const { compute, lines } = yield* setUp(
        {
          "senses/a.ts": effectSense(`
    yield* Effect.logWarning("usage", { n: 1 }).pipe(Effect.annotateLogs({ host: "h", sense: "other" }))
    return null`),
          "senses/b.ts": plainSense(
            `context.log("usage", { n: 1, ok: true, list: [1, new Map()], bad: NaN }); return null`
          )
        },
        ["a", "b"]
      )
      yield* compute("a")
      yield* compute("b")
      expect(yield* Queue.takeAll(lines)).toEqual([
        { level: "Warn", message: "usage { n: 1 }", fields: { host: "h", sense: "a" } },
        {
          level: "Info",
          message: "usage",
          fields: { n: 1, ok: true, list: "[ 1, Map(0) {} ]", bad: "NaN", sense: "b" }
        }
      ])
    })
  )
})
