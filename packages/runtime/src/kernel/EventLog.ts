/**
 * Writes the events of senses and workers to the log. It owns how much of a worker's output is kept,
 * and what is said on stderr when the log cannot be written.
 */
import type { LogEntry, LogInput } from "@nerve/core/domain/LogEntry"
import * as OutputLimit from "@nerve/core/supervision/OutputLimit"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import type { Scope } from "effect/Scope"
import { LogStore, type LogStoreError } from "../log/LogStore.ts"
import type { SenseEvent } from "../sense/SenseEvent.ts"
import type { WorkerEvent } from "../supervision/WorkerEvent.ts"
import * as KernelLog from "./KernelLog.ts"

type Kind = "sense" | "workflow"
type Event<Tag> = Extract<WorkerEvent<string>, { readonly _tag: Tag }>

export interface EventLog {
  /** The entries that it was worth. Fails when it could not be recorded: nothing may follow from it then. */
  readonly sense: (event: SenseEvent) => Effect.Effect<ReadonlyArray<LogEntry>, LogStoreError>
  /** Supervision goes on when it could not be recorded. */
  readonly worker: (kind: Kind, event: WorkerEvent<string>) => Effect.Effect<void>
}

export const make: Effect.Effect<EventLog, never, LogStore | Scope> = Effect.gen(function* () {
  const store = yield* LogStore
  const printed = new Map<string, Printed>()

  /** Events that are not in the log since it was last written. */
  let missing = 0

  // Told once when the log cannot be written, and once when it can be again: not for each event.
  const failed = (what: string, error: LogStoreError) =>
    Effect.suspend(() => {
      if (error.permanent === true) return Effect.logError(`${what} is not in the log: ${error.message}`)
      missing++
      return missing > 1
        ? Effect.void
        : Effect.logError(`${what} is not in the log, nor is what comes until it can be written: ${error.message}`)
    })

  const written = Effect.suspend(() => {
    const count = missing
    missing = 0
    return count === 0
      ? Effect.void
      : Effect.logWarning(`the log can be written again; ${count} events are not in it, and nothing followed from them`)
  })

  const append = (what: string, inputs: ReadonlyArray<LogInput>) =>
    inputs.length === 0
      ? Effect.succeed([])
      : store.appendAll(inputs).pipe(
          Effect.tapError((error) => failed(what, error)),
          Effect.tap(() => written)
        )

  // --- what was left out is told with the next line, or a second later, or at the end ------------

  const telling = yield* FiberMap.make<string>()

  const tell = (name: string) =>
    Effect.suspend(() => {
      const found = printed.get(name)
      printed.delete(name)
      return found === undefined ? Effect.void : Effect.ignore(append(`output of worker ${name}`, leftOut(found)))
    })

  yield* Effect.addFinalizer(() => Effect.forEach([...printed.keys()], tell, { discard: true }))

  const output = Effect.fnUntraced(function* (kind: Kind, event: Event<"WorkerOutput">) {
    const now = yield* Clock.currentTimeMillis
    const name = `${kind}:${event.key}`
    const before = printed.get(name)
    const { keep, limit, lost } = OutputLimit.decide(before?.limit ?? OutputLimit.initial, now)
    printed.set(name, { kind, event, limit })
    if (!keep) {
      yield* FiberMap.run(telling, name, Effect.andThen(Effect.sleep("1 second"), tell(name)), { onlyIfMissing: true })
      return
    }
    const told = leftOut({ kind, event, limit: { ...limit, dropped: lost } })
    yield* append(`output of worker ${name}`, [...told, ...KernelLog.ofWorker(kind, event)])
  })

  const worker = (kind: Kind, event: WorkerEvent<string>) =>
    event._tag === "WorkerOutput"
      ? Effect.ignore(output(kind, event))
      : Effect.ignore(append(`${event._tag} of worker ${kind}:${event.key}`, KernelLog.ofWorker(kind, event)))

  return {
    sense: (event) =>
      event._tag === "Worker"
        ? Effect.as(worker("sense", event.event), [])
        : append(`${event._tag} of sense ${event.sense}`, KernelLog.ofSense(event)),
    worker
  }
})

/** A worker that has printed, its last line, and what of it was kept. */
interface Printed {
  readonly kind: Kind
  readonly event: Event<"WorkerOutput">
  readonly limit: OutputLimit.OutputLimit
}

/** The entry for the lines that were left out; none when there are none. */
const leftOut = ({ event, kind, limit: { dropped } }: Printed): ReadonlyArray<LogInput> => {
  if (dropped === 0) return []
  const line = dropped === 1 ? "1 line of output was left out" : `${dropped} lines of output were left out`
  return KernelLog.ofWorker(kind, { ...event, stream: "log", line, fields: null })
}
