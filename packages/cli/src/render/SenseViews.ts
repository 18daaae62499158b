/**
 * Senses by when they compute, and what became of their ticks, as tables. Pure.
 */
import type { Tick, TickLine, TickOutcome } from "@nerve/core/domain/Tick"
import type { SenseView } from "@nerve/core/wire/ControlRpcs"
import type { Style } from "./Style.ts"
import * as Table from "./Table.ts"
import { count, oneLine } from "./Text.ts"
import { brief, moment, span } from "./Time.ts"
import { type Look, senseStatus, trigger, withProblems } from "./Views.ts"

const at = (time: number | null, now: number): string => (time === null ? "-" : moment(time, now))

/** How far off, to the second, so that the columns stand still. */
const off = (milliseconds: number | null): string =>
  milliseconds === null ? "-" : span(Math.max(0, Math.round(milliseconds / 1_000)) * 1_000)

/** Those that come next first, then those that only a trigger starts. */
const byNext = (left: SenseView, right: SenseView): number =>
  (left.nextAt ?? Number.MAX_VALUE) - (right.nextAt ?? Number.MAX_VALUE)

/** As `systemctl list-timers` has it. */
export const timers = (items: ReadonlyArray<SenseView>, { now, style }: Look): string =>
  withProblems(
    Table.render<SenseView>(
      [
        { title: "SENSE", value: (sense) => sense.name },
        { title: "GROUP", value: (sense) => sense.group },
        { title: "STATUS", value: (sense) => senseStatus(style, sense.status) },
        { title: "RUNS", value: trigger },
        { title: "NEXT", value: (sense) => at(sense.nextAt, now) },
        { title: "LEFT", value: (sense) => off(sense.nextAt === null ? null : sense.nextAt - now), align: "right" },
        { title: "LAST", value: (sense) => at(sense.lastAt, now) },
        { title: "PASSED", value: (sense) => off(sense.lastAt === null ? null : now - sense.lastAt), align: "right" }
      ],
      items.toSorted(byNext),
      style
    ),
    items,
    style
  )

const outcome = (style: Style, value: TickOutcome): string => {
  switch (value) {
    case "signal":
      return style.green(value)
    case "error":
    case "killed":
      return style.red(value)
    case "timeout":
    case "interrupted":
    case "missed":
      return style.yellow(value)
    case "skipped":
    case "throttled":
    case "collapsed":
      return value
    case "no-signal":
      return style.dim(value)
  }
}

const what = (tick: Tick): string =>
  [
    ...(tick.count === 1 ? [] : [`${tick.count} ticks`]),
    ...(tick.signal === null ? [] : [`entry ${tick.signal}`]),
    ...(tick.threads.length === 0 ? [] : [`launched ${tick.threads.join(", ")}`]),
    ...(tick.detail === null ? [] : [oneLine(tick.detail, 120)])
  ].join("; ")

/** Lines of a compute that are shown; `--json` has all that are kept. */
const shownLines = 5

const line = ({ fields, level, message }: TickLine): string =>
  `${level.toLowerCase()}: ${oneLine(message, 200)}${Object.keys(fields).length === 0 ? "" : ` ${oneLine(JSON.stringify(fields), 200)}`}`

const linesOf = ({ lines, linesLeftOut }: Tick, style: Style): ReadonlyArray<string> => {
  const more = lines.length - shownLines + linesLeftOut
  return [...lines.slice(0, shownLines).map(line), ...(more > 0 ? [`${count(more, "more line")}`] : [])].map((text) =>
    style.dim(`    ${text}`)
  )
}

/** Newest first, each with what its compute logged beneath. */
export const ticks = (items: ReadonlyArray<Tick>, { now, style }: Look): string => {
  const [heading = "", ...rows] = Table.render<Tick>(
    [
      { title: "DUE", value: (tick) => moment(tick.dueAt, now) },
      { title: "CAUSE", value: (tick) => tick.cause },
      { title: "OUTCOME", value: (tick) => outcome(style, tick.outcome) },
      {
        title: "LATE",
        value: (tick) => (tick.startedAt === null ? "-" : brief(tick.startedAt - tick.dueAt)),
        align: "right"
      },
      { title: "TOOK", value: (tick) => (tick.durationMs === null ? "-" : brief(tick.durationMs)), align: "right" },
      { title: "WHAT", value: what }
    ],
    items,
    style
  ).split("\n")
  return [
    heading,
    ...rows.flatMap((row, index) => [row, ...(items[index] === undefined ? [] : linesOf(items[index], style))])
  ].join("\n")
}
