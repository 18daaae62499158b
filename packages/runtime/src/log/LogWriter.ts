/**
 * Group commit: what many writers append at the same time goes to the database in one transaction, and
 * each writer is answered when that transaction is durable. Forcing a disk to write costs the same for
 * one row as for a hundred.
 *
 * It owns the order of entries, the queue of writers and the one fiber that writes. It knows no SQL.
 */
import type { LogEntry, LogInput } from "@nerve/core/domain/LogEntry"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { type PreparedRow, prepare } from "./internal/row.ts"
import { LogStoreError } from "./LogStore.ts"

/**
 * Rows per transaction. A hundred already share the cost of the disk; a thousand gain nothing more and
 * keep the daemon's only thread for tens of milliseconds. What one writer appends is never split.
 */
const BATCH_ROWS = 100

/** Characters of payload per transaction, for the same reason: large rows make short batches. */
const BATCH_CHARS = 1024 * 1024

/** Writers that may wait in the queue. Further ones wait for a place: appending slows down, memory does not grow. */
const QUEUE_CAPACITY = 1024

/** Hands entries over to the one fiber that writes. */
export interface LogWriter {
  /**
   * Appends all or none, in order; answers when they are durable. A writer interrupted before its
   * entries were accepted leaves nothing; interrupted later, they are written all the same.
   */
  readonly append: (inputs: ReadonlyArray<LogInput>) => Effect.Effect<ReadonlyArray<LogEntry>, LogStoreError>
}

/** Writes rows in one transaction; one entry per row, in order. On failure nothing is written. */
export type WriteRows = (rows: ReadonlyArray<PreparedRow>) => Effect.Effect<ReadonlyArray<LogEntry>, LogStoreError>

/**
 * Puts large payloads elsewhere, before their rows join a batch. What it needs until the rows are written
 * it keeps in the scope.
 */
export type Externalise = (
  rows: ReadonlyArray<PreparedRow>
) => Effect.Effect<ReadonlyArray<PreparedRow>, LogStoreError, Scope.Scope>

/** What one writer waits for. */
interface Request {
  readonly rows: ReadonlyArray<PreparedRow>
  readonly chars: number
  readonly done: Deferred.Deferred<ReadonlyArray<LogEntry>, LogStoreError>
}

/** A writer over `write`. When its scope closes it refuses what is new and writes what it has accepted. */
export const make = Effect.fnUntraced(function* (
  write: WriteRows,
  large?: { readonly over: number; readonly externalise: Externalise }
): Effect.fn.Return<LogWriter, never, Scope.Scope> {
  const queue = yield* Queue.make<Request, Cause.Done>({ capacity: QUEUE_CAPACITY })

  yield* Effect.acquireRelease(Effect.forkDetach(Effect.uninterruptible(writeLoop(queue, write))), (fiber) =>
    Effect.andThen(Queue.end(queue), Fiber.await(fiber))
  )

  /** Waits for a place in the queue. */
  const submit = Effect.fnUntraced(function* (request: Request) {
    if (!(yield* Queue.offer(queue, request))) return yield* storeClosed("append")
    return yield* Deferred.await(request.done)
  })

  /** As `submit`, with what is large put elsewhere first. */
  const submitLarge = Effect.fnUntraced(function* (rows: ReadonlyArray<PreparedRow>, externalise: Externalise) {
    const request = makeRequest(yield* externalise(rows))
    const isAccepted = yield* Effect.uninterruptible(
      Effect.tap(Queue.offer(queue, request), (isAccepted) =>
        // Accepted rows are written even when their writer is interrupted: what they need stays until then.
        isAccepted ? Effect.addFinalizer(() => Effect.exit(Deferred.await(request.done))) : Effect.void
      )
    )
    if (!isAccepted) return yield* storeClosed("append")
    return yield* Deferred.await(request.done)
  }, Effect.scoped)

  // The hot path: one step to the queue, one wait. Many writers at once are what group commit is for.
  const append = (inputs: ReadonlyArray<LogInput>) =>
    Effect.clockWith((clock): Effect.Effect<ReadonlyArray<LogEntry>, LogStoreError> => {
      if (inputs.length === 0) return Effect.succeed([])
      const prepared = prepareAll(inputs, clock.currentTimeMillisUnsafe())
      if (Result.isFailure(prepared)) return Effect.fail(prepared.failure)
      const rows = prepared.success
      if (large !== undefined && rows.some((row) => row.text.length > large.over)) {
        return submitLarge(rows, large.externalise)
      }
      const request = makeRequest(rows)
      return Queue.offerUnsafe(queue, request) ? Deferred.await(request.done) : submit(request)
    })

  return { append }
})

/** The error of every operation on a store whose scope has closed. */
export const storeClosed = (operation: string): LogStoreError =>
  new LogStoreError({ operation, message: "the log store is closed", cause: undefined })

const prepareAll = (
  inputs: ReadonlyArray<LogInput>,
  now: number
): Result.Result<ReadonlyArray<PreparedRow>, LogStoreError> => {
  const rows: Array<PreparedRow> = []
  for (const input of inputs) {
    const row = prepare(input, now)
    if (Result.isFailure(row)) return Result.fail(row.failure)
    rows.push(row.success)
  }
  return Result.succeed(rows)
}

const makeRequest = (rows: ReadonlyArray<PreparedRow>): Request => ({
  rows,
  chars: rows.reduce((sum, row) => sum + row.stored.length, 0),
  done: Deferred.makeUnsafe()
})

/** Writes batch after batch until the queue has ended and is empty. */
const writeLoop = (queue: Queue.Queue<Request, Cause.Done>, write: WriteRows) =>
  Effect.gen(function* () {
    while (true) {
      const taken = yield* Queue.takeBetween(queue, 1, BATCH_ROWS)
      for (const batch of batches(taken)) yield* writeBatch(batch, write)
      // Lets those who were answered append again before the next batch is taken, and I/O have its turn.
      yield* Effect.yieldNow
    }
  }).pipe(Effect.catchIf(Cause.isDone, () => Effect.void))

/** Divides requests into transactions of bounded size, in order, none of them split. */
const batches = (requests: ReadonlyArray<Request>): ReadonlyArray<ReadonlyArray<Request>> => {
  const all: Array<Array<Request>> = []
  let rows = Infinity
  let chars = 0
  for (const request of requests) {
    rows += request.rows.length
    chars += request.chars
    const open = all.at(-1)
    if (open === undefined || rows > BATCH_ROWS || chars > BATCH_CHARS) {
      all.push([request])
      rows = request.rows.length
      chars = request.chars
    } else {
      open.push(request)
    }
  }
  return all
}

/** One transaction; each of its writers is answered, however it ends. */
const writeBatch = Effect.fnUntraced(function* (batch: ReadonlyArray<Request>, write: WriteRows) {
  const exit = yield* Effect.exit(Effect.catchDefect(write(batch.flatMap((request) => request.rows)), writeDied))
  if (exit._tag === "Failure") {
    for (const request of batch) Deferred.doneUnsafe(request.done, exit)
    return
  }
  let start = 0
  for (const request of batch) {
    const end = start + request.rows.length
    Deferred.doneUnsafe(request.done, Effect.succeed(exit.value.slice(start, end)))
    start = end
  }
})

const writeDied = (cause: unknown) =>
  Effect.fail(
    new LogStoreError({ operation: "append", message: `the log could not be written: ${String(cause)}`, cause })
  )
