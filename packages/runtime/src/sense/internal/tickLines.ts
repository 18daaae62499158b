/** The lines that one compute logs, up to a bound: a tick is no place for a log file. */
import type { TickLine } from "@nerve/core/domain/Tick"
import type * as Schema from "effect/Schema"

/** Lines kept of one compute. */
export const MAX_LINES = 20

/** Characters of a line's message, and of all its fields as JSON. */
export const MAX_CHARS = 500

export interface TickLines {
  readonly lines: Array<TickLine>
  leftOut: number
}

export const make = (): TickLines => ({ lines: [], leftOut: 0 })

/** Keeps a line, or counts it. `fields` are those of a worker's structured line. */
export const add = (kept: TickLines, message: string, fields: { readonly [key: string]: Schema.Json }): void => {
  if (kept.lines.length >= MAX_LINES) {
    kept.leftOut++
    return
  }
  const { level, sense: _, ...rest } = fields
  kept.lines.push({
    level: typeof level === "string" ? level : "Info",
    message: message.length > MAX_CHARS ? `${message.slice(0, MAX_CHARS)}…` : message,
    fields: JSON.stringify(rest).length > MAX_CHARS ? {} : rest
  })
}
