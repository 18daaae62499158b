/**
 * What one compute of a sense did, or would do. Pure.
 *
 * Wire format: `nerve sense test --json` prints a `View`. Fields may be added, never renamed.
 */
import type { Problem } from "@nerve/core/domain/Problem"
import type { TickLine } from "@nerve/core/domain/Tick"
import type { Launch } from "@nerve/core/wire/SenseRpcs"
import type { DatabaseDiff, Row, TableDiff } from "@nerve/node/sense/DatabaseDiff"
import type { Trial } from "@nerve/node/sense/SenseTrial"
import type * as Schema from "effect/Schema"
import { count, safe } from "./Text.ts"
import type { Look } from "./Look.ts"

export interface View {
  readonly sense: string
  /** Whether it was for good. */
  readonly committed: boolean
  readonly outcome: "signal" | "no-signal" | "error" | "timeout" | "killed" | "died" | "broken"
  /** The signal's value; null without one. */
  readonly value: Schema.Json
  readonly launches: ReadonlyArray<Launch>
  /** Why there was no signal, or what went wrong; null when there is nothing to say. */
  readonly detail: string | null
  /** Where, of an error. */
  readonly stack: string | null
  readonly problem: Problem | null
  readonly durationMs: number
  readonly lines: ReadonlyArray<TickLine>
  /** Tables in which something is different; of each kind the first few rows. */
  readonly tables: ReadonlyArray<TableDiff>
  /** The sense's state before and after; null when it is the same. */
  readonly state: DatabaseDiff["state"]
  /** Id of the signal's log entry. */
  readonly signal: number | null
  /** Threads that were launched. */
  readonly threads: ReadonlyArray<string>
}

export const of = (trial: Trial, done: Pick<View, "committed" | "signal" | "threads">): View => {
  const { changes, durationMs, lines, outcome, sense } = trial
  const base: View = {
    sense: sense.name,
    ...done,
    outcome: "no-signal",
    value: null,
    launches: [],
    detail: null,
    stack: null,
    problem: null,
    durationMs,
    lines,
    tables: changes?.tables ?? [],
    state: changes?.state ?? null
  }
  switch (outcome._tag) {
    case "Signal":
      return { ...base, outcome: "signal", value: outcome.value, launches: outcome.launches }
    case "NoSignal":
      return { ...base, detail: outcome.reason }
    case "Failed":
      return { ...base, outcome: "error", detail: outcome.message, stack: outcome.stack }
    case "TimedOut":
      return { ...base, outcome: "timeout", detail: outcome.message }
    case "Killed":
      return { ...base, outcome: "killed", detail: outcome.message }
    case "Died": {
      const stderr = outcome.stderr.trim()
      return { ...base, outcome: "died", detail: outcome.message, stack: stderr === "" ? null : stderr }
    }
    case "Broken":
      return { ...base, outcome: "broken", detail: outcome.problem.message, problem: outcome.problem }
  }
}

export const hasFailed = ({ outcome }: View): boolean => outcome !== "signal" && outcome !== "no-signal"

export const render = (view: View, look: Look): string =>
  [
    headline(view, look),
    ...view.launches.map(
      ({ prompt, workflow }) => `${view.committed ? "launches" : "would launch"} ${workflow}: ${oneLine(prompt)}`
    ),
    ...view.threads.map((thread) => `thread ${thread}`),
    ...section("log", view.lines.map(logLine), look),
    ...section(view.committed ? "changed" : "would change", changes(view), look),
    "",
    look.style.dim(last(view))
  ].join("\n")

const headline = (view: View, { style }: Look): string => {
  const { detail, problem, sense, stack, value } = view
  const indented = (text: string | null) => (text === null ? [] : text.split("\n").map((line) => `  ${safe(line)}`))
  switch (view.outcome) {
    case "signal":
      return `${style.bold(sense)} signals ${safe(JSON.stringify(value))}`
    case "no-signal":
      return `${style.bold(sense)} has nothing to say${detail === null ? "" : `: ${oneLine(detail)}`}`
    case "broken":
      return [`${style.bold(sense)} does not load: ${oneLine(detail ?? "")}`, ...indented(problem?.hint || null)].join(
        "\n"
      )
    default:
      return [`${style.bold(sense)} fails (${view.outcome}): ${oneLine(detail ?? "")}`, ...indented(stack)].join("\n")
  }
}

const section = (title: string, lines: ReadonlyArray<string>, { style }: Look): ReadonlyArray<string> =>
  lines.length === 0 ? [] : ["", style.dim(title), ...lines.map((line) => `  ${line}`)]

const logLine = ({ fields, level, message }: TickLine): string =>
  [level.toLowerCase().padEnd(6), oneLine(message), ...pairs(fields)].join(" ")

const changes = ({ state, tables }: View): ReadonlyArray<string> => [
  ...tables.flatMap(({ added, changed, removed, table }) => [
    `${safe(table)}: ${[
      added.count > 0 ? `${added.count} added` : "",
      changed.count > 0 ? `${changed.count} changed` : "",
      removed.count > 0 ? `${removed.count} removed` : ""
    ]
      .filter((text) => text !== "")
      .join(", ")}`,
    ...added.rows.map((row) => `  + ${pairs(row).join(" ")}`),
    ...changed.rows.map(({ after, before }) => `  ~ ${changedPairs(before, after).join(" ")}`),
    ...removed.rows.map((row) => `  - ${pairs(row).join(" ")}`),
    ...more(added.count + changed.count + removed.count - added.rows.length - changed.rows.length - removed.rows.length)
  ]),
  ...(state === null ? [] : [`state: ${json(state.before)} -> ${json(state.after)}`])
]

const more = (left: number): ReadonlyArray<string> => (left <= 0 ? [] : [`  and ${count(left, "more row")}`])

const last = ({ committed, durationMs, outcome, signal }: View): string => {
  const took = `${Math.round(durationMs)} ms`
  if (!committed) return `took ${took} on a copy; nothing was saved (--commit computes for good)`
  if (signal !== null) return `took ${took}; saved, the signal is entry ${signal} of the log`
  return outcome === "no-signal" ? `took ${took}; saved` : `took ${took}; nothing was saved`
}

const pairs = (row: Row): ReadonlyArray<string> =>
  Object.entries(row).map(([name, value]) => `${safe(name)}=${json(value)}`)

/** The columns that are the same once, the others with both values. */
const changedPairs = (before: Row, after: Row): ReadonlyArray<string> =>
  Object.entries(after).map(([name, value]) =>
    json(before[name] ?? null) === json(value)
      ? `${safe(name)}=${json(value)}`
      : `${safe(name)}=${json(before[name] ?? null)}->${json(value)}`
  )

const json = (value: Schema.Json): string => oneLine(JSON.stringify(value))

const oneLine = (text: string): string => {
  const line = safe(text.replace(/\s+/g, " "))
  return line.length > 200 ? `${line.slice(0, 200)}…` : line
}
