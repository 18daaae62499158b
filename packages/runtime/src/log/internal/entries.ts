/** What every store does with the entries it has read. */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import { RoundRecorded } from "@nerve/core/domain/RunProjection"
import type { ThreadMessage } from "@nerve/core/domain/Thread"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { LogStoreError } from "../LogStore.ts"

/** Entries of one `query` that names no limit, as `LogQuery` promises. */
export const DEFAULT_LIMIT = 100

/** The entry of an append of one. */
export const single = (entries: ReadonlyArray<LogEntry>): Effect.Effect<LogEntry> => {
  const entry = entries[0]
  return entry === undefined ? Effect.die(new Error("an appended entry was not returned")) : Effect.succeed(entry)
}

const decodeRound = Schema.decodeUnknownEffect(RoundRecorded)

/**
 * The rounds that these entries record. One that cannot be read is an error: to leave it out would
 * have the thread run a finished round again.
 */
export const decodeMessages = (
  entries: ReadonlyArray<LogEntry>
): Effect.Effect<ReadonlyArray<ThreadMessage>, LogStoreError> => Effect.forEach(entries, decodeMessage)

const decodeMessage = (entry: LogEntry): Effect.Effect<ThreadMessage, LogStoreError> =>
  decodeRound(entry.payload).pipe(
    Effect.map((recorded) => ({ ...recorded, round: entry.round ?? 0, timestamp: entry.timestamp })),
    Effect.mapError(
      (cause) =>
        new LogStoreError({
          operation: "messages",
          message: `entry ${entry.id} (round ${entry.round} of thread ${entry.refId}) is not a recorded round`,
          permanent: true,
          cause
        })
    )
  )
