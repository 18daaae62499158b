/**
 * What happened while `nerve dev` ran, folded from the log entries it showed. Pure.
 */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import { isThreadEnd } from "./Event.ts"
import { count, isRecord } from "./Text.ts"
import { span } from "./Time.ts"

export interface Summary {
  readonly signals: number
  /** Signals by sense. */
  readonly senses: ReadonlyMap<string, number>
  /** Ended threads by how they ended. */
  readonly threads: ReadonlyMap<string, number>
  /** Workers that died unasked. */
  readonly crashes: number
}

export const empty: Summary = { signals: 0, senses: new Map(), threads: new Map(), crashes: 0 }

const more = (counts: ReadonlyMap<string, number>, name: string): ReadonlyMap<string, number> =>
  new Map(counts).set(name, (counts.get(name) ?? 0) + 1)

const wasExpected = (entry: LogEntry): boolean => isRecord(entry.payload) && entry.payload["expected"] === true

/** The summary after an entry. */
export const add = (summary: Summary, entry: LogEntry): Summary => {
  if (entry.source === "sense" && entry.type === "signal") {
    return { ...summary, signals: summary.signals + 1, senses: more(summary.senses, entry.refId ?? "?") }
  }
  if (isThreadEnd(entry)) return { ...summary, threads: more(summary.threads, entry.type) }
  if (entry.source === "worker" && entry.type === "exited" && !wasExpected(entry)) {
    return { ...summary, crashes: summary.crashes + 1 }
  }
  return summary
}

const list = (counts: ReadonlyMap<string, number>): string =>
  [...counts]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, amount]) => `${name} ${amount}`)
    .join(", ")

/** `ran 60 s: 42 signals (cpu 20, disk 22), 1 thread ended (completed 1)`. */
export const render = (summary: Summary, ranMs: number): string => {
  const threads = [...summary.threads.values()].reduce((sum, amount) => sum + amount, 0)
  return [
    `ran ${span(ranMs)}: ${count(summary.signals, "signal")}${summary.signals === 0 ? "" : ` (${list(summary.senses)})`}`,
    `${count(threads, "thread")} ended${threads === 0 ? "" : ` (${list(summary.threads)})`}`,
    ...(summary.crashes === 0 ? [] : [count(summary.crashes, "worker crash", "worker crashes")])
  ].join(", ")
}
