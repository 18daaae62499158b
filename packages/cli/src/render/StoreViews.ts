/**
 * Reports on the log, for people. Pure.
 */
import type {
  ArchiveReport,
  RebuildReport,
  StoreStats,
  VacuumReport,
  VerifyReport
} from "@nerve/core/wire/StoreReports"
import { count, safe } from "./Text.ts"
import { relative } from "./Time.ts"
import type { Look } from "./Look.ts"

const units = ["bytes", "KiB", "MiB", "GiB", "TiB"] as const

/** `14.2 MiB` */
export const bytes = (value: number): string => {
  const power = value < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10))
  const scaled = value / 1024 ** power
  return `${power === 0 ? scaled : scaled.toFixed(1)} ${units[power]}`
}

const known = (value: number | null): string => (value === null ? "unknown" : bytes(value))

/** `2026-01-01`, or `2026-01-01 to 2026-01-05`. */
const range = (days: ReadonlyArray<string>): string =>
  days.length === 1 ? `${days[0]}` : `${days[0]} to ${days.at(-1)}`

export const archive = (report: ArchiveReport): string => {
  const { days, entries, removedBlobs, removedBytes, removedDays, removedThreads } = report
  const lines = [
    ...(days.length === 0
      ? []
      : [`archived ${count(days.length, "day")} (${range(days)}) with ${count(entries, "entry", "entries")}`]),
    ...(removedDays.length === 0
      ? []
      : [
          `removed ${count(removedDays.length, "archived day")} (${range(removedDays)}) and ${count(removedThreads, "thread")}`
        ]),
    ...(removedBlobs === 0 ? [] : [`removed ${count(removedBlobs, "large payload")} (${bytes(removedBytes)})`])
  ]
  return lines.length === 0 ? "nothing to archive" : lines.join("\n")
}

export const verify = ({ archivedDays, blobs, entries, ok, problems, runs }: VerifyReport): string =>
  ok
    ? `no damage: ${[
        count(entries, "entry", "entries"),
        count(archivedDays, "archived day"),
        count(blobs, "large payload"),
        count(runs, "thread")
      ].join(", ")}`
    : [
        ...problems.map(({ message, part }) => `${part}: ${safe(message)}`),
        `${count(problems.length, "problem")}`
      ].join("\n")

export const rebuild = ({ runs }: RebuildReport): string => `computed ${count(runs, "thread")} anew from the log`

export const vacuum = ({ after, before }: VacuumReport): string => `${bytes(before)} before, ${bytes(after)} now`

export const stats = (report: StoreStats, { now }: Look): string => {
  const { archive, blobs, entries, fileBytes, freeBytes, lastId, oldestAt, runs } = report
  const oldest = oldestAt === null ? "" : `, the oldest ${relative(oldestAt, now)}`
  const span = archive.first === null ? "" : ` (${archive.first} to ${archive.last})`
  return [
    `database  ${known(fileBytes)}, ${count(entries, "entry", "entries")}${oldest}; last id ${lastId}`,
    `archive   ${bytes(archive.bytes)}, ${count(archive.days, "day")}${span}, ${count(archive.entries, "entry", "entries")}`,
    `payloads  ${bytes(blobs.bytes)}, ${count(blobs.count, "large one")}`,
    `threads   ${runs.length === 0 ? "none" : runs.map(({ count, status }) => `${count} ${status}`).join(", ")}`,
    `free      ${known(freeBytes)}`
  ].join("\n")
}
