/**
 * A log that a test can look into and meddle with: it tells of each entry that the store has taken, and
 * its appends fail while the disk is full.
 */
import type { LogInput } from "@nerve/core/domain/LogEntry"
import { type LogStore, LogStoreError } from "@nerve/runtime/log/LogStore"
import { Effect } from "effect"

export interface Meddled {
  readonly store: LogStore["Service"]
  /** While true, appends fail. */
  readonly disk: { full: boolean }
}

/** `lost`: nothing is stored, and its writer is refused. `unheard`: it is stored, and its writer is refused. */
export type Fate = "made" | "lost" | "unheard"

export const meddledStore = (
  memory: LogStore["Service"],
  options: {
    /** Told of each entry once it is durable, before its writer is. */
    readonly onAppended: (input: LogInput) => void
    /** Runs before the store is asked. */
    readonly before?: (inputs: ReadonlyArray<LogInput>) => Effect.Effect<void>
    /** What becomes of an append; it is made unless told. */
    readonly fate?: () => Fate
  }
): Meddled => {
  const disk = { full: false }
  const cause = new LogStoreError({ operation: "append", message: "the disk is full", cause: undefined })
  const appendAll = Effect.fnUntraced(function* (inputs: ReadonlyArray<LogInput>) {
    yield* options.before?.(inputs) ?? Effect.void
    const fate = options.fate?.() ?? "made"
    if (disk.full || fate === "lost") return yield* cause
    const stored = Effect.tap(memory.appendAll(inputs), () => Effect.sync(() => inputs.forEach(options.onAppended)))
    return yield* fate === "made" ? stored : Effect.andThen(stored, cause)
  })
  const append = (input: LogInput) =>
    Effect.map(appendAll([input]), ([entry]) => {
      if (entry === undefined) throw new Error("the store gave no entry")
      return entry
    })
  return { store: { ...memory, append, appendAll }, disk }
}
