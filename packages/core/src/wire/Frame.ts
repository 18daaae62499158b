/**
 * The frames that a daemon and a worker exchange: JSON values, one per line (docs/ipc.md).
 *
 * Wire format. The envelope is checked here by hand, field by field, because this runs for every
 * message of every call; payloads, answers and errors are decoded by the Schemas of their RPC.
 */
import type * as Schema from "effect/Schema"

/** Version of the protocol; a worker tells it with `ready` and another one is refused. */
export const protocolVersion = 1

/** A frame's length at most, in bytes (characters, in memory). A longer one breaks the channel. */
export const maxLength = 4 * 1024 * 1024

/** Answers to a stream that may be on their way before the reader has to ask for more. */
export const streamWindow = 64

/** Characters that may be in these answers: while there are so many, no further one may come. */
export const streamCharacters = 4 * 1024 * 1024

export type ToWorker =
  /** The first frame of an incarnation. */
  | { readonly t: "init"; readonly key: string; readonly incarnation: number; readonly init: Schema.Json }
  | { readonly t: "call"; readonly id: number; readonly method: string; readonly payload: unknown }
  /** Stop working on a call; it is still answered (by `interrupted`, as a rule). */
  | { readonly t: "cancel"; readonly id: number }
  /** The reader of a stream took `n` chunks. */
  | { readonly t: "ack"; readonly id: number; readonly n: number }
  /** Are you there? Sent to workers that said with their `ready` that they answer. */
  | { readonly t: "ping"; readonly n: number }
  /** Finish: interrupt what runs, flush, exit. */
  | { readonly t: "stop" }

/** A defect on its way: what is left of an Error that crossed a process. */
export interface DefectFrame {
  readonly name: string
  readonly message: string
  readonly stack: string | null
  /** Its own further properties, as far as JSON has a form for them. */
  readonly properties?: { readonly [key: string]: unknown }
  /** What it says that caused it, if that is an Error. */
  readonly cause?: DefectFrame
}

/** What a worker tells of itself with a `pong`; null where it cannot tell. */
export interface Vitals {
  /** The longest that its event loop was held up since the last ping, in milliseconds. */
  readonly delayMs: number | null
  /** Resident memory in bytes. */
  readonly memory: number | null
}

export type FromWorker =
  /** `ping`: whether it answers pings. */
  | { readonly t: "ready"; readonly v: number; readonly info: Schema.Json; readonly ping: boolean }
  | ({ readonly t: "pong"; readonly n: number } & Vitals)
  | { readonly t: "done"; readonly id: number; readonly value: unknown }
  /** A typed error of the RPC, and where it was made. */
  | { readonly t: "fail"; readonly id: number; readonly error: unknown; readonly stack?: string }
  | { readonly t: "die"; readonly id: number; readonly defect: DefectFrame }
  | { readonly t: "interrupted"; readonly id: number }
  /** The call itself could not be understood: unknown method, payload that its Schema refuses. */
  | { readonly t: "reject"; readonly id: number; readonly detail: string }
  | { readonly t: "chunk"; readonly id: number; readonly values: ReadonlyArray<unknown> }
  | {
      readonly t: "log"
      readonly level: string
      readonly message: string
      readonly fields: { readonly [key: string]: Schema.Json }
    }

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Characters of a frame or a line that a message shows. */
const shown = 120

/**
 * What a frame looks like, as JSON, as far as a message shows it: it is left off at `room` characters or a few more. A
 * worker may send frames of megabytes that are none.
 */
const show = (value: unknown, room = shown + 1): string => {
  if (typeof value === "string") return JSON.stringify(value.slice(0, room))
  if (Array.isArray(value)) return showItems(value, room)
  return isRecord(value) ? showFields(value, room) : String(value)
}

const showItems = (items: ReadonlyArray<unknown>, room: number): string => {
  let text = "["
  for (const item of items) {
    if (text.length >= room) return text
    if (text !== "[") text += ","
    text += show(item, Math.max(1, room - text.length))
  }
  return `${text}]`
}

