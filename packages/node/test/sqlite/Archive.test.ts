/**
 * The cold archive (D3) over real files: what goes in, what stays, that nobody who reads notices, and that
 * a death at any boundary leaves it right.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import type { LogInput, LogQuery } from "@nerve/core/domain/LogEntry"
import { defaultPolicy } from "@nerve/runtime/log/Archive"
import { AtBoundary, type Boundary, BOUNDARIES } from "@nerve/runtime/log/Boundary"
import * as Launches from "@nerve/runtime/kernel/Launches"
import { LogStore } from "@nerve/runtime/log/LogStore"
import * as LogStoreMemory from "@nerve/runtime/log/LogStoreMemory"
import type { StoreMaintenance } from "@nerve/runtime/log/StoreMaintenance"
import { Cause, Context, Effect, Exit, Layer, type Scope, Stream } from "effect"
import fc from "fast-check"
import { TestClock } from "effect/testing"
import { ended, message, opened, signal } from "../../../runtime/test/log/LogStoreSuite.ts"
import { all, DAY, idsInTable, newFile, tamper, withStores } from "./support.ts"

const start = Date.parse("2026-01-01T06:00:00Z")
const keep = (days: number) => ({ ...defaultPolicy, keep: days * DAY })

/** An entry of a day, counted from the first. */
interface Step {
  readonly day: number
  readonly input: LogInput
}

const on = (day: number, ...inputs: ReadonlyArray<LogInput>): ReadonlyArray<Step> =>
  inputs.map((input) => ({ day, input }))

/** Appends each step on its day. */
const play = (store: LogStore["Service"], steps: ReadonlyArray<Step>) =>
  Effect.forEach(
    steps,
    ({ day, input }, n) => Effect.andThen(TestClock.setTime(start + day * DAY + n), store.append(input)),
    { discard: true }
  )

const archiveOf = (file: string) => join(dirname(file), "archive")

