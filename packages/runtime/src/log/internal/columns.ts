/** How entries and runs lie in their tables, and how they come back. */
import { type LogEntry, LogSource } from "@nerve/core/domain/LogEntry"
import { RunStatus, WorkflowRun } from "@nerve/core/domain/Thread"
import { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Row } from "effect/sql/SqlConnection"
import { LogStoreError } from "../LogStore.ts"
import type { ChainedRow } from "./chain.ts"
import { isReference } from "./payload.ts"

/** Columns of `logs`, in the order of `pushLogValues`. */
export const LOG_COLUMNS = ["id", "source", "type", "ref_id", "round", "payload", "timestamp", "hash"] as const

/** Columns of `workflow_runs`, in the order of `runValues`. */
export const RUN_COLUMNS = [
  "thread_id",
  "workflow",
  "status",
  "exit_code",
  "reason",
  "prompt",
  "max_rounds",
  "dry_run",
  "rounds",
  "crashes",
  "created_id",
  "created_at",
  "started_at",
  "ended_at",
  "phase",
  "run_key",
  "details"
] as const

/** The last row ever appended: its id and hash. It stays when rows are deleted, so ids are not used again. */
export interface Head {
  readonly id: number
  readonly hash: string
}

/** Adds a row's columns to those of the rows before it. */
export const pushLogValues = (values: Array<unknown>, row: ChainedRow, hash: string): void => {
  values.push(row.id, row.source, row.type, row.refId, row.round, row.payload, row.timestamp, hash)
}

export const runValues = (run: WorkflowRun): ReadonlyArray<unknown> => [
  run.threadId,
  run.workflow,
  run.status,
  run.exitCode,
  run.reason,
  run.prompt,
  run.maxRounds,
  run.dryRun ? 1 : 0,
  run.rounds,
  run.crashes,
  run.createdId,
  run.createdAt,
  run.startedAt,
  run.endedAt,
  run.phase,
  run.key,
  encodeDetails(run)
]

/**
 * What of a run is stored as one JSON text, because nothing is looked up by it. Frozen format: fields may
 * be added as optional ones. A row from before has `{}`.
 */
const RunDetails = Schema.Struct({
  wait: Schema.optionalKey(WorkflowRun.fields.wait),
  paused: Schema.optionalKey(WorkflowRun.fields.paused),
  version: Schema.optionalKey(WorkflowRun.fields.version),
  priority: Schema.optionalKey(WorkflowRun.fields.priority),
  parent: Schema.optionalKey(WorkflowRun.fields.parent),
  origin: Schema.optionalKey(WorkflowRun.fields.origin),
  place: Schema.optionalKey(WorkflowRun.fields.place)
})

/** Most runs have nothing of it most of the time, and are written often: what is not there is left out. */
const encodeDetails = ({ origin, parent, paused, place, priority, version, wait }: WorkflowRun): string =>
  JSON.stringify({
    ...(wait === null ? {} : { wait }),
    ...(paused === null ? {} : { paused }),
    ...(version === null ? {} : { version }),
    ...(priority === 0 ? {} : { priority }),
    ...(parent === null ? {} : { parent }),
    ...(origin === null ? {} : { origin }),
    ...(place === null ? {} : { place })
  })

const RunRow = Schema.Struct({
  thread_id: ThreadId,
  workflow: WorkflowName,
  status: RunStatus,
  exit_code: Schema.NullOr(Schema.Int),
  reason: Schema.String,
  prompt: Schema.String,
  max_rounds: Schema.Int,
  dry_run: Schema.Int,
  rounds: Schema.Int,
  crashes: Schema.Int,
  created_id: Schema.Int,
  created_at: Schema.Int,
  started_at: Schema.NullOr(Schema.Int),
  ended_at: Schema.NullOr(Schema.Int),
  // Of schema version 2; an older file that is only read does not have them.
  phase: Schema.optionalKey(WorkflowRun.fields.phase),
  run_key: Schema.optionalKey(Schema.NullOr(Schema.String)),
  details: Schema.optionalKey(Schema.fromJsonString(RunDetails))
})

/** A row as it is stored, its payload still text. */
export interface StoredLog extends ChainedRow {
  readonly hash: string
}

const decodeHeadRows = Schema.decodeUnknownEffect(
  Schema.Tuple([Schema.Struct({ value: Schema.TemplateLiteralParser([Schema.FiniteFromString, " ", Schema.String]) })])
)
const decodeNumberRow = Schema.decodeUnknownEffect(Schema.Tuple([Schema.Struct({ number: Schema.Int })]))
const decodeRunRows = Schema.decodeUnknownEffect(Schema.Array(RunRow))
const sources: ReadonlySet<string> = new Set(LogSource.literals)

/** Whether a text is one of the sources. */
export const isSource = (text: string): text is LogSource => sources.has(text)

/**
 * A row of `logs` with its payload as text; undefined when its columns do not hold what they should.
 * Looked at by hand: a Schema costs several times what reading the row from the disk does. Numbers that
 * a database hands over as text or bigint, for they may be large, are taken too.
 */
