/**
 * `nerve store …` as real processes (C3): on the file when no daemon runs, through the daemon when one
 * does, with data on stdout and exit codes (D3, D4).
 */
import { ArchiveReport, RebuildReport, StoreStats, VacuumReport, VerifyReport } from "@nerve/core/wire/StoreReports"
import * as DaemonLock from "@nerve/node/daemon/DaemonLock"
import * as Workspace from "@nerve/node/daemon/Workspace"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore } from "@nerve/runtime/log/LogStore"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { ended, message, opened, signal } from "../../../runtime/test/log/LogStoreSuite.ts"
import { type Ran, run, start, workspace } from "./run.ts"

const DAY = 86_400_000
const begin = Date.parse("2026-01-01T06:00:00Z")

/** A workspace whose log has entries of two days of January. */
const filled = Effect.tap(workspace(), (root) =>
  Effect.gen(function* () {
    const store = yield* LogStore
    yield* TestClock.setTime(begin)
    yield* store.appendAll([opened("started", "t"), message("t", 1), { ...signal("cpu"), payload: "x".repeat(80_000) }])
    yield* TestClock.setTime(begin + DAY)
    yield* store.appendAll([ended("completed", "t", 0), signal("cpu")])
  }).pipe(Effect.provide(Layer.mergeAll(LogStoreSqlite.layer(join(root, "data/nerve.db")), TestClock.layer())))
)

const done = (ran: Ran): string => {
  assert.strictEqual(ran.stderr, "")
  assert.strictEqual(ran.code, 0)
  return ran.stdout
}

const decode = <A>(schema: Schema.Codec<A, unknown>, text: string): A =>
  Schema.decodeUnknownSync(schema)(JSON.parse(text))

describe("nerve store", () => {
  it.live(
    "archives, verifies, rebuilds, compacts and counts without a daemon",
    () =>
      Effect.gen(function* () {
        const root = yield* filled
        const days = decode(ArchiveReport, done(yield* run(root, "store", "archive", "--json")))
        assert.deepStrictEqual(days.days, ["2026-01-01", "2026-01-02"])
        assert.strictEqual(days.entries, 5)
        assert.deepStrictEqual(readdirSync(join(root, "data/archive")), ["2026-01-01.jsonl", "2026-01-02.jsonl"])
        assert.strictEqual(done(yield* run(root, "store", "archive")), "nothing to archive\n")
        const report = decode(VerifyReport, done(yield* run(root, "store", "verify", "--json")))
        assert.include(report, { ok: true, entries: 5, archivedDays: 2, blobs: 1, runs: 1 })
        assert.deepStrictEqual(decode(RebuildReport, done(yield* run(root, "store", "rebuild", "--json"))), { runs: 1 })
        const { after, before } = decode(VacuumReport, done(yield* run(root, "store", "vacuum", "--json")))
        assert.isAtMost(after, before)
        const stats = decode(StoreStats, done(yield* run(root, "store", "stats", "--json")))
        assert.deepInclude(stats, { entries: 0, lastId: 5, runs: [{ status: "completed", count: 1 }] })
        assert.include(stats.blobs, { count: 1, bytes: 80_002 })
        assert.include(done(yield* run(root, "store", "stats")), "2 days (2026-01-01 to 2026-01-02), 5 entries")
        // What is archived is still there for who reads.
        assert.include((yield* run(root, "thread", "show", "t")).stdout, "round 1")
        assert.include(done(yield* run(root, "store", "archive", "--keep", "1d")), "removed 2 archived days")
        assert.deepStrictEqual(readdirSync(join(root, "data/archive")), [])
      }),
    60_000
  )

  it.live(
    "finds damage: it is on stdout, and the exit code is 1",
    () =>
      Effect.gen(function* () {
        const root = yield* filled
        yield* run(root, "store", "archive")
        const file = join(root, "data/archive/2026-01-01.jsonl")
        writeFileSync(file, readFileSync(file, "utf8").replace("round 1", "round I"))
        const ran = yield* run(root, "store", "verify")
        assert.strictEqual(ran.code, 1)
        assert.include(ran.stdout, "archive: entry 2 is not what was recorded")
        const report = decode(VerifyReport, (yield* run(root, "store", "verify", "--json")).stdout)
        assert.include(report.problems[0], { part: "archive", id: 2 })
      }),
    60_000
  )

  it.live(
    "goes through a daemon that runs",
    () =>
      Effect.gen(function* () {
        const root = yield* filled
        const dev = yield* start(root, "dev")
        yield* dev.printed("started, pid")
        const days = decode(ArchiveReport, done(yield* run(root, "store", "archive", "--json")))
        assert.deepStrictEqual(days.days, ["2026-01-01", "2026-01-02"])
        assert.isTrue(decode(VerifyReport, done(yield* run(root, "store", "verify", "--json"))).ok)
        assert.include(done(yield* run(root, "store", "vacuum")), "before")
        assert.include(done(yield* run(root, "store", "rebuild")), "computed 1 thread anew")
        assert.include(done(yield* run(root, "logs", "--ref", "t")), "completed")
      }),
    60_000
  )

  it.live(
    "says that somebody else has the log, or that there is none",
    () =>
      Effect.gen(function* () {
        const none = yield* run(yield* workspace(), "store", "stats")
        assert.strictEqual(none.code, 1)
        assert.include(none.stderr, "there is no log yet")
        const root = yield* filled
        yield* DaemonLock.acquire(Workspace.make(root), { version: "0.0.0" })
        const locked = yield* run(root, "store", "archive")
        assert.strictEqual(locked.code, 1)
        assert.include(locked.stderr, String(process.pid))
        const mistake = yield* run(root, "store", "archive", "--older-than", "30")
        assert.strictEqual(mistake.code, 2)
      }),
    60_000
  )
})
