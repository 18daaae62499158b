/**
 * What user code threw, in words for a person: a message, and of the stack only the frames that lie
 * in the user's own files, with paths relative to the workspace. Frames of nerve, of Effect, of Node
 * and of packages help nobody who is mending a sense.
 */
import * as Cause from "effect/Cause"
import { realpathSync } from "node:fs"
import { sep } from "node:path"
import { pathToFileURL } from "node:url"
import { inspect } from "node:util"

/** A described error. `stack` holds one user frame per line, null when there is none. */
export interface Described {
  readonly message: string
  readonly stack: string | null
}

/** An error's chain of causes is followed this far: deeper ones repeat what was said. */
const maxCauses = 3

/** An error's text is for people to read; it ends up in the log. */
const maxMessageLength = 2_000

/** An endless recursion has as many frames as the user's `Error.stackTraceLimit` allows. */
const maxFrames = 20

/** What was thrown, in one line: `Expected a finite number at ["usage"]`. */
export const inOneLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/\n\s*/g, " ")

/** Describes any thrown or failed value. */
export const describe = (error: unknown, workspace: string): Described => ({
  message: cut(relative(messageOf(error), workspace)),
  stack: stackOf(error, workspace, 0)
})

/** Describes why an Effect ended: its first failure, else its first defect, else that it interrupted itself. */
export const describeCause = (cause: Cause.Cause<unknown>, workspace: string): Described => {
  const reason = cause.reasons.find(Cause.isFailReason) ?? cause.reasons.find(Cause.isDieReason)
  if (reason === undefined) return { message: "the fiber interrupted itself", stack: null }
  const described = describe(Cause.isFailReason(reason) ? reason.error : reason.defect, workspace)
  if (described.stack !== null) return described
  // A failure that is no Error has no stack of its own; the cause may know where it came from.
  const pretty = Cause.prettyErrors(Cause.fromReasons([reason]))[0]
  return { ...described, stack: frames(pretty?.stack ?? "", workspace).join("\n") || null }
}

/** The frames of a stack that lie in user files, such as `at compute (senses/cpu/index.ts:3:9)`. */
export const frames = (stack: string, workspace: string): ReadonlyArray<string> =>
  stack
    .split("\n")
    .map((line) => line.trim())
    .filter((frame) => frame.startsWith("at ") && !frame.includes("node_modules/"))
    .filter((frame) => roots(workspace).some((root) => frame.includes(root)))
    .slice(0, maxFrames)
    .map((frame) => relative(frame, workspace))

/** A text with the workspace's path taken out of the file names in it, reload queries too. */
export const relative = (text: string, workspace: string): string =>
  roots(workspace)
    .reduce((result, root) => result.replaceAll(root, ""), text)
    .replace(/\.([cm]?[jt]s)\?v=[^:)\s]*/g, ".$1")

/** Names the kind of a value that should have been something else: `a function`, `an object with the keys a, b`. */
export const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return String(value)
  if (typeof value === "function") return /^class\b/.test(String(value)) ? "a class" : "a function"
  if (Array.isArray(value)) return "an array"
  if (value instanceof Promise) return "a promise"
  if (typeof value !== "object") return `a ${typeof value}`
  const keys = Object.keys(value)
  if (keys.length === 0) return "an object without keys"
  return `an object with the keys ${keys.slice(0, 5).join(", ")}${keys.length > 5 ? ", …" : ""}`
}

const messageOf = (error: unknown): string => {
  const parts: Array<string> = []
  let current: unknown = error
  // Bounded by depth, not by parts: a cause may lead round in a circle.
  for (let depth = 0; depth <= maxCauses; depth++) {
    const text = ownMessage(current)
    // Wrappers often repeat the text of what they wrap.
    if (!parts.some((part) => part.includes(text))) parts.push(text)
    current = causeOf(current)
    if (current === undefined || current === null) break
  }
  return parts.join(": ")
}

const ownMessage = (error: unknown): string => {
  if (typeof error === "string") return error
  if (typeof error !== "object" || error === null) return `the value ${inspect(error)}`
  const tag = "_tag" in error && typeof error._tag === "string" ? error._tag : undefined
  if ("message" in error && typeof error.message === "string" && error.message !== "") {
    const name = "name" in error && typeof error.name === "string" ? error.name : "Error"
    return name === "Error" || name === tag ? error.message : `${name}: ${error.message}`
  }
  return tag ?? (error instanceof Error ? error.name : inspect(error, { depth: 2, breakLength: Infinity }))
}

const cut = (text: string): string => (text.length > maxMessageLength ? `${text.slice(0, maxMessageLength)}…` : text)

const causeOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null && "cause" in error ? error.cause : undefined

const stackOf = (error: unknown, workspace: string, depth: number): string | null => {
  if (typeof error !== "object" || error === null || depth > maxCauses) return null
  const own = "stack" in error && typeof error.stack === "string" ? frames(error.stack, workspace) : []
  return own.length > 0 ? own.join("\n") : stackOf(causeOf(error), workspace, depth + 1)
}

/** The workspace as stacks may spell it: as a URL or a path, also after symbolic links are resolved. */
const roots = (workspace: string): ReadonlyArray<string> => {
  const bare = workspace.endsWith(sep) ? workspace.slice(0, -1) : workspace
  const real = realpath(bare)
  const paths = real === bare ? [bare] : [bare, real]
  return [...paths.map((path) => `${pathToFileURL(path).href}/`), ...paths.map((path) => path + sep)]
}

// A workspace that has vanished must not turn the report of one error into another.
const realpath = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
