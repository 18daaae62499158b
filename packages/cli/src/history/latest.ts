/**
 * The newest entries or ticks that match, asked for in pages: one answer must fit a frame of the control
 * socket.
 */
import type { LogEntry, LogQuery } from "@nerve/core/domain/LogEntry"
import type { Tick, TickQuery } from "@nerve/core/domain/Tick"
import * as Effect from "effect/Effect"
import type { History } from "./History.ts"

/** Entries per request. */
const pageSize = 500

/** Ticks per request: each may have some log lines. */
const ticksPerPage = 100

/** Ticks, newest first. */
export const latestTicks = Effect.fnUntraced(function* (history: History, query: TickQuery, limit: number) {
  const all: Array<Tick> = []
  while (all.length < limit) {
    const oldest = all.at(-1)
    const size = Math.min(ticksPerPage, limit - all.length)
    const page = yield* history.ticks({ ...query, limit: size, ...(oldest === undefined ? {} : { before: oldest.id }) })
    all.push(...page)
    if (page.length < size) break
  }
  return all
})

/** Log entries, oldest first. */
export const latest = Effect.fnUntraced(function* (history: History, query: LogQuery, limit: number) {
  const newestFirst: Array<LogEntry> = []
  while (newestFirst.length < limit) {
    const oldest = newestFirst.at(-1)
    const size = Math.min(pageSize, limit - newestFirst.length)
    const page = yield* history.query({
      ...query,
      order: "desc",
      limit: size,
      ...(oldest === undefined ? {} : { cursor: oldest.id })
    })
    newestFirst.push(...page)
    if (page.length < size) break
  }
  return newestFirst.reverse()
})
