/**
 * The newest entries that match, oldest first.
 */
import type { LogEntry, LogQuery } from "@nerve/core/domain/LogEntry"
import * as Effect from "effect/Effect"
import type { History } from "./History.ts"

/** Entries per request: one answer must fit a frame of the control socket. */
const pageSize = 500

/** Asked for in pages, from the newest back. */
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
