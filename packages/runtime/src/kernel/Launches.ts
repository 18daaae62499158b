/**
 * Launches as the log has them. A launch is recorded before its thread is, so a daemon can die in
 * between; what it left is found here, by the ids of `launch` entries that threads carry.
 */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
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
 * The launches that the last daemon recorded and neither started nor refused. A sense goes on only when
 * its launches are settled, so only those of its last signal can be among them, and what settles them
 * is recorded right after them.
 */
export const lost = Effect.fnUntraced(
  function* (senses: ReadonlyArray<string>): Effect.fn.Return<ReadonlyArray<Recorded>, LogStoreError, LogStore> {
    const store = yield* LogStore
    const [before] = yield* store.query({ source: "kernel", type: "started", order: "desc", limit: 1 })
    if (before === undefined) return []

    const ofSense = Effect.fnUntraced(function* (sense: string) {
      const [signal] = yield* store.query({ source: "sense", type: "signal", refId: sense, order: "desc", limit: 1 })
      if (signal === undefined || signal.id < before.id) return []
      const after = { cursor: signal.id, limit: PAGE }
      const recorded = of(yield* store.query({ ...after, source: "sense", type: "launch", refId: sense }))
      if (recorded.length === 0) return []
      const settling = yield* Effect.forEach(
        [
          { source: "workflow", type: "started" },
          { source: "workflow", type: "queued" },
          { source: "workflow", type: "dropped" },
          { source: "sense", type: "error", refId: sense }
        ] as const,
        (query) => store.query({ ...after, ...query })
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

/** Entries after a signal among which those that settle its launches are looked for: far more than are in between. */
const PAGE = 1000

const decodeLaunch = Schema.decodeUnknownOption(Launch)

const launchOf = ({ payload }: LogEntry): Schema.Json | undefined =>
  typeof payload === "object" && payload !== null && "launch" in payload ? payload.launch : undefined
