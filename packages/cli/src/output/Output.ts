/**
 * Where data goes: stdout, and only data goes there. A reader that has gone (`nerve logs | head`)
 * ends the command quietly.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { colored, plain, type Style } from "../render/Style.ts"

/** Nobody reads stdout any more. */
export class OutputClosed extends Schema.TaggedError<OutputClosed>()("OutputClosed", {}) {}

/** What was written could not be: the disk is full, say. */
export class OutputFailed extends Schema.TaggedError<OutputFailed>()("OutputFailed", {
  detail: Schema.String
}) {
  override get message(): string {
    return `cannot write to stdout: ${this.detail}`
  }
}

/** A pipe without a reader; a stream that has reported that; a terminal that was closed. */
const closed: ReadonlySet<unknown> = new Set(["EPIPE", "ERR_STREAM_DESTROYED", "EIO"])

const failure = (error: Error): OutputClosed | OutputFailed =>
  "code" in error && closed.has(error.code) ? new OutputClosed() : new OutputFailed({ detail: error.message })

/** Writes as it is; done when the system has taken it, so that a slow reader slows the writer. */
const write = (text: string): Effect.Effect<void, OutputClosed | OutputFailed> =>
  Effect.callback((resume) => {
    process.stdout.write(text, (error) => resume(error ? Effect.fail(failure(error)) : Effect.void))
  })

/** A text and a line break; nothing for no text. */
export const text = (value: string): Effect.Effect<void, OutputClosed | OutputFailed> =>
  value === "" ? Effect.void : write(`${value}\n`)

/** One document, indented. */
export const json = (value: unknown): Effect.Effect<void, OutputClosed | OutputFailed> =>
  write(`${JSON.stringify(value, null, 2)}\n`)

/** One value per line, for streams. */
export const jsonLines = (values: ReadonlyArray<unknown>): Effect.Effect<void, OutputClosed | OutputFailed> =>
  values.length === 0 ? Effect.void : write(`${values.map((value) => JSON.stringify(value)).join("\n")}\n`)

/** A remark for the person, on stderr. */
export const note = (value: string): Effect.Effect<void> =>
  Effect.sync(() => {
    process.stderr.write(`nerve: ${value}\n`)
  })

/**
 * A terminal that does not read (Ctrl-S) or is gone would otherwise stop the whole process in its next
 * write, workers, timers and control socket with it: Node writes to terminals synchronously. It has no
 * public way to change that, hence the look inside; where that looks different, nothing changes.
 */
export const neverBlock: Effect.Effect<void> = Effect.sync(() => {
  const handle: unknown = Reflect.get(process.stdout, "_handle")
  if (typeof handle !== "object" || handle === null || !("setBlocking" in handle)) return
  if (typeof handle.setBlocking === "function") handle.setBlocking(false)
})

/** Colours on a terminal, unless `NO_COLOR` is set. */
export const style: Effect.Effect<Style> = Effect.sync(() => {
  const noColor = process.env["NO_COLOR"]
  return process.stdout.isTTY === true && (noColor === undefined || noColor === "") ? colored : plain
})

/**
 * Without a listener a write to a closed pipe would end the process with a stack trace; the writers
 * get the same error from their callbacks.
 */
export const listenForErrors: Effect.Effect<void> = Effect.sync(() => {
  process.stdout.on("error", () => {})
  process.stderr.on("error", () => {})
})