/** A test with a new log, open. */
const test = (
  title: string,
  body: (opened: {
    readonly file: string
    readonly store: LogStore["Service"]
    readonly maintenance: StoreMaintenance["Service"]
  }) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  it.effect(title, () =>
    Effect.flatMap(newFile, (file) => withStores(file, (store, maintenance) => body({ file, store, maintenance })))
  )

/** A pass on a day, counted from the first. */
const archiveOn = (day: number, maintenance: StoreMaintenance["Service"], policy = defaultPolicy) =>
  Effect.andThen(TestClock.setTime(start + day * DAY), maintenance.archive(policy))

const history: ReadonlyArray<Step> = [
  ...on(0, signal("cpu", 1), opened("queued", "a"), opened("started", "a"), message("a", 1)),
  ...on(1, message("a", 2), ended("completed", "a", 0), opened("started", "b"), message("b", 1)),
  ...on(2, signal("cpu", 2), message("b", 2), signal("disk", "x".repeat(300))),
  ...on(4, message("b", 3), signal("cpu", 3))
]

describe("archive", () => {
  test("moves whole days older than 30 days into a file each, and keeps the rest", ({ file, maintenance, store }) =>
    Effect.gen(function* () {
      yield* play(store, history)
      const before = yield* all(store)
      expect(yield* archiveOn(31, maintenance)).toMatchObject({ days: ["2026-01-01"], entries: 4 })
      expect(readdirSync(archiveOf(file))).toEqual(["2026-01-01.jsonl"])
      expect(yield* idsInTable(file)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13])
      expect(yield* maintenance.archive(defaultPolicy)).toMatchObject({ days: [], entries: 0 })
      expect(yield* archiveOn(60, maintenance)).toMatchObject({
        days: ["2026-01-02", "2026-01-03", "2026-01-05"],
        entries: 9
      })
      expect(yield* all(store)).toEqual(before)
      expect(yield* maintenance.verify).toMatchObject({ ok: true, problems: [], entries: 13, archivedDays: 4 })
      const lines = readFileSync(join(archiveOf(file), "2026-01-01.jsonl"), "utf8")
        .trimEnd()
        .split("\n")
      const [header, first, ...rest] = lines.map((line): unknown => JSON.parse(line))
      expect(header).toMatchObject({ nerve: "archive", day: "2026-01-01", firstId: 1 })
      expect(first).toMatchObject({ id: 1, source: "sense", type: "signal", refId: "cpu", payload: 1 })
      expect(rest.at(-1)).toMatchObject({ end: true, entries: 4, lastId: 4 })
    }))

  test("leaves the rows of a thread that has not ended, and takes them when it has", ({ file, maintenance, store }) =>
    Effect.gen(function* () {
      yield* play(store, history)
      yield* archiveOn(60, maintenance)
      // b: started, and three rounds.
      expect(yield* idsInTable(file)).toEqual([7, 8, 10, 12])
      expect((yield* store.messages("b")).map(({ round }) => round)).toEqual([1, 2, 3])
      expect((yield* store.messages("a")).map(({ round }) => round)).toEqual([1, 2])
      expect((yield* store.append(message("b", 2))).id).toBe(10)
      yield* store.append(ended("completed", "b", 0))
      yield* maintenance.archive(defaultPolicy)
      expect(yield* idsInTable(file)).toEqual([14])
      expect((yield* store.messages("b", { afterRound: 1, limit: 1 })).map(({ round }) => round)).toEqual([2])
      expect(yield* maintenance.verify).toMatchObject({ ok: true, problems: [] })
    }))

  test("is nothing that a start reads: what it asks for is in the database", ({ file, maintenance, store }) =>
    Effect.gen(function* () {
      const kernel = (type: string, refId: string | null): LogInput => ({ source: "kernel", type, refId, payload: {} })
      yield* play(store, [
        ...on(0, kernel("started", null), signal("cpu", 1), kernel("workflow-paused", "report")),
        ...on(1, opened("started", "b"), message("b", 1), opened("started", "a"), ended("completed", "a", 0))
      ])
      expect(yield* archiveOn(60, maintenance)).toMatchObject({ entries: 7 })
      expect((yield* maintenance.verify).problems).toEqual([])
      rmSync(archiveOf(file), { recursive: true })
      expect(yield* Effect.provideService(Launches.lost(["cpu", "disk"]), LogStore, store)).toEqual([])
      const ofDatabase = (query: LogQuery) =>
        Effect.map(store.query({ ...query, archived: false }), (entries) => entries.map(({ id }) => id))
      expect(yield* ofDatabase({ source: "kernel", refId: "report", order: "desc", limit: 1 })).toEqual([3])
      expect(yield* ofDatabase({ source: "workflow", refId: "b" })).toEqual([4, 5])
      expect((yield* store.messages("b")).length).toBe(1)
      expect((yield* store.activeRuns).map(({ threadId }) => String(threadId))).toEqual(["b"])
      expect(yield* Effect.flip(store.query({ source: "workflow", refId: "b" }))).toMatchObject({ permanent: true })
    }))

  test("records an archived round once, too", ({ maintenance, store }) =>
    Effect.gen(function* () {
      yield* play(store, history)
      const [, , , recorded] = yield* all(store)
      yield* archiveOn(60, maintenance)
      expect(yield* store.append(message("a", 1, "something else"))).toEqual(recorded)
      expect((yield* store.append(message("a", 3))).id).toBe(14)
    }))

  it.effect("rebuilds runs from archive and table together", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      const before = yield* withStores(file, (store, maintenance) =>
        Effect.gen(function* () {
          yield* play(store, history)
          yield* archiveOn(60, maintenance)
          return yield* store.runs({})
        })
      )
      yield* tamper(file, "DELETE FROM workflow_runs WHERE thread_id = 'a'", "UPDATE workflow_runs SET rounds = 7")
      yield* withStores(file, (store, maintenance) =>
        Effect.gen(function* () {
          expect((yield* maintenance.verify).problems.map(({ part }) => part)).toEqual(["runs", "runs"])
          expect(yield* maintenance.rebuild).toEqual({ runs: 2 })
          expect(yield* store.runs({})).toEqual(before)
        })
      )
    })
  )

  it.effect("is followed through: a follower that is far behind gets archived entries first", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStores(file, (store) => play(store, history))
      yield* withStores(file, (store, maintenance) =>
        Effect.gen(function* () {
          yield* archiveOn(33, maintenance)
          const past = yield* Stream.runCollect(Stream.take(store.follow({ cursor: 2 }), 11))
          expect(past.map(({ id }) => id)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
        })
      )
    })
  )

  it.effect("does not touch a day whose chain does not hold, and says so", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStores(file, (store) => play(store, history))
      yield* tamper(file, "UPDATE logs SET payload = '7' WHERE id = 6")
      yield* withStores(file, (_, maintenance) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(archiveOn(60, maintenance))
          expect(error.message).toContain("entry 6 of the log is damaged or gone")
          expect(yield* idsInTable(file)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13])
        })
      )
    })
  )

  it.effect("refuses to write over a day of another log", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStores(file, (store, maintenance) => Effect.andThen(play(store, history), archiveOn(60, maintenance)))
      for (const suffix of ["", "-wal", "-shm", "-end"]) rmSync(`${file}${suffix}`, { force: true })
      yield* withStores(file, (store, maintenance) =>
        Effect.gen(function* () {
          yield* play(store, on(0, signal("other")))
          const error = yield* Effect.flip(archiveOn(60, maintenance))
          expect(error.message).toContain("belongs to another log")
        })
      )
    })
  )

  test("is an error that names the day when its file is gone or damaged, and mends when it is back", ({
    file,
    maintenance,
    store
  }) =>
    Effect.gen(function* () {
      yield* play(store, history)
      yield* archiveOn(60, maintenance)
      const day = join(archiveOf(file), "2026-01-02.jsonl")
      const content = readFileSync(day, "utf8")
      renameSync(day, `${day}.away`)
      expect((yield* Effect.flip(all(store))).message).toContain("archived day")
      expect((yield* maintenance.verify).problems[0]).toMatchObject({ part: "archive" })
      // What is not in that day can be read.
      expect((yield* store.query({ order: "desc", limit: 4 })).map(({ id }) => id)).toEqual([13, 12, 11, 10])
      writeFileSync(day, content.replace('"payload":{"role"', '"payload":{"rule'))
      expect(yield* Effect.flip(all(store))).toMatchObject({ _tag: "LogStoreError", permanent: true })
      expect((yield* maintenance.verify).ok).toBe(false)
      renameSync(`${day}.away`, day)
      expect((yield* all(store)).length).toBe(13)
      expect((yield* maintenance.verify).ok).toBe(true)
    }))
})