export const decodeStoredRow = (raw: Row): StoredLog | undefined => {
  const id = integer(raw["id"])
  const timestamp = integer(raw["timestamp"])
  const { hash, payload, ref_id: refId, source, type } = raw
  const round = raw["round"] === null ? null : integer(raw["round"])
  return id !== undefined &&
    timestamp !== undefined &&
    round !== undefined &&
    typeof source === "string" &&
    typeof type === "string" &&
    typeof payload === "string" &&
    typeof hash === "string" &&
    (refId === null || typeof refId === "string")
    ? { id, source, type, refId, round, payload, timestamp, hash }
    : undefined
}

/** A whole number as databases hand it over; undefined for anything else. */
export const integer = (value: unknown): number | undefined => {
  const number =
    typeof value === "bigint" || (typeof value === "string" && /^-?\d+$/.test(value)) ? Number(value) : value
  return Number.isSafeInteger(number) && typeof number === "number" ? number : undefined
}

/** The text behind a reference to a blob. */
export type Resolve = (row: StoredLog) => Effect.Effect<string, LogStoreError>

/** Rows of `logs` as entries. */
export const decodeEntries =
  (operation: string, resolve: Resolve) =>
  (rows: ReadonlyArray<Row>): Effect.Effect<ReadonlyArray<LogEntry>, LogStoreError> =>
    Effect.suspend(() => {
      const entries: Array<LogEntry> = []
      const large: Array<StoredLog> = []
      for (const raw of rows) {
        const row = decodeStoredRow(raw)
        if (row === undefined) {
          return Effect.fail(damagedEntry(operation, raw["id"])("its columns do not hold what they should"))
        }
        const isLarge = isReference(row.payload)
        if (isLarge) large.push(row)
        const entry = toEntry(operation, row, isLarge ? "null" : row.payload)
        if (entry instanceof LogStoreError) return Effect.fail(entry)
        entries.push(entry)
      }
      if (large.length === 0) return Effect.succeed(entries)
      return Effect.gen(function* () {
        const full = new Map<number, LogEntry>()
        for (const row of large) full.set(row.id, yield* decodeEntry(operation, resolve)(row))
        return entries.map((entry) => full.get(entry.id) ?? entry)
      })
    })

/** One row as an entry. */
export const decodeEntry =
  (operation: string, resolve: Resolve) =>
  (row: StoredLog): Effect.Effect<LogEntry, LogStoreError> => {
    const decode = (text: string) => {
      const entry = toEntry(operation, row, text)
      return entry instanceof LogStoreError ? Effect.fail(entry) : Effect.succeed(entry)
    }
    return isReference(row.payload) ? Effect.flatMap(resolve(row), decode) : decode(row.payload)
  }

/** An entry whose payload is this text. */
const toEntry = (operation: string, row: StoredLog, text: string): LogEntry | LogStoreError => {
  const { id, refId, round, source, timestamp, type } = row
  if (!isSource(source)) return damagedEntry(operation, id)(`unknown source ${source}`)
  const payload = Result.try((): LogEntry["payload"] => JSON.parse(text))
  return Result.isFailure(payload)
    ? damagedEntry(operation, id)(payload.failure)
    : { id, source, type, refId, payload: payload.success, round, timestamp }
}

/** Rows of `workflow_runs` as runs. */
export const decodeRuns =
  (operation: string) =>
  (rows: unknown): Effect.Effect<ReadonlyArray<WorkflowRun>, LogStoreError> =>
    Effect.mapBoth(decodeRunRows(rows), {
      onSuccess: (decoded) =>
        decoded.map((row) => ({
          threadId: row.thread_id,
          workflow: row.workflow,
          status: row.status,
          exitCode: row.exit_code,
          reason: row.reason,
          prompt: row.prompt,
          maxRounds: row.max_rounds,
          dryRun: row.dry_run !== 0,
          rounds: row.rounds,
          crashes: row.crashes,
          createdId: row.created_id,
          createdAt: row.created_at,
          startedAt: row.started_at,
          endedAt: row.ended_at,
          phase: row.phase ?? null,
          key: row.run_key ?? null,
          wait: row.details?.wait ?? null,
          paused: row.details?.paused ?? null,
          version: row.details?.version ?? null,
          priority: row.details?.priority ?? 0,
          parent: row.details?.parent ?? null,
          origin: row.details?.origin ?? null,
          place: row.details?.place ?? null
        })),
      onFailure: damaged(operation, "a row of workflow_runs is damaged; it can be rebuilt from the log")
    })

/** The row of `meta` that says where the log ends. Frozen format: id and hash, a space between. */
export const decodeHead = (rows: unknown): Effect.Effect<Head, LogStoreError> =>
  Effect.mapBoth(decodeHeadRows(rows), {
    onSuccess: ([row]) => {
      const [id, _, hash] = row.value
      return { id, hash }
    },
    onFailure: damaged("open", "the log's end is not recorded: meta has no readable head")
  })

/** The row of a query for one `number`. */
export const decodeNumber =
  (operation: string) =>
  (rows: unknown): Effect.Effect<number, LogStoreError> =>
    Effect.mapBoth(decodeNumberRow(rows), {
      onSuccess: ([row]) => row.number,
      onFailure: damaged(operation, "the database did not answer with a number")
    })

const damagedEntry = (operation: string, id: unknown) => damaged(operation, `entry ${String(id)} of the log is damaged`)

const damaged = (operation: string, message: string) => (cause: unknown) =>
  new LogStoreError({ operation, message, permanent: true, cause })
