/**
 * Log frames that are longer than anybody reads. Of one, the reader of a channel keeps the head and counts the rest, so
 * that a worker that logs without end costs its daemon neither the memory nor the time of parsing it.
 */
import type { FromWorker } from "./Frame.ts"

/** Bytes of a log frame that are read; of a longer one, what is beyond is left out. */
export const maxLength = 64 * 1024

type LogFrame = Extract<FromWorker, { readonly t: "log" }>

/** How long a beginning must be to tell whether a frame is a log frame. */
export const tellable = 64

const beginning = /^\s*\{\s*"t"\s*:\s*"log"/

/** Whether a frame that begins like this is a log frame: `t` is its first field, as a rule. */
export const isLog = (text: string): boolean => beginning.test(text)

/** A field whose value is a text: its name, the text, and whether the text has ended. */
const field = /\s*,\s*"(\w*)"\s*:\s*"([^"\\]*(?:\\[^][^"\\]*)*)("?)/y

/** A cut may go through an escape: `\`, `\u` and up to three digits, twice for a pair. */
const longestEscape = 12

const unescape = (text: string): string => {
  for (let end = text.length; end >= Math.max(0, text.length - longestEscape); end--) {
    try {
      const value: unknown = JSON.parse(`"${text.slice(0, end)}"`)
      return typeof value === "string" ? value.replace(/[\ud800-\udbff]$/, "") : ""
    } catch {
      // Cut through an escape, or no JSON at all.
    }
  }
  return ""
}

/**
 * The frame that is made of the head of a longer one: its level, and of its message what the head holds. Fields are left
 * out; `leftOutBytes` says how much was not read.
 */
export const ofHead = (head: string, leftOutBytes: number): LogFrame => {
  const texts: Record<string, string | undefined> = { level: undefined, message: undefined }
  field.lastIndex = beginning.exec(head)?.[0].length ?? head.length
  for (let found = field.exec(head); found !== null; found = field.exec(head)) {
    const [, name = "", text = "", ended] = found
    if (name === "level" || name === "message") texts[name] = unescape(text) + (ended === "" ? "…" : "")
  }
  return {
    t: "log",
    level: texts["level"] ?? "Info",
    message: texts["message"] ?? "a log line that is too long to be read",
    fields: { leftOutBytes }
  }
}
