/**
 * A log entry as one line for people: time, source, what it is about, what happened. Pure, and total:
 * a payload of an unknown shape is shown in short, never refused.
 */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import type * as Schema from "effect/Schema"
import { plain, type Style } from "./Style.ts"
import { brief, isRecord, oneLine } from "./Text.ts"
import { clock, span } from "./Time.ts"

/** Which workflow each thread belongs to, as far as entries told. */
export type Names = ReadonlyMap<string, string>

export const noNames: Names = new Map()

/** More threads than anybody follows by eye; a view that runs for months must not grow. */
const namesKept = 1_000

/** The names after an entry. */
export const learn = (names: Names, entry: LogEntry): Names => {
  const workflow = text(entry.payload, "workflow")
  if (entry.source !== "workflow" || entry.refId === null || workflow === null) return names
  if (names.get(entry.refId) === workflow) return names
  return new Map([...names, [entry.refId, workflow] as const].slice(-namesKept))
}

/** Of the name's column: room for `workflow:` and a name of usual length. */
const nameWidth = 26

/** The line of an entry. */
export const render = (
  entry: LogEntry,
  options: {
    readonly names?: Names
    readonly style?: Style
    readonly timeZone?: string
  } = {}
): string => {
  const style = options.style ?? plain
  const said = saidBy(entry)
  if (said !== null) return row(entry, "sense", said.sense, said, options.timeZone, style)
  const refId = entry.refId ?? ""
  const thread = entry.source === "workflow"
  const name = thread ? (text(entry.payload, "workflow") ?? (options.names ?? noNames).get(refId) ?? refId) : refId
  const happened = describe(entry, thread && name !== refId ? refId : null)
  return row(entry, entry.source, name, happened, options.timeZone, style)
}

const row = (
  entry: LogEntry,
  source: string,
  name: string,
  happened: Happened,
  timeZone: string | undefined,
  style: Style
): string =>
  [
    style.dim(clock(entry.timestamp, timeZone)),
    style.dim(source.padEnd(8)),
    style.bold(oneLine(name, 40).padEnd(nameWidth)),
    // Types and ids may come from anywhere too: no part of the line is trusted.
    tint(style, happened.tone)(oneLine(happened.words, 240))
  ]
    .join("  ")
    .trimEnd()

/** A line that a sense has logged: its worker, which wrote it, is of no interest to who reads it. */
const saidBy = (entry: LogEntry): (Happened & { readonly sense: string }) | null => {
  const fields = field(entry.payload, "fields") ?? null
  if (entry.source !== "worker" || entry.type !== "output" || !isRecord(fields)) return null
  const { level, sense, ...more } = fields
  if (typeof sense !== "string" || text(entry.payload, "stream") !== "log") return null
  const said = typeof level === "string" ? level.toLowerCase() : "log"
  const line = oneLine(text(entry.payload, "line") ?? "", 120)
  const tone = said === "error" || said === "fatal" ? "bad" : said === "warn" ? "warn" : "quiet"
  return { sense, words: `${said}: ${line}${Object.keys(more).length === 0 ? "" : ` (${brief(more)})`}`, tone }
}

type Tone = "plain" | "good" | "bad" | "warn" | "quiet" | "notable"

interface Happened {
  readonly words: string
  readonly tone: Tone
}

const tint = (style: Style, tone: Tone): ((text: string) => string) => {
  switch (tone) {
    case "good":
      return style.green
    case "bad":
      return style.red
    case "warn":
      return style.yellow
    case "quiet":
      return style.dim
    case "notable":
      return style.cyan
    case "plain":
      return (text) => text
  }
}

const describe = (entry: LogEntry, thread: string | null): Happened => {
  switch (entry.source) {
    case "sense":
      return sense(entry)
    case "workflow":
      return workflow(entry, thread)
    case "worker":
      return worker(entry)
    case "kernel":
      return kernel(entry)
  }
}

const kernel = (entry: LogEntry): Happened => {
  const pid = numberOf(entry.payload, "pid")
  switch (entry.type) {
    case "started":
      return { words: pid === null ? "started" : `started, pid ${pid}`, tone: "notable" }
    case "stopped":
      return { words: "stopped", tone: "notable" }
    case "workflow-paused":
      return { words: sentence("paused", reasonOf(entry)), tone: "notable" }
    case "workflow-resumed":
      return { words: "resumed", tone: "notable" }
    case "refused":
      return { words: sentence("configuration refused", reasonOf(entry)), tone: "bad" }
    default:
      return { words: sentence(entry.type, reasonOf(entry)), tone: "notable" }
  }
}

const sense = (entry: LogEntry): Happened => {
  switch (entry.type) {
    case "signal":
      return { words: sentence("signal", brief(field(entry.payload, "value") ?? entry.payload, 100)), tone: "plain" }
    case "launch":
      return { words: `launches ${text(entry.payload, "workflow") ?? brief(entry.payload)}`, tone: "notable" }
    case "error": {
      // Where in the author's own code.
      const [frame = ""] = (text(entry.payload, "stack") ?? "").trim().split("\n")
      const where = frame.startsWith("at ") ? ` (${oneLine(frame, 100)})` : ""
      return { words: `${sentence("error", reasonOf(entry))}${where}`, tone: "bad" }
    }
    case "broken":
    case "killed":
      return { words: sentence(entry.type, reasonOf(entry)), tone: "bad" }
    case "timeout":
      return { words: sentence("timeout", reasonOf(entry)), tone: "warn" }
    case "reloaded":
      return { words: sentence("reloaded", reasonOf(entry)), tone: "notable" }
    default:
      return { words: sentence(entry.type, reasonOf(entry)), tone: "quiet" }
  }
}

