/**
 * What every `LogStore` promises, as one suite: `suite(name, layer)` runs it against a layer that
 * yields a new, empty store each time it is built.
 */
import { describe, expect, it } from "@effect/vitest"
import type { LogEntry, LogInput, LogQuery } from "@nerve/core/domain/LogEntry"
import * as RunProjection from "@nerve/core/domain/RunProjection"
import type { RunStatus, WorkflowRun } from "@nerve/core/domain/Thread"
import { LogStore, LogStoreError } from "@nerve/runtime/log/LogStore"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

export const signal = (refId: string, payload: Schema.Json = null): LogInput => ({
  source: "sense",
  type: "signal",
  refId,
  payload
})

export const opened = (type: "queued" | "started" | "dropped", threadId: string, workflow = "report"): LogInput => ({
  source: "workflow",
  type,
  refId: threadId,
  payload: { workflow, prompt: `do ${threadId}`, maxRounds: 5, dryRun: false, cause: "manual" }
})

export const ended = (type: string, threadId: string, exitCode: number, reason = ""): LogInput => ({
  source: "workflow",
  type,
  refId: threadId,
  payload: { exitCode, reason }
})

export const crashed = (threadId: string, final: boolean): LogInput => ({
  source: "workflow",
  type: "crashed",
  refId: threadId,
  payload: { reason: "exit code 1", final }
})

export const message = (threadId: string, round: number, content = `round ${round}`): LogInput => ({
  source: "workflow",
  type: "message",
  refId: threadId,
  round,
  payload: { role: "writer", content, meta: { round } }
})

const ids = (entries: ReadonlyArray<LogEntry>) => entries.map((entry) => entry.id)

/** Follows `query` from when this returns; the fiber yields the first `count` entries. */
const following = Effect.fnUntraced(function* (query: LogQuery, count: number) {
  const store = yield* LogStore
  return yield* Effect.forkChild(Stream.runCollect(Stream.take(store.follow(query), count)), {
    startImmediately: true
  })
})

/** One step of a random history: an entry of some thread, its payload right or wrong. */
const Step = Schema.Struct({
  type: Schema.Literals([
    "queued",
    "started",
    "message",
    "crashed",
    "completed",
    "failed",
    "dropped",
    "interrupted",
    "killed",
    "unheard-of"
  ]),
  thread: Schema.NullOr(Schema.Literals(["a", "b", "c"])),
  round: Schema.Literals([1, 2, 3]),
  source: Schema.Literals(["workflow", "workflow", "workflow", "worker"]),
  valid: Schema.Literals([true, true, true, false]),
  final: Schema.Boolean
})

const entryOf = (step: typeof Step.Type): LogInput => {
  const thread = step.thread ?? "nobody"
  const input =
    step.type === "queued" || step.type === "started"
      ? opened(step.type, thread)
      : step.type === "message"
        ? message(thread, step.round)
        : step.type === "crashed"
          ? crashed(thread, step.final)
          : ended(step.type, thread, step.round)
  return { ...input, source: step.source, refId: step.thread, payload: step.valid ? input.payload : { wrong: true } }
}

/** What the runs of a log must be, from its entries alone. */
const projected = (entries: ReadonlyArray<LogEntry>): ReadonlyArray<WorkflowRun> => {
  const runs = new Map<string | null, WorkflowRun>()
  for (const entry of entries) {
    const run = RunProjection.apply(runs.get(entry.refId), entry)
    if (run !== undefined) runs.set(entry.refId, run)
  }
  return [...runs.values()].sort((a, b) => b.createdId - a.createdId)
}

