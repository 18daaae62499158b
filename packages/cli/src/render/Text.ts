/**
 * Text from outside, made fit for one line of a terminal. Pure.
 */
import type * as Schema from "effect/Schema"

/** Control characters, and those that reorder text, would let a payload write to the reader's terminal. */
const unsafe = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u200E\u200F\u202A-\u202E\u2066-\u2069]/g

/** Keeps line breaks and tabs; what could confuse a terminal becomes `\uFFFD`. */
export const safe = (text: string): string => text.replace(/\r\n/g, "\n").replace(unsafe, "\uFFFD")

/** One line: runs of white space become one space. Cut with `…` when longer than `width`. */
export const oneLine = (text: string, width: number = 80): string => {
  // Enough for the answer: a payload may be megabytes.
  const line = safe(text.slice(0, width * 8))
    .replace(/\s+/g, " ")
    .trim()
  const letters = Array.from(line)
  return letters.length <= width
    ? line
    : `${letters
        .slice(0, width - 1)
        .join("")
        .trimEnd()}…`
}

/** `1 signal`, `2 signals`. */
export const count = (amount: number, noun: string, plural: string = `${noun}s`): string =>
  `${amount} ${amount === 1 ? noun : plural}`

const large: ReadonlyArray<readonly [unit: number, letter: string]> = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"]
]

/** At most four significant digits; integers below a million whole, what is larger as `25.27G`. */
const number = (value: number): string => {
  const unit = large.find(([unit]) => Math.abs(value) >= unit)
  if (unit !== undefined && Math.abs(value) < 1e15) return `${Number((value / unit[0]).toPrecision(4))}${unit[1]}`
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)))
}

/** Whether a JSON value is an object. */
export const isRecord = (value: Schema.Json): value is { readonly [key: string]: Schema.Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const nested = (value: Schema.Json): string => {
  if (Array.isArray(value)) return `[${value.length}]`
  return isRecord(value) ? `{${Object.keys(value).slice(0, 3).join(", ")}}` : scalar(value)
}

const scalar = (value: Schema.Json): string => {
  if (typeof value === "number") return number(value)
  if (typeof value === "string") return oneLine(value, 40)
  return value === null ? "none" : String(value)
}

/** A JSON value in short: `usage 0.4231, cores 8`. */
export const brief = (value: Schema.Json, width: number = 80): string => {
  if (isRecord(value)) {
    const fields = Object.entries(value)
      .slice(0, 8)
      .map(([key, field]) => `${key} ${nested(field)}`)
    return oneLine(fields.join(", "), width)
  }
  return oneLine(Array.isArray(value) ? value.slice(0, 8).map(nested).join(", ") : scalar(value), width)
}
