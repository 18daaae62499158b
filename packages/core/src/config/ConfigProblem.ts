/**
 * What is wrong with a `nerve.yaml`: problems with their places, the error that holds all of them,
 * and how they are shown to a person. It imports no YAML parser, so that whoever only shows problems
 * need not load one.
 */
import * as Schema from "effect/Schema"

/** Steps from the top of the file to a value: keys of mappings, and indices of lists from 0. */
export const KeyPath = Schema.Array(Schema.Union([Schema.String, Schema.Int]))
export type KeyPath = typeof KeyPath.Type

/** One mistake. Wire format: `nerve validate --json` prints it as it is. */
export const ConfigProblem = Schema.Struct({
  /** From 1. */
  line: Schema.Int,
  /** From 1, in UTF-16 code units, as editors count. A byte order mark does not count. */
  column: Schema.Int,
  path: KeyPath,
  /** The path as text, `senses.cpu-usage.on[0]`; empty for the file as a whole. */
  key: Schema.String,
  /** What is wrong. */
  message: Schema.String,
  /** What would be right. */
  expected: Schema.String,
  /** What was probably meant: a key, a name or a value. */
  suggestion: Schema.NullOr(Schema.String)
})
export type ConfigProblem = typeof ConfigProblem.Type

/** The file cannot be used. Holds every problem of it, in the order of their places. */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>()("ConfigInvalid", {
  /** The file's name as the caller gave it. */
  file: Schema.String,
  problems: Schema.Array(ConfigProblem),
  /** How many more there are: only the first `maxProblems` are kept. */
  omitted: Schema.Int
}) {
  override get message(): string {
    return count(this.problems.length + this.omitted, this.file)
  }
}

/** Nobody reads more than this many; a file of a million mistakes must not make a million problems. */
export const maxProblems = 100

/** `senses.cpu-usage.on[0]`; a key that is no plain word is quoted: `senses."a.b"`. */
export const formatPath = (path: KeyPath): string => {
  let text = ""
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`
    else text += (text === "" ? "" : ".") + (/^[\w-]{1,80}$/.test(step) ? step : quote(step))
  }
  return text
}

/** A text from the file, quoted, with what could confuse a terminal escaped, and cut when it is long. */
export const quote = (text: string): string =>
  visible(JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text))

/** One line: `nerve.yaml:12:5  senses.cpu.intervall: unknown key; did you mean "interval"?` */
export const formatProblem = (problem: ConfigProblem, file: string): string => {
  const place = `${file}:${problem.line}:${problem.column}`
  const what = problem.key === "" ? problem.message : `${problem.key}: ${problem.message}`
  const hint =
    problem.suggestion === null ? `expected ${problem.expected}` : `did you mean ${quote(problem.suggestion)}?`
  return `${place}  ${what}; ${hint}`.split("\n").map(visible).join("\n")
}

/**
 * All problems for a person: each with its source line and a caret beneath, and their number at the
 * end. `text` is the file as it was parsed. No colours, no trailing line break.
 */
export const format = (
  problems: ReadonlyArray<ConfigProblem>,
  text: string,
  file: string,
  omitted: number = 0
): string => {
  const lines = text.replace(/^\uFEFF/, "").split("\n")
  const blocks = problems.map((problem) =>
    [formatProblem(problem, file), ...excerpt(lines[problem.line - 1] ?? "", problem)].join("\n")
  )
  const more = omitted === 0 ? [] : [`... and ${omitted} more`]
  return [...blocks, ...more, count(problems.length + omitted, file)].join("\n\n")
}

const count = (problems: number, file: string): string => `${problems} problem${problems === 1 ? "" : "s"} in ${file}`

/** Columns of source that are shown to each side of a problem. */
const excerptReach = 60

/** The source line and the caret's line. Tabs stay tabs in both, so that the caret stands right. */
const excerpt = (line: string, { column, line: number }: ConfigProblem): ReadonlyArray<string> => {
  if (line.trim() === "") return []
  const from = column > excerptReach ? column - excerptReach : 0
  const shown = visible(line.slice(from, column + excerptReach).trimEnd())
  const before = visible(line.slice(from, column - 1)).replace(/[^\t]/g, " ")
  const gutter = String(number).padStart(5)
  return [`${gutter} | ${shown}`, `${" ".repeat(gutter.length)} | ${before}^`]
}

/** Control characters, and those that reorder text, would let a file write to the reader's terminal. */
const visible = (text: string): string =>
  // oxlint-disable-next-line no-control-regex
  text.replace(/[\u0000-\u0008\u000A-\u001F\u007F-\u009F\u200E\u200F\u2028-\u202E\u2066-\u2069]/g, "\uFFFD")