export const suite = <E>(name: string, layer: Layer.Layer<LogStore, E>, runs = 60): void => {
  /** A test with an empty store of its own. */
  const test = (title: string, body: Effect.Effect<void, unknown, LogStore | Scope.Scope>) =>
    it.effect(title, () => Effect.provide(body, layer))

  describe(name, () => {
    describe("append", () => {
      test(
        "answers with the entry as it is stored",
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* TestClock.setTime(1_700_000_000_000)
          const payload = { text: 'ü \u0000 \ud800 "quoted"', list: [1, null, { deep: true }] }
          const entry = yield* store.append(signal("cpu", payload))
          expect(entry).toEqual({
            id: entry.id,
            source: "sense",
            type: "signal",
            refId: "cpu",
            round: null,
            payload,
            timestamp: 1_700_000_000_000
          })
          expect(yield* store.query({})).toEqual([entry])
        })
      )

      test(
        "gives ever-increasing ids, in the order of one call's entries",
        Effect.gen(function* () {
          const store = yield* LogStore
          const first = yield* store.append(signal("a"))
          const batch = yield* store.appendAll(["b", "c", "d"].map((name) => signal(name)))
          expect(batch.map((entry) => entry.refId)).toEqual(["b", "c", "d"])
          expect([first.id, ...ids(batch)]).toEqual([1, 2, 3, 4])
        })
      )

      test(
        "appends nothing when there is nothing",
        Effect.gen(function* () {
          const store = yield* LogStore
          expect(yield* store.appendAll([])).toEqual([])
          expect(yield* store.query({})).toEqual([])
        })
      )

      test(
        "refuses all of a call's entries when one cannot be stored, and nobody else's",
        Effect.gen(function* () {
          const store = yield* LogStore
          const bad: LogInput = { ...message("t", 1), round: 0.5 }
          const calls: ReadonlyArray<Effect.Effect<unknown, LogStoreError>> = [
            store.appendAll([signal("a"), bad]),
            store.append(signal("with \u0000 nul")),
            store.append(signal("half \ud800 pair")),
            store.append({ ...signal("big"), payload: "x".repeat(17 * 1024 * 1024) }),
            store.append(signal("fine"))
          ]
          const exits = yield* Effect.forEach(calls, (call) => Effect.exit(call), { concurrency: "unbounded" })
          expect(exits.map(Exit.isSuccess)).toEqual([false, false, false, false, true])
          expect(yield* Effect.flip(store.append(bad))).toBeInstanceOf(LogStoreError)
          expect((yield* store.query({})).map((entry) => entry.refId)).toEqual(["fine"])
        })
      )

      test(
        "serves 64 writers at once with unique ids that increase for each of them",
        Effect.gen(function* () {
          const store = yield* LogStore
          const appended = yield* Effect.forEach(
            Array.from({ length: 64 }, (_, writer) => writer),
            (writer) =>
              Effect.forEach(
                Array.from({ length: 20 }, (_, n) => n),
                (n) => store.append(signal(`w${writer}`, n))
              ),
            { concurrency: "unbounded" }
          )
          const all = appended.flatMap(ids)
          expect(all.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 64 * 20 }, (_, i) => i + 1))
          for (const own of appended) {
            expect(ids(own)).toEqual(ids(own).toSorted((a, b) => a - b))
            expect(own.map((entry) => entry.payload)).toEqual(Array.from({ length: 20 }, (_, n) => n))
          }
          expect(yield* store.query({ limit: 2000 })).toEqual(appended.flat().sort((a, b) => a.id - b.id))
        })
      )

      test(
        "takes more writers than it queues",
        Effect.gen(function* () {
          const store = yield* LogStore
          const entries = yield* Effect.forEach(
            Array.from({ length: 3000 }, (_, n) => n),
            (n) => store.append(signal("many", n)),
            { concurrency: "unbounded" }
          )
          expect(new Set(ids(entries)).size).toBe(3000)
        })
      )

      test(
        "writes a call whole, however many entries it has",
        Effect.gen(function* () {
          const store = yield* LogStore
          const other = yield* Effect.forkChild(Effect.forEach([1, 2, 3], (n) => store.append(signal("other", n))))
          const entries = yield* store.appendAll(Array.from({ length: 750 }, (_, n) => signal("bulk", n)))
          yield* Fiber.join(other)
          expect(ids(entries)).toEqual(Array.from({ length: 750 }, (_, n) => (entries[0]?.id ?? 0) + n))
          expect(yield* store.query({ refId: "bulk", limit: 1000 })).toEqual(entries)
        })
      )

      test(
        "is not disturbed by writers that are interrupted",
        Effect.gen(function* () {
          const store = yield* LogStore
          const writers = yield* Effect.forEach(
            Array.from({ length: 40 }, (_, n) => n),
            (n) => Effect.forkChild(store.append(signal(`w${n}`)), { startImmediately: true })
          )
          yield* Effect.forEach(
            writers.filter((_, n) => n % 2 === 0),
            Fiber.interrupt
          )
          const answered = yield* Effect.forEach(
            writers.filter((_, n) => n % 2 === 1),
            Fiber.join
          )
          const after = yield* store.append(signal("after"))
          const stored = yield* store.query({})
          expect(ids(stored)).toEqual(Array.from({ length: stored.length }, (_, n) => n + 1))
          expect(stored).toEqual(expect.arrayContaining([...answered, after]))
          // Each entry at most once: an interrupted writer's is there or not, never half or twice.
          expect(new Set(stored.map((entry) => entry.refId)).size).toBe(stored.length)
          expect(yield* store.verify).toBeNull()
        })
      )
    })

    describe("a closed store", () => {
      it.effect("answers everything with a typed error, and has written what it accepted", () =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const context = yield* Layer.buildWithScope(layer, scope)
          const store = Context.get(context, LogStore)
          const follower = yield* Effect.forkChild(Stream.runCollect(store.follow({})), { startImmediately: true })
          const pending = yield* Effect.forkChild(store.append(signal("pending")), { startImmediately: true })
          yield* Scope.close(scope, Exit.void)

          expect((yield* Fiber.join(pending)).refId).toBe("pending")
          expect((yield* Fiber.join(follower)).map((entry) => entry.refId)).toEqual(["pending"])
          const calls: ReadonlyArray<Effect.Effect<unknown, LogStoreError>> = [
            store.append(signal("late")),
            store.query({}),
            store.run("t"),
            store.runs({}),
            store.activeRuns,
            store.messages("t"),
            store.rebuildRuns,
            store.verify,
            Stream.runCollect(store.follow({}))
          ]
          for (const call of calls) expect((yield* Effect.flip(call)).message).toBe("the log store is closed")
        })
      )
    })

    describe("query", () => {
      const fill = Effect.gen(function* () {
        const store = yield* LogStore
        yield* TestClock.setTime(1000)
        yield* store.appendAll([signal("cpu"), signal("disk"), { ...signal("cpu"), type: "error" }])
        yield* TestClock.setTime(2000)
        yield* store.appendAll([
          { source: "kernel", type: "started", refId: null, payload: null },
          { source: "worker", type: "started", refId: "sense:a", payload: { pid: 7 } },
          signal("cpu")
        ])
        return store
      })

      const cases: ReadonlyArray<readonly [title: string, query: LogQuery, expected: ReadonlyArray<number>]> = [
        ["everything, oldest first", {}, [1, 2, 3, 4, 5, 6]],
        ["by source", { source: "sense" }, [1, 2, 3, 6]],
        ["by type", { type: "started" }, [4, 5]],
        ["by reference", { refId: "cpu" }, [1, 3, 6]],
        ["by all three", { source: "sense", type: "signal", refId: "cpu" }, [1, 6]],
        ["since a time, inclusive", { since: 2000 }, [4, 5, 6]],
        ["until a time, exclusive", { until: 2000 }, [1, 2, 3]],
        ["between two times", { since: 1000, until: 1001 }, [1, 2, 3]],
        ["after a cursor", { cursor: 4 }, [5, 6]],
        ["before a cursor, newest first", { cursor: 4, order: "desc" }, [3, 2, 1]],
        ["the last few", { order: "desc", limit: 2 }, [6, 5]],
        ["a page of a filter", { refId: "cpu", cursor: 1, limit: 1 }, [3]],
        ["none, by a limit of none", { limit: 0 }, []],
        ["none, by a limit below none", { limit: -1 }, []]
      ]
      for (const [title, query, expected] of cases) {
        test(
          `yields ${title}`,
          Effect.gen(function* () {
            const store = yield* fill
            expect(ids(yield* store.query(query))).toEqual(expected)
          })
        )
      }

      test(
        "yields 100 entries unless told",
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* store.appendAll(Array.from({ length: 101 }, () => signal("cpu")))
          expect(ids(yield* store.query({}))).toEqual(Array.from({ length: 100 }, (_, n) => n + 1))
        })
      )
    })

    describe("follow", () => {
      test(
        "yields what is appended from now on, and only what matches",
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* store.append(signal("cpu", "past"))
          const fiber = yield* following({ refId: "cpu" }, 2)
          yield* store.append(signal("cpu", 1))
          yield* store.append(signal("disk"))
          yield* store.append(signal("cpu", 2))
          expect((yield* Fiber.join(fiber)).map((entry) => entry.payload)).toEqual([1, 2])
        })
      )

      test(
        "with a cursor yields the past first, then goes on without a gap or a double",
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* store.appendAll(Array.from({ length: 600 }, (_, n) => signal("cpu", n)))
          const writer = yield* Effect.forkChild(
            Effect.forEach(
              Array.from({ length: 400 }, (_, n) => n),
              (n) => store.append(signal("cpu", 600 + n))
            )
          )
          const fiber = yield* following({ cursor: 10 }, 990)
          expect(ids(yield* Fiber.join(fiber))).toEqual(Array.from({ length: 990 }, (_, n) => n + 11))
          yield* Fiber.join(writer)
        })
      )

      test(
        "misses nothing at the seam, wherever appends and pages meet",
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* store.appendAll(Array.from({ length: 300 }, (_, n) => signal(n % 3 === 0 ? "cpu" : "disk", n)))
          const seen: Array<number> = []
          // Each entry seen while there are fewer than 500 has another one appended.
          yield* store.follow({ cursor: 0, refId: "cpu" }).pipe(
            Stream.tap((entry) => {
              seen.push(entry.id)
              return entry.id < 500 ? store.appendAll([signal("cpu"), signal("disk")]) : Effect.void
            }),
            Stream.takeUntil((entry) => entry.id >= 500),
            Stream.runDrain
          )
          const stored = yield* store.query({ refId: "cpu", limit: 1000 })
          expect(seen).toEqual(ids(stored).slice(0, seen.length))
          expect(seen.at(-1)).toBeGreaterThanOrEqual(500)
        })
      )

      test(
        "catches a reader up that fell behind by more than is kept for readers",
        Effect.gen(function* () {
          const store = yield* LogStore
          const total = 20_000
          const release = yield* Deferred.make<void>()
          const fiber = yield* Effect.forkChild(
            store.follow({}).pipe(
              Stream.tap((entry) => (entry.id === 1 ? Deferred.await(release) : Effect.void)),
              Stream.take(total),
              Stream.runCollect
            ),
            { startImmediately: true }
          )
          yield* store.append(signal("cpu", 0))
          for (let n = 1; n < total; n += 999) {
            const size = Math.min(999, total - n)
            yield* store.appendAll(Array.from({ length: size }, () => signal("cpu")))
          }
          yield* Deferred.succeed(release, undefined)
          expect(ids(yield* Fiber.join(fiber))).toEqual(Array.from({ length: total }, (_, n) => n + 1))
        })
      )

      test(
        "serves many readers, each with its own filter",
        Effect.gen(function* () {
          const store = yield* LogStore
          const fibers = yield* Effect.forEach(["a", "b", "c"], (refId) => following({ refId }, 30))
          yield* Effect.forEach(
            Array.from({ length: 90 }, (_, n) => n),
            (n) => store.append(signal(["a", "b", "c"][n % 3] ?? "", n)),
            { concurrency: 10 }
          )
          const collected = yield* Effect.forEach(fibers, Fiber.join)
          expect(collected.map((entries) => new Set(entries.map((entry) => entry.refId)))).toEqual([
            new Set(["a"]),
            new Set(["b"]),
            new Set(["c"])
          ])
        })
      )
    })

    describe("rounds", () => {
      test(
        "records a round once: appending it again returns the entry that is there",
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* store.append(opened("started", "t"))
          const first = yield* store.append(message("t", 1, "first"))
          const again = yield* store.append(message("t", 1, "second"))
          expect(again).toEqual(first)
          expect((yield* store.query({ type: "message" })).length).toBe(1)
          expect((yield* store.append(signal("next"))).id).toBe(first.id + 1)
        })
      )

      test(
        "records a round once within one call, and among writers at the same time",
        Effect.gen(function* () {
          const store = yield* LogStore
          const [one, two, three] = yield* store.appendAll([
            message("t", 1, "a"),
            message("t", 1, "b"),
            message("t", 2)
          ])
          expect(two).toEqual(one)
          expect(three?.round).toBe(2)
          const racing = yield* Effect.forEach(
            Array.from({ length: 20 }, (_, n) => n),
            (n) => store.append(message("t", 3, `writer ${n}`)),
            { concurrency: "unbounded" }
          )
          expect(new Set(ids(racing)).size).toBe(1)
          expect((yield* store.messages("t")).map((round) => round.content)).toEqual(["a", "round 2", "writer 0"])
        })
      )

      test(
        "does not tell followers of a round again",
        Effect.gen(function* () {
          const store = yield* LogStore
          const fiber = yield* following({}, 2)
          yield* store.append(message("t", 1))
          yield* store.append(message("t", 1))
          yield* store.append(message("t", 2))
          expect((yield* Fiber.join(fiber)).map((entry) => entry.round)).toEqual([1, 2])
        })
      )

      test(
        "keeps the same round of different threads apart",
        Effect.gen(function* () {
          const store = yield* LogStore
          const a = yield* store.append(message("a", 1))
          const b = yield* store.append(message("b", 1))
          expect(b.id).toBe(a.id + 1)
        })
      )

      test(
        "gives back what a round took",
        Effect.gen(function* () {
          const store = yield* LogStore
          const usage = { calls: 1, inputTokens: 10, outputTokens: 2, costUsd: null }
          const payload = { role: "writer", content: "hi", meta: null, durationMs: 12, usage }
          yield* store.append({ ...message("t", 1), payload })
          expect(yield* store.messages("t")).toMatchObject([payload])
        })
      )

      test(
        "pages through a thread's rounds in order, however they came",
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* TestClock.setTime(5000)
          yield* store.appendAll([3, 1, 4, 2, 5].map((round) => message("t", round)))
          yield* store.append(message("other", 6))
          expect(yield* store.messages("t", { limit: 1 })).toEqual([
            { round: 1, role: "writer", content: "round 1", meta: { round: 1 }, timestamp: 5000 }
          ])
          const rounds = (page?: { readonly afterRound?: number; readonly limit?: number }) =>
            Effect.map(store.messages("t", page), (messages) => messages.map((message) => message.round))
          expect(yield* rounds()).toEqual([1, 2, 3, 4, 5])
          expect(yield* rounds({ afterRound: 3 })).toEqual([4, 5])
          expect(yield* rounds({ afterRound: 1, limit: 2 })).toEqual([2, 3])
          expect(yield* rounds({ limit: 0 })).toEqual([])
        })
      )

      test(
        "says so when a recorded round cannot be read",
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* store.append({ ...message("t", 1), payload: { role: "writer" } })
          const error = yield* Effect.flip(store.messages("t"))
          expect(error).toBeInstanceOf(LogStoreError)
          expect(error.message).toContain("round 1 of thread t")
        })
      )
    })

    describe("runs", () => {
      test(
        "materialises a run from its opening",
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* TestClock.setTime(1000)
          const entry = yield* store.append(opened("queued", "t"))
          expect(yield* store.run("t")).toEqual({
            threadId: "t",
            workflow: "report",
            status: "queued",
            exitCode: null,
            reason: "",
            prompt: "do t",
            maxRounds: 5,
            dryRun: false,
            rounds: 0,
            crashes: 0,
            createdId: entry.id,
            createdAt: 1000,
            startedAt: null,
            endedAt: null,
            phase: null,
            wait: null,
            paused: null,
            version: null,
            key: null,
            priority: 0,
            parent: null,
            origin: null,
            place: { id: entry.id, returning: false }
          })
          expect(yield* store.run("nobody")).toBeUndefined()
        })
      )

      test(
        "follows a run through rounds and a crash to its end, and not beyond",
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* store.append(opened("queued", "t"))
          yield* TestClock.setTime(1000)
          yield* store.append(opened("started", "t"))
          yield* store.appendAll([message("t", 1), crashed("t", false), message("t", 2)])
          expect(yield* store.run("t")).toMatchObject({ status: "started", rounds: 2, crashes: 1, startedAt: 1000 })
          yield* TestClock.setTime(2000)
          yield* store.append(ended("completed", "t", 0))
          const end = yield* store.run("t")
          expect(end).toMatchObject({ status: "completed", exitCode: 0, rounds: 2, crashes: 1, endedAt: 2000 })
          yield* store.append(ended("killed", "t", 137))
          expect(yield* store.run("t")).toEqual(end)
        })
      )

      const ends: ReadonlyArray<
        readonly [status: RunStatus, entries: ReadonlyArray<LogInput>, exitCode: number | null]
      > = [
        ["queued", [opened("queued", "t")], null],
        ["started", [opened("queued", "t"), opened("started", "t")], null],
        ["completed", [opened("started", "t"), ended("completed", "t", 0)], 0],
        ["failed", [opened("started", "t"), ended("failed", "t", 2, "max rounds")], 2],
        ["crashed", [opened("started", "t"), crashed("t", true)], 255],
        ["dropped", [opened("dropped", "t")], 1],
        ["dropped", [opened("queued", "t"), ended("dropped", "t", 1, "queue full")], 1],
        ["interrupted", [opened("started", "t"), ended("interrupted", "t", 1)], 1],
        ["killed", [opened("started", "t"), ended("killed", "t", 137)], 137]
      ]
      for (const [status, entries, exitCode] of ends) {
        test(
          `yields ${status} after ${entries.map((entry) => entry.type).join(", ")}`,
          Effect.gen(function* () {
            const store = yield* LogStore
            yield* Effect.forEach(entries, store.append)
            expect(yield* store.run("t")).toMatchObject({ status, exitCode })
            const active = exitCode === null
            expect((yield* store.activeRuns).length).toBe(active ? 1 : 0)
          })
        )
      }

      test(
        "lists active runs in the order in which they were accepted",
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* store.appendAll(["a", "b", "c", "d"].map((thread) => opened("queued", thread)))
          yield* store.appendAll([opened("started", "d"), opened("started", "b"), ended("killed", "c", 137)])
          expect((yield* store.activeRuns).map((run) => [run.threadId, run.status])).toEqual([
            ["a", "queued"],
            ["b", "started"],
            ["d", "started"]
          ])
        })
      )

      test(
        "lists runs newest first, by workflow, status and limit",
        Effect.gen(function* () {
          const store = yield* LogStore
          yield* store.appendAll([
            opened("queued", "a", "one"),
            opened("queued", "b", "two"),
            opened("started", "c", "one"),
            opened("started", "d", "one")
          ])
          const threads = (query: Parameters<typeof store.runs>[0]) =>
            Effect.map(store.runs(query), (runs) => runs.map((run) => run.threadId))
          expect(yield* threads({})).toEqual(["d", "c", "b", "a"])
          expect(yield* threads({ workflow: "one" })).toEqual(["d", "c", "a"])
          expect(yield* threads({ status: "started", limit: 1 })).toEqual(["d"])
          expect(yield* threads({ workflow: "two", status: "started" })).toEqual([])
        })
      )

      it.effect.prop(
        "are what the log's entries amount to, and the same when they are rebuilt",
        [Schema.Array(Schema.Array(Step))],
        ([calls]) =>
          Effect.gen(function* () {
            const store = yield* LogStore
            yield* Effect.forEach(calls, (steps) => store.appendAll(steps.map(entryOf)), { concurrency: 3 })
            const materialised = yield* store.runs({})
            expect(materialised).toEqual(projected(yield* store.query({ limit: 1_000_000 })))
            expect(yield* store.rebuildRuns).toBe(materialised.length)
            expect(yield* store.runs({})).toEqual(materialised)
            expect(yield* store.verify).toBeNull()
          }).pipe(Effect.provide(layer)),
        { arbitrary: { runs } }
      )
    })
  })
}
