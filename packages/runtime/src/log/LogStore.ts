/**
 * The log and what is materialised from it. It is the truth for threads: a thread's next step is
 * decided from its messages here, and from nothing else.
 *
 * Two implementations: `LogStoreMemory` and `LogStoreSql`. One shared test suite runs against both.
 */
import type { LogEntry, LogInput, LogQuery } from "@nerve/core/domain/LogEntry"
import type { ThreadMessage, WorkflowRun } from "@nerve/core/domain/Thread"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"

/** The store could not do it: disk full, file damaged, database locked. Nothing was half done. */
export class LogStoreError extends Schema.TaggedError<LogStoreError>()("LogStoreError", {
  operation: Schema.String,
  message: Schema.String,
  /** Trying again is of no use: what is stored is damaged, or the entry cannot be stored. False unless told. */
  permanent: Schema.optionalKey(Schema.Boolean),
  cause: Schema.Defect()
}) {}

/** Which runs to list; newest first unless `active` is asked for (oldest first). */
export interface RunQuery {
  readonly workflow?: string | undefined
  readonly status?: WorkflowRun["status"] | undefined
  readonly phase?: WorkflowRun["phase"] | undefined
  /** What the caller named the thread by. */
  readonly key?: string | undefined
  readonly limit?: number | undefined
}

export class LogStore extends Context.Service<
  LogStore,
  {
    /**
     * Appends an entry and materialises its run, in one transaction; answers when it is durable.
     * A `message` whose (refId, round) is there already is not appended: the entry there is returned.
     */
    readonly append: (input: LogInput) => Effect.Effect<LogEntry, LogStoreError>
    /** Appends all or none, in order. */
    readonly appendAll: (inputs: ReadonlyArray<LogInput>) => Effect.Effect<ReadonlyArray<LogEntry>, LogStoreError>
    readonly query: (query: LogQuery) => Effect.Effect<ReadonlyArray<LogEntry>, LogStoreError>
    /**
     * Live entries that match. With `cursor`, first those of the past with a greater id; nothing
     * missed or doubled at the seam. A reader that falls behind by more than 4096 entries is caught up
     * from the store.
     */
    readonly follow: (query: LogQuery) => Stream.Stream<LogEntry, LogStoreError>
    readonly run: (threadId: string) => Effect.Effect<WorkflowRun | undefined, LogStoreError>
    /** Queued and started runs, in the order in which they were accepted. */
    readonly activeRuns: Effect.Effect<ReadonlyArray<WorkflowRun>, LogStoreError>
    readonly runs: (query: RunQuery) => Effect.Effect<ReadonlyArray<WorkflowRun>, LogStoreError>
    /** A thread's finished rounds, oldest first. */
    readonly messages: (
      threadId: string,
      page?: {
        readonly afterRound?: number
        readonly limit?: number
      }
    ) => Effect.Effect<ReadonlyArray<ThreadMessage>, LogStoreError>
    /** Recomputes `workflow_runs` from the log alone; the number of runs. */
    readonly rebuildRuns: Effect.Effect<number, LogStoreError>
    /** Walks the hash chain; the id of the first damaged row, or null. */
    readonly verify: Effect.Effect<number | null, LogStoreError>
  }
>()("@nerve/runtime/log/LogStore") {}
