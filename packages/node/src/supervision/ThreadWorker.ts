/**
 * A worker that is a thread of this process running a module (L1). It shares the fate of
 * the process: what brings that down (memory, a fault in native code) takes all threads along.
 *
 * It is asked to stop by the message `{ t: "stop" }` (`ThreadMain` listens for it), then terminated, which
 * ends endless loops too. Threads know no signals: they cannot be suspended.
 */
import type { Ending } from "@nerve/core/supervision/LifecycleState"
import { logOutput, type Output } from "@nerve/runtime/supervision/CommandWorker"
import { handoverEnvironment } from "@nerve/runtime/supervision/Handover"
import type { Blueprint, Port } from "@nerve/runtime/supervision/Lifecycle"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { Worker, type WorkerOptions } from "node:worker_threads"
import { readLines } from "../ipc/LineReader.ts"
import { inheritedVariables } from "./NodeSpawner.ts"

export interface Options {
  readonly args?: ReadonlyArray<string>
  /** Set over the inherited basics; nothing else is inherited. It is the thread's own copy. */
  readonly env?: Readonly<Record<string, string>>
  /** What `workerData` is in the thread; cloned. */
  readonly data?: unknown
  /** Memory of the thread; going beyond ends the thread with an error. */
  readonly limits?: WorkerOptions["resourceLimits"]
  /** Where its stdout and stderr go, line by line; into the log unless told. */
  readonly output?: Output
  readonly metadata?: { readonly [key: string]: string }
}

/** Lines kept while `output` is busy. */
const outputBuffer = 1024

/** A worker whose code is an ES module, TypeScript or JavaScript, in a thread. It ends when nothing is left to do. */
export const make = (module: URL, options: Options = {}): Blueprint => ({
  kind: "thread",
  metadata: { module: String(module), ...options.metadata },
  life: (port) => live(port, module, options)
})

const live = (port: Port, module: URL, options: Options): Effect.Effect<Ending, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { id, incarnation } = port.handover
    const output = options.output ?? logOutput
    const lines = yield* Queue.sliding<Parameters<Output>[0]>(outputBuffer)
    const ended = Deferred.makeUnsafe<Ending>()
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() => spawnUnsafe(module, options, port)),
      (worker) => (worker instanceof Error ? Effect.void : terminate(worker))
    )
    if (worker instanceof Error) {
      return { code: null, signal: null, error: `could not be started: ${worker.message}` }
    }
    readLines(worker.stdout, (line) => void Queue.offerUnsafe(lines, { id, incarnation, stream: "stdout", line }))
    readLines(worker.stderr, (line) => void Queue.offerUnsafe(lines, { id, incarnation, stream: "stderr", line }))
    watch(worker, port, ended)
    port.attach({
      // A thread's messages have no origin.
      // oxlint-disable-next-line unicorn/require-post-message-target-origin
      ask: Effect.sync(() => worker.postMessage({ t: "stop" })),
      kill: terminate(worker)
    })
    yield* Effect.forkScoped(Effect.forever(Effect.flatMap(Queue.take(lines), output)))
    const ending = yield* Deferred.await(ended)
    yield* Effect.forEach(yield* Queue.clear(lines), output, { discard: true })
    return ending
  })

/** The constructor throws for what it can tell at once, such as options it does not know. */
const spawnUnsafe = (module: URL, options: Options, port: Port): Worker | Error => {
  const inherited: Record<string, string> = {}
  for (const name of inheritedVariables) {
    const value = process.env[name]
    if (value !== undefined) inherited[name] = value
  }
  try {
    return new Worker(module, {
      name: port.handover.id,
      argv: [...(options.args ?? [])],
      env: { ...inherited, ...options.env, ...handoverEnvironment(port.handover) },
      workerData: options.data ?? null,
      stdout: true,
      stderr: true,
      ...(options.limits === undefined ? {} : { resourceLimits: options.limits })
    })
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/** A thread ends once, with a code; an error that ended it was told before. */
const watch = (worker: Worker, port: Port, ended: Deferred.Deferred<Ending>): void => {
  let error: string | null = null
  worker.once("online", () => port.started())
  worker.on("error", (cause: unknown) => {
    error ??= cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
  })
  // A message that cannot be read here is the thread's mistake and ends nothing.
  worker.on("messageerror", () => {})
  worker.once("exit", (code) => {
    // Its last lines are read first.
    let reading = 2
    const done = () => {
      reading -= 1
      if (reading === 0) Deferred.doneUnsafe(ended, Effect.succeed({ code, signal: null, error }))
    }
    for (const stream of [worker.stdout, worker.stderr]) {
      if (stream.destroyed) done()
      else stream.once("close", done)
    }
  })
}

/** Ends when the thread has; at once for one that is gone. */
const terminate = (worker: Worker): Effect.Effect<unknown> => Effect.promise(() => worker.terminate())
