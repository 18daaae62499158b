/**
 * Log lines of user code as data: what `context.log` and Effect's own `Effect.log` write inside a
 * compute or a role becomes a `Line`, which the worker sends to the daemon.
 */
import * as Cause from "effect/Cause"
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import type * as Schema from "effect/Schema"
import { inspect } from "node:util"

/** One log line. */
export interface Line {
  readonly level: LogLevel.LogLevel
  readonly message: string
  readonly fields: { readonly [key: string]: Schema.Json }
}

/** Longer texts are cut: a log line is no place for a file. */
const maxLength = 8_192

/** A line of any message and fields; what is not JSON is shown as text. */
export const line = (level: Line["level"], message: unknown, fields: Readonly<Record<string, unknown>>): Line => ({
  level,
  message: cut(typeof message === "string" ? message : show(message)),
  fields: Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, toJson(value)]))
})

/** A logger for Effect code: annotations become fields, a cause is added to the message. */
export const logger = (log: (line: Line) => void): Logger.Logger<unknown, void> =>
  Logger.make(({ cause, fiber, logLevel, message }) => {
    const parts = (Array.isArray(message) ? message : [message]).map((part) =>
      typeof part === "string" ? part : show(part)
    )
    const causes = cause.reasons.length === 0 ? [] : [Cause.pretty(cause)]
    log(line(logLevel, [...parts, ...causes].join(" "), fiber.getRef(References.CurrentLogAnnotations)))
  })

const toJson = (value: unknown): Schema.Json => {
  if (value === null || typeof value === "boolean") return value
  if (typeof value === "string") return cut(value)
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value)
  return cut(show(value))
}

const show = (value: unknown): string => inspect(value, { depth: 4, breakLength: Infinity })

const cut = (text: string): string => (text.length > maxLength ? `${text.slice(0, maxLength)}…` : text)