describe("retention", () => {
  test("removes days and ended threads that are older than what is kept, and the chain still holds", ({
    file,
    maintenance,
    store
  }) =>
    Effect.gen(function* () {
      yield* play(store, history)
      expect(yield* archiveOn(60, maintenance, keep(40))).toMatchObject({
        days: ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-05"],
        // b has not ended, and began on the second day.
        removedDays: ["2026-01-01"],
        removedThreads: 1
      })
      expect((yield* all(store)).map(({ id }) => id)).toEqual([5, 6, 7, 8, 9, 10, 11, 12, 13])
      yield* store.append(ended("completed", "b", 0))
      expect(yield* maintenance.archive(keep(40))).toMatchObject({ removedDays: [] })
      expect(yield* archiveOn(101, maintenance, keep(40))).toMatchObject({
        days: ["2026-03-02"],
        removedDays: ["2026-01-02", "2026-01-03", "2026-01-05", "2026-03-02"],
        removedThreads: 1
      })
      expect(yield* all(store)).toEqual([])
      expect(yield* store.runs({})).toEqual([])
      expect((yield* store.append(signal("cpu"))).id).toBe(15)
      expect(yield* maintenance.verify).toMatchObject({ ok: true, entries: 1 })
      expect(readdirSync(archiveOf(file))).toEqual([])
    }))
})

/** Dies where it is told to, once. */
const dyingAt = (boundary: Boundary) => {
  let left = 1
  return Effect.provideService(AtBoundary, (passed: Boundary) =>
    passed === boundary && left-- > 0 ? Effect.die(`died at ${passed}`) : Effect.void
  )
}

describe("a death at a boundary", () => {
  const large = { ...signal("big"), payload: "y".repeat(100_000) }
  for (const boundary of BOUNDARIES) {
    it.effect(`${boundary}: the next pass makes it what it would have been`, () =>
      Effect.gen(function* () {
        const steps = [...on(0, large), ...history.filter(({ input }) => input.refId !== "b"), ...on(5, signal("late"))]
        /** What a history comes to; the second part dies on its way when told to. */
        const live = Effect.fnUntraced(function* (file: string, dies: boolean) {
          if (dies && boundary === "blob-written") {
            yield* TestClock.setTime(start)
            const exit = yield* Effect.exit(
              withStores(file, (store) => dyingAt(boundary)(store.append({ ...large, payload: "z".repeat(100_000) })))
            )
            expect(Exit.isFailure(exit) && Cause.hasDies(exit.cause)).toBe(true)
            expect(readdirSync(join(dirname(file), "blobs")).length).toBe(1)
          }
          yield* withStores(file, (store) => play(store, steps))
          yield* TestClock.setTime(start + 33.5 * DAY)
          const pass = withStores(file, (_, maintenance) => maintenance.archive(keep(32)))
          if (dies && boundary !== "blob-written") {
            const exit = yield* Effect.exit(dyingAt(boundary)(pass))
            expect(Exit.isFailure(exit) && Cause.hasDies(exit.cause)).toBe(true)
          }
          yield* pass
          return yield* withStores(file, (store, maintenance) =>
            Effect.gen(function* () {
              expect(yield* maintenance.verify).toMatchObject({ ok: true, problems: [] })
              return {
                entries: yield* all(store),
                runs: yield* store.runs({}),
                table: yield* idsInTable(file),
                archive: readdirSync(archiveOf(file)),
                blobs: existsSync(join(dirname(file), "blobs"))
                  ? readdirSync(join(dirname(file), "blobs"), { recursive: true, withFileTypes: true })
                      .filter((entry) => entry.isFile())
                      .map(({ name }) => name)
                  : []
              }
            })
          )
        })
        const undisturbed = yield* live(yield* newFile, false)
        expect(undisturbed.archive).toEqual(["2026-01-03.jsonl"])
        expect(undisturbed.blobs).toEqual([])
        expect(yield* live(yield* newFile, true)).toEqual(undisturbed)
      })
    )
  }
})

