/**
 * Reads how long each core has been busy since boot, and computes usage from two such readings.
 */
import { readFile } from "node:fs/promises"
import { type CpuInfo, cpus, platform } from "node:os"
import * as Schema from "effect/Schema"

/** One core. `busy` and `total` are running counters in a unit of the system's (ticks, milliseconds). */
export const Core = Schema.Struct({ name: Schema.String, busy: Schema.Finite, total: Schema.Finite })
export type Core = typeof Core.Type

/** Usage between two readings, from 0 to 1: over all cores, and of the busiest one. */
export interface Usage {
  readonly usage: number
  readonly busiest: number
}

/** The `cpuN` lines of `/proc/stat`: user nice system idle iowait irq softirq steal, in ticks. */
export const parseStat = (text: string): ReadonlyArray<Core> =>
  text
    .split("\n")
    .filter((line) => /^cpu\d+ /.test(line))
    .map((line) => {
      const [name = "", ...fields] = line.trim().split(/\s+/)
      // What comes after `steal` (guest times) is in `user` and `nice` already.
      const ticks = fields.slice(0, 8).map(Number)
      const total = ticks.reduce((sum, value) => sum + value, 0)
      const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0)
      return { name, busy: total - idle, total }
    })

/** The same from `os.cpus()`, for systems without `/proc`. */
export const fromOs = (infos: ReadonlyArray<Pick<CpuInfo, "times">>): ReadonlyArray<Core> =>
  infos.map(({ times }, index) => {
    const busy = times.user + times.nice + times.sys + times.irq
    return { name: `cpu${index}`, busy, total: busy + times.idle }
  })

/** The counters of this machine as they are now. */
export const readCores = async (): Promise<ReadonlyArray<Core>> =>
  platform() === "linux" ? parseStat(await readFile("/proc/stat", "utf8")) : fromOs(cpus())

/** `iowait` may run backwards by a tick, which would make a core more than busy. */
const clamp = (share: number): number => Math.min(1, Math.max(0, share))

/** Undefined when the counters do not follow each other: no time has passed, or the machine rebooted. */
export const usageBetween = (before: ReadonlyArray<Core>, after: ReadonlyArray<Core>): Usage | undefined => {
  const earlier = new Map(before.map((core) => [core.name, core]))
  const spans = after.flatMap((core) => {
    const start = earlier.get(core.name)
    return start === undefined ? [] : [{ busy: core.busy - start.busy, total: core.total - start.total }]
  })
  if (spans.some((span) => span.total < 0)) return undefined
  const total = spans.reduce((sum, span) => sum + span.total, 0)
  if (total === 0) return undefined
  const busy = spans.reduce((sum, span) => sum + span.busy, 0)
  return {
    usage: clamp(busy / total),
    busiest: Math.max(...spans.map((span) => (span.total === 0 ? 0 : clamp(span.busy / span.total))))
  }
}
