/** How writers share transactions, seen from a `write` that the test holds in its hands. */
import { describe, expect, it } from "@effect/vitest"
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import { LogStoreError } from "@nerve/runtime/log/LogStore"
import * as LogWriter from "@nerve/runtime/log/LogWriter"
import { Effect, Exit, Fiber, Latch, Scope } from "effect"
import { signal } from "./LogStoreSuite.ts"

const full = new LogStoreError({ operation: "append", message: "the disk is full", cause: undefined })

/** A writer whose batches are recorded, and wait while `latch` is closed. */
const makeWriter = Effect.fnUntraced(function* (fails: (batch: number) => Effect.Effect<void, LogStoreError>) {
  const batches: Array<ReadonlyArray<unknown>> = []
  const latch = yield* Latch.make(true)
  let id = 0
  const scope = yield* Scope.make()
  const writer = yield* LogWriter.make((rows) =>
    Effect.gen(function* () {
      batches.push(rows.map((row) => row.payload))
      yield* fails(batches.length)
      yield* latch.await
      return rows.map(({ payload, refId, round, source, timestamp, type }): LogEntry => ({
        id: ++id,
        source,
        type,
        refId,
        payload,
        round,
        timestamp
      }))
    })
  ).pipe(Scope.provide(scope))
  yield* Effect.addFinalizer(() => Effect.andThen(latch.open, Scope.close(scope, Exit.void)))
  return { batches, latch, close: Scope.close(scope, Exit.void), append: writer.append }
})

const working = makeWriter(() => Effect.void)
const sizes = (batches: ReadonlyArray<ReadonlyArray<unknown>>) => batches.map((batch) => batch.length)
const numbers = (length: number) => Array.from({ length }, (_, n) => n)

/** Forks a writer for each number; all have handed over when this returns. */
const appendEach = (writer: Effect.Success<typeof working>, length: number) =>
  Effect.forEach(numbers(length), (n) =>
    Effect.forkChild(writer.append([signal("cpu", n)]), { startImmediately: true })
  )

describe("LogWriter", () => {
  it.effect("writes what arrives at the same time in one transaction, in order", () =>
    Effect.gen(function* () {
      const writer = yield* working
      const fibers = yield* appendEach(writer, 64)
      const entries = yield* Effect.forEach(fibers, Fiber.join)
      expect(writer.batches).toEqual([numbers(64)])
      expect(entries.flat().map((entry) => [entry.id, entry.payload])).toEqual(numbers(64).map((n) => [n + 1, n]))
    })
  )

  it.effect("gathers the next transaction while one is being written", () =>
    Effect.gen(function* () {
      const writer = yield* working
      yield* writer.latch.close
      const first = yield* Effect.forkChild(writer.append([signal("cpu", "first")]))
      while (writer.batches.length === 0) yield* Effect.yieldNow
      const others = yield* appendEach(writer, 30)
      yield* writer.latch.open
      yield* Effect.forEach([first, ...others], Fiber.join)
      expect(sizes(writer.batches)).toEqual([1, 30])
    })
  )

  it.effect("keeps writers that append again and again together", () =>
    Effect.gen(function* () {
      const writer = yield* working
      yield* Effect.forEach(numbers(64), () => Effect.forEach(numbers(10), (n) => writer.append([signal("cpu", n)])), {
        concurrency: "unbounded"
      })
      expect(sizes(writer.batches)).toEqual(Array(10).fill(64))
    })
  )

  it.effect("takes at most 100 rows into a transaction, but never splits a call", () =>
    Effect.gen(function* () {
      const writer = yield* working
      yield* Effect.forEach(
        [...Array(250).fill(1), 150, 60, 60],
        (rows: number) => writer.append(Array.from({ length: rows }, () => signal("cpu"))),
        { concurrency: "unbounded" }
      )
      expect(sizes(writer.batches)).toEqual([100, 100, 50, 150, 60, 60])
    })
  )

  it.effect("takes fewer rows when they are large", () =>
    Effect.gen(function* () {
      const writer = yield* working
      yield* Effect.forEach([600_000, 600_000, 10, 10], (chars) => writer.append([signal("cpu", "x".repeat(chars))]), {
        concurrency: "unbounded"
      })
      expect(sizes(writer.batches)).toEqual([1, 3])
    })
  )

  it.effect("fails the writers of a transaction that failed, and no others", () =>
    Effect.gen(function* () {
      const writer = yield* makeWriter((batch) => (batch === 1 ? Effect.fail(full) : Effect.void))
      const fibers = yield* appendEach(writer, 3)
      for (const fiber of fibers) expect(yield* Effect.flip(Fiber.join(fiber))).toBe(full)
      expect((yield* writer.append([signal("cpu")])).length).toBe(1)
    })
  )

  it.effect("answers its writers and goes on when writing dies", () =>
    Effect.gen(function* () {
      const writer = yield* makeWriter((batch) => (batch === 1 ? Effect.die(new Error("a bug")) : Effect.void))
      const error = yield* Effect.flip(writer.append([signal("cpu")]))
      expect(error.message).toContain("a bug")
      expect((yield* writer.append([signal("cpu")])).length).toBe(1)
    })
  )

  it.effect("holds a bounded number of writers; those interrupted before they had a place leave nothing", () =>
    Effect.gen(function* () {
      const writer = yield* working
      yield* writer.latch.close
      const first = yield* Effect.forkChild(writer.append([signal("cpu", "first")]))
      while (writer.batches.length === 0) yield* Effect.yieldNow
      const fibers = yield* appendEach(writer, 2000)
      yield* Fiber.interruptAll(fibers)
      yield* writer.latch.open
      yield* Fiber.join(first)
      yield* writer.append([signal("cpu", "last")])
      expect(writer.batches.flat()).toEqual(["first", ...numbers(1024), "last"])
    })
  )

  it.effect("writes what it accepted before it closes, and refuses the rest", () =>
    Effect.gen(function* () {
      const writer = yield* working
      const fibers = yield* appendEach(writer, 300)
      yield* writer.close
      expect(writer.batches.flat()).toEqual(numbers(300))
      expect((yield* Effect.forEach(fibers, Fiber.join)).length).toBe(300)
      expect((yield* Effect.flip(writer.append([signal("cpu")]))).message).toBe("the log store is closed")
    })
  )
})
