/**
 * Applies migrations in threads beside the worker's own. SQLite works synchronously: a migration of a
 * minute, applied in place, would keep its worker from getting ready and its neighbours from computing.
 *
 * A few threads serve a worker. They are started when there is something to apply, and end soon after.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Pool from "effect/Pool"
import type { Scope } from "effect/Scope"
import { Worker } from "node:worker_threads"
import * as NodeCommand from "../worker/NodeCommand.ts"
import type { ToApply } from "./applyMigration.ts"

/** What a thread is asked. */
export interface Request {
  /** Of the database. */
  readonly path: string
  readonly file: ToApply
  /** Milliseconds since the Unix epoch. */
  readonly now: number
}

/** What it answers; `error` is null when the migration is applied. */
export interface Answer {
  readonly error: string | null
}

/** Applies one file to the database at `path`; fails with what is wrong, and the database is then as it was. */
export type Apply = (path: string, file: ToApply) => Effect.Effect<void, string>

/** A long migration must not hold up the short ones of other senses; more threads than this are no faster. */
const maxThreads = 2
const idle = "2 seconds"

/** Threads end when the scope closes; what they are at is rolled back then. */
export const make: Effect.Effect<Apply, never, Scope> = Effect.gen(function* () {
  const pool = yield* Pool.makeWithTTL({ acquire: thread, min: 0, max: maxThreads, timeToLive: idle })
  return (path, file) =>
    Effect.gen(function* () {
      const worker = yield* Pool.get(pool)
      const now = yield* Clock.currentTimeMillis
      const failure = yield* ask(worker, { path, file, now })
      if (failure === null) return
      if (failure._tag === "Thread") yield* Pool.invalidate(pool, worker)
      return yield* Effect.fail(failure.message)
    }).pipe(Effect.scoped)
})

const thread = Effect.acquireRelease(
  Effect.sync(() => {
    const worker = new Worker(NodeCommand.entryFile("migrationThread"), { name: "migrations" })
    // It may fail between two requests; whoever asks next is told.
    worker.on("error", () => {})
    worker.unref()
    return worker
  }),
  // Not waited for: a statement that runs is not interrupted, only rolled back when the process ends.
  (worker) => Effect.sync(() => void worker.terminate())
)

interface Failure {
  readonly _tag: "Statement" | "Thread"
  readonly message: string
}

const ask = (worker: Worker, request: Request): Effect.Effect<Failure | null> =>
  Effect.callback((resume) => {
    const answered = ({ error }: Answer) => done(error === null ? null : { _tag: "Statement", message: error })
    const ended = (code: number) =>
      done({ _tag: "Thread", message: `the thread that applies it ended with code ${code}` })
    const done = (failure: Failure | null) => {
      release()
      resume(Effect.succeed(failure))
    }
    const release = () => {
      worker.off("message", answered)
      worker.off("exit", ended)
    }
    worker.on("message", answered)
    worker.on("exit", ended)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    worker.postMessage(request)
    return Effect.sync(release)
  })