describe("reading through the archive", () => {
  const refs = ["cpu", "disk", null]
  const arbitraryStep = fc.record({
    day: fc.integer({ min: 0, max: 6 }),
    kind: fc.constantFrom("signal", "error", "open", "message", "end"),
    ref: fc.nat(2),
    round: fc.integer({ min: 1, max: 4 }),
    size: fc.constantFrom(1, 1, 1, 2000, 70_000)
  })
  const arbitraryQuery: fc.Arbitrary<LogQuery> = fc.record(
    {
      source: fc.constantFrom("sense", "workflow"),
      type: fc.constantFrom("signal", "message"),
      refId: fc.constantFrom("cpu", "t1"),
      since: fc.integer({ min: 0, max: 6 }).map((day) => start + day * DAY),
      until: fc.integer({ min: 0, max: 7 }).map((day) => start + day * DAY),
      cursor: fc.nat(45),
      limit: fc.constantFrom(0, 1, 5, 1000),
      order: fc.constantFrom("asc", "desc")
    },
    { requiredKeys: [] }
  )
  const inputOf = ({
    kind,
    ref,
    round,
    size
  }: {
    readonly kind: string
    readonly ref: number
    readonly round: number
    readonly size: number
  }): LogInput => {
    const thread = `t${ref}`
    switch (kind) {
      case "open":
        return opened("started", thread)
      case "message":
        return message(thread, round, "m".repeat(size))
      case "end":
        return ended("completed", thread, 0)
      default:
        return { source: "sense", type: kind, refId: refs[ref] ?? null, payload: "p".repeat(size) }
    }
  }

  it.effect("any query on any history answers as the same history in memory does", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(arbitraryStep, { maxLength: 40 }),
          fc.array(arbitraryQuery, { minLength: 8, maxLength: 8 }),
          fc.integer({ min: 28, max: 40 }),
          (steps, queries, after) =>
            Effect.runPromise(
              Effect.gen(function* () {
                const file = yield* newFile
                const memory = Context.get(yield* Layer.build(LogStoreMemory.layer), LogStore)
                yield* withStores(file, (store, maintenance) =>
                  Effect.gen(function* () {
                    // Days mostly in order, sometimes not: clocks step.
                    const parts = Array.from({ length: Math.ceil(steps.length / 4) }, (_, n) =>
                      steps.slice(4 * n, 4 * n + 4)
                    )
                    for (const [n, part] of parts.entries()) {
                      const day = n % 5 === 4 ? (part[0]?.day ?? 0) : Math.floor((n * 7) / 10)
                      yield* TestClock.setTime(start + day * DAY + n)
                      const inputs = part.map(inputOf)
                      expect(yield* store.appendAll(inputs)).toEqual(yield* memory.appendAll(inputs))
                    }
                    yield* TestClock.setTime(start + after * DAY)
                    yield* maintenance.archive(defaultPolicy)
                    for (const query of queries) expect(yield* store.query(query)).toEqual(yield* memory.query(query))
                    expect(yield* store.runs({})).toEqual(yield* memory.runs({}))
                    for (const thread of ["t0", "t1", "t2"]) {
                      expect(yield* store.messages(thread)).toEqual(yield* memory.messages(thread))
                      expect(yield* store.messages(thread, { afterRound: 1, limit: 2 })).toEqual(
                        yield* memory.messages(thread, { afterRound: 1, limit: 2 })
                      )
                    }
                    expect(yield* maintenance.verify).toMatchObject({ problems: [] })
                  })
                )
              }).pipe(Effect.scoped, Effect.provide(TestClock.layer()))
            )
        ),
        { numRuns: 15 }
      )
    )
  )
})