const workflow = (entry: LogEntry, thread: string | null): Happened => {
  const subject = thread === null ? "" : `thread ${thread} `
  switch (entry.type) {
    case "queued":
    case "started": {
      const prompt = text(entry.payload, "prompt")
      const cause = text(entry.payload, "cause")
      if (field(entry.payload, "again") === true) {
        return { words: `${subject}${entry.type === "queued" ? "queued to go on" : "goes on"}`, tone: "notable" }
      }
      const by = cause === null ? "" : cause === "manual" ? " by hand" : ` by ${cause.replace(/^thread:/, "thread ")}`
      return {
        words: `${subject}${entry.type}${by}${prompt === null ? "" : `: ${oneLine(prompt)}`}`,
        tone: "notable"
      }
    }
    case "waiting": {
      const wait = field(entry.payload, "wait")
      const kind = wait === undefined ? null : text(wait, "_tag")
      const what = wait === undefined ? null : (text(wait, "question") ?? text(wait, "workflow"))
      return { words: sentence(`${subject}waits (${(kind ?? "?").toLowerCase()})`, what ?? ""), tone: "notable" }
    }
    case "paused":
      return { words: sentence(`${subject}paused`, reasonOf(entry)), tone: "warn" }
    case "resumed":
    case "retried":
      return { words: sentence(`${subject}${entry.type}`, reasonOf(entry)), tone: "notable" }
    case "message": {
      const role = text(entry.payload, "role") ?? "?"
      const content = text(entry.payload, "content")
      return {
        words: sentence(`round ${entry.round ?? "?"}, ${role}`, content === null ? "" : oneLine(content)),
        tone: "plain"
      }
    }
    case "completed":
      return { words: sentence(`${subject}completed`, reasonOf(entry)), tone: "good" }
    case "failed":
    case "crashed": {
      const code = numberOf(entry.payload, "exitCode")
      return {
        words: sentence(`${subject}${entry.type}${code === null ? "" : ` (exit code ${code})`}`, reasonOf(entry)),
        tone: "bad"
      }
    }
    case "dropped":
    case "interrupted":
    case "killed":
      return { words: sentence(`${subject}${entry.type}`, reasonOf(entry)), tone: "warn" }
    default:
      return { words: sentence(`${subject}${entry.type}`, reasonOf(entry)), tone: "quiet" }
  }
}

const worker = (entry: LogEntry): Happened => {
  switch (entry.type) {
    case "started": {
      const incarnation = numberOf(entry.payload, "incarnation") ?? 1
      const pid = numberOf(entry.payload, "pid")
      const again = incarnation > 1 ? `started again (${incarnation})` : "started"
      return { words: pid === null ? again : `${again}, pid ${pid}`, tone: incarnation > 1 ? "notable" : "quiet" }
    }
    case "exited": {
      const isExpected = field(entry.payload, "expected") === true
      const uptime = numberOf(entry.payload, "uptimeMs")
      const after = uptime === null ? "" : ` after ${span(uptime)}`
      const words = `${isExpected ? "stopped" : "died"}${after}`
      return { words: sentence(words, reasonOf(entry)), tone: isExpected ? "quiet" : "bad" }
    }
    case "respawn": {
      const delay = numberOf(entry.payload, "delayMs")
      return { words: delay === null ? "will be started again" : `starts again in ${span(delay)}`, tone: "warn" }
    }
    case "given-up":
      return { words: sentence("given up", reasonOf(entry)), tone: "bad" }
    case "output": {
      const line = text(entry.payload, "line") ?? ""
      const stream = text(entry.payload, "stream") ?? "output"
      const fields = field(entry.payload, "fields")
      const more = fields === undefined || fields === null ? "" : ` (${brief(fields)})`
      return { words: `${stream}: ${oneLine(line, 120)}${more}`, tone: stream === "stderr" ? "warn" : "quiet" }
    }
    default:
      return { words: sentence(entry.type, reasonOf(entry)), tone: "quiet" }
  }
}

const sentence = (what: string, more: string): string => (more === "" ? what : `${what}: ${more}`)

/** Fields in which writers say why, the best first. */
const reasonFields = ["reason", "message", "detail", "error"]

const reasonOf = (entry: LogEntry): string => {
  for (const name of reasonFields) {
    const reason = text(entry.payload, name)
    if (reason !== null) return oneLine(reason, 200)
  }
  // An empty reason is an answer: the payload's other fields are of no interest then.
  return entry.payload === null || field(entry.payload, "reason") === "" ? "" : brief(entry.payload, 100)
}

const field = (payload: Schema.Json, name: string): Schema.Json | undefined =>
  isRecord(payload) && Object.hasOwn(payload, name) ? payload[name] : undefined

/** A text that is there and not empty. */
const text = (payload: Schema.Json, name: string): string | null => {
  const value = field(payload, name)
  return typeof value === "string" && value !== "" ? value : null
}

const numberOf = (payload: Schema.Json, name: string): number | null => {
  const value = field(payload, name)
  return typeof value === "number" ? value : null
}

const ends: ReadonlySet<string> = new Set(["completed", "failed", "dropped", "interrupted", "killed"])

/** Whether the entry ends its thread (M6). A crash does only when it is final. */
export const isThreadEnd = (entry: LogEntry): boolean =>
  entry.source === "workflow" &&
  (ends.has(entry.type) || (entry.type === "crashed" && field(entry.payload, "final") === true))
