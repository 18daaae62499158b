/**
 * How what happens to senses reads as ticks of their history. Pure; `Kernel` records them.
 */
import type { TickInput, TickOutcome } from "@nerve/core/domain/Tick"
import { causeText } from "@nerve/core/sense/SenseSchedule"
import type { ComputeEvent, SenseEvent, TicksDropped } from "../sense/SenseEvent.ts"

/** What followed from a compute: its signal's log entry, and the threads that it launched. */
export interface Followed {
  readonly signal: number | null
  readonly threads: ReadonlyArray<string>
}

/** Characters kept of what went wrong; a tick is no place for a file. */
const maxDetail = 2_000

/** The tick that a compute's end is worth; null for what is not about a compute. */
export const ofEvent = (event: SenseEvent, followed: Followed): TickInput | null => {
  switch (event._tag) {
    case "SenseBroken":
    case "SenseReloaded":
    case "SenseRecovered":
    case "Worker":
      return null
    default: {
      const [outcome, detail] = cameTo(event)
      const { cause, dueAt, durationMs, lines, linesLeftOut, sense, startedAt } = event
      return {
        sense,
        cause: causeText(cause),
        outcome,
        dueAt,
        startedAt,
        durationMs,
        count: 1,
        detail: detail !== null && detail.length > maxDetail ? `${detail.slice(0, maxDetail)}…` : detail,
        signal: followed.signal,
        threads: followed.threads,
        lines,
        linesLeftOut
      }
    }
  }
}

const cameTo = (event: ComputeEvent): readonly [TickOutcome, detail: string | null] => {
  switch (event._tag) {
    case "SignalEmitted":
      return ["signal", null]
    case "ComputeEnded":
      return event.reason === null ? ["no-signal", null] : ["skipped", event.reason]
    case "ComputeFailed":
      return ["error", event.message]
    case "ComputeTimedOut":
      return ["timeout", `ran longer than ${event.timeoutMs} ms and was aborted`]
    case "ComputeKilled":
      return ["killed", `did not give way within ${event.boundMs} ms; its worker was killed`]
    case "ComputeInterrupted":
      return ["interrupted", event.reason]
  }
}

/** The tick that stands for those that came to no compute. */
export const ofDropped = ({ cause, count, dueAt, fate, sense }: TicksDropped): TickInput => ({
  sense,
  cause: causeText(cause),
  outcome: fate,
  dueAt,
  startedAt: null,
  durationMs: null,
  count,
  detail: null,
  signal: null,
  threads: [],
  lines: [],
  linesLeftOut: 0
})
