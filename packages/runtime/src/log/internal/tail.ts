/**
 * The live end of the log. It keeps the last entries once, for all readers, and wakes those that wait.
 * A reader is nothing but a cursor: it reads from these entries while they reach back far enough, else
 * from the store. So a slow reader costs no memory and loses nothing.
 */
import { type LogEntry, type LogQuery, matches } from "@nerve/core/domain/LogEntry"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { LogStoreError } from "../LogStore.ts"

/** Entries kept for readers; one that falls behind further is caught up from the store. */
const RECENT_ENTRIES = 4096

/** Characters of payload kept for readers: large payloads make the kept end shorter, not the memory larger. */
const RECENT_CHARS = 8 * 1024 * 1024

/** Entries that a reader is given from the store at once. */
const PAGE = 256

/** An entry and the length of its payload as JSON. */
export interface Published {
  readonly entry: LogEntry
  readonly chars: number
}

/** Reads matching entries with `after < id <= upTo`, oldest first, at most `limit`. */
export type ReadPage = (
  after: number,
  upTo: number,
  limit: number
) => Effect.Effect<ReadonlyArray<LogEntry>, LogStoreError>

export interface Tail {
  /** Tells readers of entries that are durable, in order of id. */
  readonly publish: (entries: ReadonlyArray<Published>) => void
  /** Ends all readers once they have what was published. */
  readonly close: () => void
  /** Entries after the query's cursor (without one: after now), for ever. Limit and order do not count. */
  readonly follow: (query: LogQuery, readPage: ReadPage) => Stream.Stream<LogEntry, LogStoreError>
}

/** A tail behind a store whose last entry has id `lastId` (0 when it has none). */
export const make = (lastId: number): Tail => {
  let head = lastId
  let recent: Array<Published> = []
  let chars = 0
  let closed = false
  const waiting = new Set<() => void>()

  const wake = () => {
    const woken = [...waiting]
    waiting.clear()
    for (const resume of woken) resume()
  }

  const publish = (entries: ReadonlyArray<Published>) => {
    const last = entries.at(-1)
    if (last === undefined) return
    for (const published of entries) {
      recent.push(published)
      chars += published.chars
    }
    head = last.entry.id
    // Trimmed by halves, so that an entry is moved about once.
    if (recent.length > 2 * RECENT_ENTRIES || chars > 2 * RECENT_CHARS) trim()
    wake()
  }

  const trim = () => {
    let start = recent.length
    let kept = 0
    while (start > 0 && recent.length - start < RECENT_ENTRIES) {
      const size = recent[start - 1]?.chars ?? 0
      if (kept + size > RECENT_CHARS) break
      kept += size
      start--
    }
    recent = recent.slice(start)
    chars = kept
  }

  /** The kept entries after `cursor`; undefined when they do not reach back to it. */
  const keptAfter = (cursor: number): ReadonlyArray<LogEntry> | undefined => {
    const first = recent[0]
    if (first === undefined || cursor < first.entry.id - 1) return undefined
    const start = recent.findLastIndex((published) => published.entry.id <= cursor) + 1
    return recent.slice(start).map((published) => published.entry)
  }

  /** Returns once there is something after `cursor`, or nothing will come any more. */
  const changed = (cursor: number) =>
    // Looks and registers in one step: an entry published in between would be slept over.
    Effect.callback<void>((resume) => {
      if (closed || head > cursor) return resume(Effect.void)
      const waiter = () => resume(Effect.void)
      waiting.add(waiter)
      return Effect.sync(() => waiting.delete(waiter))
    })

  const follow = (query: LogQuery, readPage: ReadPage) => {
    const step = (cursor: number) =>
      Effect.flatMap(changed(cursor), () => {
        const upTo = head
        if (upTo <= cursor) return Effect.succeed([[], Option.none<number>()] as const)
        const kept = keptAfter(cursor)
        if (kept !== undefined) {
          return Effect.succeed([kept.filter((entry) => matches(query, entry)), Option.some(upTo)] as const)
        }
        return Effect.map(readPage(cursor, upTo, PAGE), (page) => {
          const last = page.at(-1)
          return [page, Option.some(last === undefined || page.length < PAGE ? upTo : last.id)] as const
        })
      })
    return Stream.suspend(() => Stream.paginate(query.cursor ?? head, step))
  }

  return {
    publish,
    close: () => {
      closed = true
      wake()
    },
    follow
  }
}
