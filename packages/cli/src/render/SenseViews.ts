/**
 * Senses by what they have come to and by when they compute, and what became of their ticks, as tables. Pure.
 */
import type { Tick, TickLine, TickOutcome } from "@nerve/core/domain/Tick"
import type { SenseView } from "@nerve/core/wire/ControlRpcs"
import type { Look } from "./Look.ts"
import { withProblems } from "./Problems.ts"
import { type Style, tinted, type Tones } from "./Style.ts"
import * as Table from "./Table.ts"
import { count, oneLine } from "./Text.ts"
import { brief, moment, relative, span } from "./Time.ts"

/** Who it is and what starts it: what every table of senses begins with. */
const identity = (style: Style): ReadonlyArray<Table.Column<SenseView>> => [
  { title: "SENSE", value: (sense) => sense.name },
  { title: "GROUP", value: (sense) => sense.group },
  { title: "STATUS", value: (sense) => tinted(style, statusTones, sense.status) },
  { title: "RUNS", value: trigger }
]

const statusTones: Tones<SenseView["status"]> = { ok: "green", running: "cyan", waiting: "yellow", failed: "red" }

const trigger = (sense: SenseView): string =>
  [
    ...(sense.intervalMs === null ? [] : [`every ${span(sense.intervalMs)}`]),
    ...(sense.cron === null ? [] : [`cron ${sense.cron}`]),
    ...(sense.on.length === 0 ? [] : [`on ${sense.on.join(", ")}`])
  ].join(", ") || "by trigger"

/** By what they have come to so far. */
export const counts = (items: ReadonlyArray<SenseView>, { now, style }: Look): string =>
  withProblems(
    Table.render<SenseView>(
      [
        ...identity(style),
        { title: "LAST", value: (sense) => relative(sense.lastAt, now) },
        { title: "NEXT", value: (sense) => relative(sense.nextAt, now) },
        { title: "COMPUTES", value: (sense) => String(sense.computes), align: "right" },
        { title: "SIGNALS", value: (sense) => String(sense.signals), align: "right" },
        { title: "ERRORS", value: (sense) => String(sense.errors), align: "right" }
      ],
      items,
      style
    ),
    items,
    style
  )

/** By when they compute, as `systemctl list-timers` has it. */
export const timers = (items: ReadonlyArray<SenseView>, { now, style }: Look): string =>
  withProblems(
    Table.render<SenseView>(
      [
        ...identity(style),
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

const at = (time: number | null, now: number): string => (time === null ? "-" : moment(time, now))

/** How far off, to the second, so that the columns stand still. */
const off = (milliseconds: number | null): string =>
  milliseconds === null ? "-" : span(Math.max(0, Math.round(milliseconds / 1_000)) * 1_000)

/** Those that come next first, then those that only a trigger starts. */
const byNext = (left: SenseView, right: SenseView): number =>
  (left.nextAt ?? Number.MAX_VALUE) - (right.nextAt ?? Number.MAX_VALUE)

/** Newest first, each with what its compute logged beneath. */
export const ticks = (items: ReadonlyArray<Tick>, { now, style }: Look): string => {
  const [heading = "", ...rows] = Table.render<Tick>(
    [
      { title: "DUE", value: (tick) => moment(tick.dueAt, now) },
      { title: "CAUSE", value: (tick) => tick.cause },
      { title: "OUTCOME", value: (tick) => tinted(style, outcomeTones, tick.outcome) },
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

const outcomeTones: Tones<TickOutcome> = {
  signal: "green",
  error: "red",
  killed: "red",
  timeout: "yellow",
  interrupted: "yellow",
  missed: "yellow",
  skipped: "none",
  throttled: "none",
  collapsed: "none",
  "no-signal": "dim"
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