const showFields = (fields: Record<string, unknown>, room: number): string => {
  let text = "{"
  for (const name in fields) {
    if (text.length >= room) return text
    text += `${text === "{" ? "" : ","}${JSON.stringify(name.slice(0, room))}:`
    text += show(fields[name], Math.max(1, room - text.length))
  }
  return `${text}}`
}

/**
 * The beginning of a text, for messages. Copied character by character: a mere part keeps the whole of it in memory,
 * which may be as long as a frame.
 */
export const excerpt = (text: string): string =>
  text.length > shown ? `${Array.from(text.slice(0, shown)).join("")}…` : Array.from(text).join("")

const malformed = (frame: unknown): string => `not a frame of the protocol: ${excerpt(show(frame))}`

/** The call that a frame is about, as far as it says so, also when it is none of the protocol. */
export const callOf = (frame: unknown): number | undefined =>
  isRecord(frame) && typeof frame.id === "number" ? frame.id : undefined

/** Causes of causes that are read; what is below is left out. */
const maxCauses = 8

const toDefect = (defect: Record<string, unknown>, message: string, depth: number): DefectFrame => {
  const { cause, name, properties, stack } = defect
  return {
    name: typeof name === "string" ? name : "Error",
    message,
    stack: typeof stack === "string" ? stack : null,
    ...(isRecord(properties) ? { properties } : {}),
    ...(depth < maxCauses && isRecord(cause) && typeof cause.message === "string"
      ? { cause: toDefect(cause, cause.message, depth + 1) }
      : {})
  }
}

/** A measure that a worker tells; null when it is none. */
const amount = (value: unknown): number | null => (typeof value === "number" && value >= 0 ? value : null)

/** A frame from a worker, or why it is none. */
export const fromWorker = (frame: unknown): FromWorker | string => {
  if (!isRecord(frame)) return malformed(frame)
  switch (frame.t) {
    case "done":
    case "fail":
    case "interrupted":
      return typeof frame.id === "number" ? (frame as FromWorker) : malformed(frame)
    case "chunk":
      return typeof frame.id === "number" && Array.isArray(frame.values) ? (frame as FromWorker) : malformed(frame)
    case "ready":
      return typeof frame.v === "number"
        ? { t: "ready", v: frame.v, info: (frame.info ?? null) as Schema.Json, ping: frame.ping === true }
        : malformed(frame)
    case "pong":
      return typeof frame.n === "number"
        ? { t: "pong", n: frame.n, delayMs: amount(frame.delayMs), memory: amount(frame.memory) }
        : malformed(frame)
    case "reject":
      return typeof frame.id === "number" && typeof frame.detail === "string" ? (frame as FromWorker) : malformed(frame)
    case "die": {
      const defect = frame.defect
      return typeof frame.id === "number" && isRecord(defect) && typeof defect.message === "string"
        ? { t: "die", id: frame.id, defect: toDefect(defect, defect.message, 0) }
        : malformed(frame)
    }
    case "log":
      return typeof frame.message === "string"
        ? {
            t: "log",
            level: typeof frame.level === "string" ? frame.level : "Info",
            message: frame.message,
            fields: isRecord(frame.fields) ? (frame.fields as { readonly [key: string]: Schema.Json }) : {}
          }
        : malformed(frame)
    default:
      return malformed(frame)
  }
}

/** A frame to a worker, or why it is none. */
export const toWorker = (frame: unknown): ToWorker | string => {
  if (!isRecord(frame)) return malformed(frame)
  switch (frame.t) {
    case "call":
      return typeof frame.id === "number" && typeof frame.method === "string" ? (frame as ToWorker) : malformed(frame)
    case "cancel":
      return typeof frame.id === "number" ? (frame as ToWorker) : malformed(frame)
    case "ack":
      return typeof frame.id === "number" && typeof frame.n === "number" ? (frame as ToWorker) : malformed(frame)
    case "ping":
      return typeof frame.n === "number" ? { t: "ping", n: frame.n } : malformed(frame)
    case "stop":
      return { t: "stop" }
    case "init":
      return typeof frame.key === "string" && typeof frame.incarnation === "number"
        ? { t: "init", key: frame.key, incarnation: frame.incarnation, init: (frame.init ?? null) as Schema.Json }
        : malformed(frame)
    default:
      return malformed(frame)
  }
}
