/**
 * An entry on its way into a store: checked and encoded before it joins a batch, so that one bad entry
 * fails its own writer and nobody else's.
 */
import type { LogInput, LogSource } from "@nerve/core/domain/LogEntry"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { LogStoreError } from "../LogStore.ts"

/** A checked entry; it lacks only its id. */
export interface PreparedRow {
  readonly source: LogSource
  readonly type: string
  readonly refId: string | null
  readonly round: number | null
  readonly payload: Schema.Json
  /** The payload as JSON text. */
  readonly text: string
  /** What is stored of it: the text, or the reference to the blob that holds it. */
  readonly stored: string
  readonly timestamp: number
}

/**
 * Longest payload, in characters of JSON. Four times what one IPC frame may hold, and far below what
 * SQLite refuses: a row that the database refuses would take its whole batch with it.
 */
export const MAX_PAYLOAD_CHARS = 16 * 1024 * 1024

/** Checks and encodes an entry. */
export const prepare = (input: LogInput, timestamp: number): Result.Result<PreparedRow, LogStoreError> => {
  const refId = input.refId
  const round = input.round ?? null
  if (!isStorable(input.type) || input.type === "") return invalid("its type is not plain text")
  if (refId !== null && !isStorable(refId)) return invalid("its refId is not plain text")
  if (round !== null && !(Number.isSafeInteger(round) && round >= 1)) {
    return invalid(`its round is ${round}, not a whole number from 1`)
  }
  return Result.flatMap(encode(input.payload), (text) =>
    text === undefined
      ? invalid("its payload is not JSON")
      : text.length > MAX_PAYLOAD_CHARS
        ? invalid(`its payload has ${text.length} characters of JSON; ${MAX_PAYLOAD_CHARS} are allowed`)
        : Result.succeed({
            source: input.source,
            type: input.type,
            refId,
            round,
            payload: input.payload,
            text,
            stored: text,
            timestamp
          })
  )
}

/** Key of a thread's round, of which there is at most one entry; undefined for all other entries. */
export const roundKey = (row: {
  readonly source: string
  readonly type: string
  readonly refId: string | null
  readonly round: number | null
}): string | undefined =>
  row.source === "workflow" && row.type === "message" && row.refId !== null && row.round !== null
    ? `${row.round} ${row.refId}`
    : undefined

/** A string that comes back from a database as it went in: no NUL, no half of a surrogate pair. */
const isStorable = (text: string): boolean => !text.includes("\0") && text.isWellFormed()

/** `undefined` for what JSON has no text for, whatever its type claims. */
const encode = (payload: Schema.Json): Result.Result<string | undefined, LogStoreError> =>
  Result.try({
    try: (): string | undefined => JSON.stringify(payload),
    catch: (cause) =>
      new LogStoreError({
        operation: "append",
        message: "entry refused: its payload is not JSON",
        permanent: true,
        cause
      })
  })

const invalid = (why: string) =>
  Result.fail(
    new LogStoreError({ operation: "append", message: `entry refused: ${why}`, permanent: true, cause: undefined })
  )
