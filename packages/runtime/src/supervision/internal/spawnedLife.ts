/**
 * The life of a worker that is a process, whatever its command line: spawned through the `Spawner` port,
 * steered by signals to its process group, its output handed on line by line.
 */
import type { WorkerExit } from "@nerve/core/domain/WorkerExit"
import type { Ending } from "@nerve/core/supervision/LifecycleState"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as outputQueue from "./outputQueue.ts"
import * as processWatch from "./processWatch.ts"
import type { Controls, Port } from "../Lifecycle.ts"
import { refused, type Suspension, taken } from "../Suspension.ts"
import { type Child, type Signal, Spawner } from "../Spawner.ts"
import * as WorkerLog from "../WorkerLog.ts"
import type { WorkerSpec } from "../WorkerSpec.ts"

/** A line of a worker's output. */
export interface OutputLine {
  readonly id: string
  readonly incarnation: number
  /** `log`: an entry of the worker's own logger, told over its channel. */
  readonly stream: "stdout" | "stderr" | "log"
  readonly line: string
  /** Of a log entry: its annotations, and its `level`. */
  readonly fields?: { readonly [key: string]: Schema.Json }
}

/** Where output goes. Lines that come while it is busy wait; of more than 1024, or 4 Mi characters, the oldest are dropped. */
export type Output = (line: OutputLine) => Effect.Effect<void>

/** As a structured log entry: the line, annotated with worker, incarnation and stream; at its level if it has one. */
export const logOutput: Output = ({ fields, id, ...said }) =>
  WorkerLog.log({ _tag: "WorkerOutput", key: id, fields: fields ?? null, ...said })

/** Lines kept while `output` is busy. */
const outputBuffer = 1024

export interface Options {
  readonly spec: WorkerSpec
  readonly output: Output
  /** Of a process that speaks the protocol. One that does not counts as running at once. */
  readonly watch?: processWatch.Settings
  /** What is not done by signal to the process group. */
  readonly controls?: (child: Child) => Controls
  /** What its exit and the last line of its stderr mean, where that is not what they say. */
  readonly ending?: (exit: WorkerExit, lastWords: string) => Partial<Ending>
  /** Run when it has ended by a signal. */
  readonly afterSignal?: Effect.Effect<void, never, Spawner>
}

/** From the spawn to the exit, everything of its process group gone. */
export const spawnedLife = (port: Port, options: Options): Effect.Effect<Ending, never, Spawner | Scope.Scope> =>
  Effect.gen(function* () {
    const { id, incarnation } = port.handover
    const spawner = yield* Spawner
    const lines = yield* outputLines(options.output)
    let lastWords = ""
    const spawned = yield* Effect.result(
      spawner.spawn(options.spec, {
        key: id,
        incarnation,
        output: {
          line: (stream, line) => {
            if (stream === "stderr") lastWords = line
            lines.offer({ id, incarnation, stream, line })
          }
        }
      })
    )
    if (spawned._tag === "Failure") {
      return { code: null, signal: null, error: `could not be started: ${spawned.failure.message}` }
    }
    const child = spawned.success
    port.attach({ pid: child.pid, ...signals(port, child), ...options.controls?.(child) })
    const failure = yield* options.watch === undefined
      ? unwatched(port, child)
      : processWatch.make(port, child, options.watch, ({ fields, level, message }) =>
          lines.offer({ id, incarnation, stream: "log", line: message, fields: { ...fields, level } })
        )
    const exit = yield* child.exit
    if (exit.signal !== null && options.afterSignal !== undefined) yield* options.afterSignal
    yield* lines.flush
    return { ...exit, error: failure(), ...options.ending?.(exit, lastWords) }
  })

const outputLines = Effect.fnUntraced(function* (output: Output) {
  const queue = yield* outputQueue.make<OutputLine>(outputBuffer)
  yield* Effect.forkScoped(Effect.ignore(Effect.forever(Effect.flatMap(queue.take, output))))
  return {
    offer: (line: OutputLine) => queue.offerUnsafe(line),
    flush: queue.forEachNow(output)
  }
})

const signals = (port: Port, child: Child): Controls => {
  const signal = (name: Signal): Effect.Effect<Suspension> =>
    Effect.map(child.kill(name), (isThere) => (isThere ? taken : refused(port.handover.id, "its process is gone")))
  return {
    terminate: child.kill("SIGTERM"),
    kill: child.kill("SIGKILL"),
    suspend: signal("SIGSTOP"),
    resume: signal("SIGCONT")
  }
}

/** What a command that knows nothing of frames writes to descriptor 3 is nobody's concern. */
const unwatched = (port: Port, child: Child): Effect.Effect<() => null> =>
  Effect.sync(() => {
    child.channel.onFrameUnsafe(() => {})
    port.started()
    return () => null
  })
