/**
 * Launches as the log has them. A launch is recorded before its thread is, so a daemon can die in
 * between; what it left is found here, by the ids of `launch` entries that threads carry.
 */
import type { LogEntry, LogQuery } from "@nerve/core/domain/LogEntry"
import { Launch } from "@nerve/core/wire/SenseRpcs"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { LogStore, type LogStoreError } from "../log/LogStore.ts"

/** A launch that a sense asked for. */
export interface Recorded {
  /** Of its entry. */
  readonly id: number
  readonly sense: string
  readonly request: Launch
}

/** The launches among these entries. */
export const of = (entries: ReadonlyArray<LogEntry>): ReadonlyArray<Recorded> =>
  entries.flatMap(({ id, payload, refId, source, type }) => {
    if (source !== "sense" || type !== "launch" || refId === null) return []
    const request = decodeLaunch(payload)
    return Option.isSome(request) ? [{ id, sense: refId, request: request.value }] : []
  })

/**
 * The launches that the last daemon, or `nerve sense test --commit` after it, recorded and nobody started or
 * refused. A sense goes on only when its launches are settled, so only those of its last signals can be among
 * them, and what settles them is recorded after them.
 */
export const lost = Effect.fnUntraced(
  function* (senses: ReadonlyArray<string>): Effect.fn.Return<ReadonlyArray<Recorded>, LogStoreError, LogStore> {
    const store = yield* LogStore
    const [before] = yield* store.query({ ...recent, source: "kernel", type: "started", order: "desc", limit: 1 })
    // None: it has begun before what is archived, and all that is not archived is of its time.
    const since = before?.id ?? 0

    const all = Effect.fnUntraced(function* (query: LogQuery, after: number) {
      const found: Array<LogEntry> = []
      let cursor = after
      while (true) {
        const page = yield* store.query({ ...recent, ...query, cursor, limit: PAGE })
        found.push(...page)
        if (page.length < PAGE) return found
        cursor = page.at(-1)?.id ?? cursor
      }
    })

    const ofSense = Effect.fnUntraced(function* (sense: string) {
      const about = { source: "sense", refId: sense } as const
      const signals = yield* store.query({ ...recent, ...about, type: "signal", order: "desc", limit: SIGNALS })
      const first = signals.findLast(({ id }) => id > since)
      if (first === undefined) return []
      const recorded = of(yield* all({ ...about, type: "launch" }, first.id))
      if (recorded.length === 0) return []
      const settling = yield* Effect.forEach(
        [
          { source: "workflow", type: "started" },
          { source: "workflow", type: "queued" },
          { source: "workflow", type: "dropped" },
          { ...about, type: "error" }
        ] as const,
        (query) => all(query, first.id)
      )
      const settled = new Set(settling.flat().map(launchOf))
      return recorded.filter(({ id }) => !settled.has(id))
    })

    return (yield* Effect.forEach(senses, ofSense)).flat().sort((a, b) => a.id - b.id)
  },
  Effect.catchIf(
    // What cannot be read must not keep the daemon from starting.
    (error) => error.permanent === true,
    (error) => Effect.as(Effect.logWarning(`launches that were lost are not looked for: ${error.message}`), [])
  )
)

/** A start does not read the archive: a launch was settled within seconds, or by the next start. */
const recent = { archived: false } as const

/** Entries that are read at a time. */
const PAGE = 1000

/** Signals of a sense that are looked at: a daemon leaves one with launches to be settled, each `--commit` another. */
const SIGNALS = 100

const decodeLaunch = Schema.decodeUnknownOption(Launch)

const launchOf = ({ payload }: LogEntry): Schema.Json | undefined =>
  typeof payload === "object" && payload !== null && "launch" in payload ? payload.launch : undefined
