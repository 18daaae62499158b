/**
 * What `SensePool` keeps of each sense and each group, and what can be told from it alone.
 */
import type { SenseConfig } from "@nerve/core/config/NerveConfig"
import { GroupName, type SenseName } from "@nerve/core/domain/Ids"
import type { Problem } from "@nerve/core/domain/Problem"
import * as SenseSchedule from "@nerve/core/sense/SenseSchedule"
import type { SenseView } from "@nerve/core/wire/ControlRpcs"
import * as Latch from "effect/Latch"
import * as TickLines from "./tickLines.ts"

export interface Group {
  readonly name: GroupName
  /** Whether its worker takes computes. */
  ready: boolean
  /** Which incarnation of its worker was ready last; 0 when none was. */
  incarnation: number
  /** Evictions under way. */
  evicting: number
  /** Senses under which the last worker died, to be tried alone. */
  suspects: Array<Sense>
  /** Whether it was asked to have a worker. */
  started: boolean
  /** Versions of modules that its worker has loaded since it started. */
  imports: number
  /** Which senses its worker was told there are. */
  peers: ReadonlyArray<SenseName>
}

export interface Sense {
  /** Where it is. */
  group: Group
  /** Where it is to be; null: nowhere, it leaves. */
  target: Group | null
  /** What its worker has to take over: its code as it is now, or only its settings. */
  stale: "code" | "settings" | null
  /** Files that have changed since its code was loaded. */
  changed: ReadonlyArray<string>
  /** Of its module in the worker that runs; undefined for what the worker loaded at its start. */
  version: string | undefined
  /** A worker died while it was booted: workers start without it, and boot it afterwards. */
  isolated: boolean
  /** It waits to be booted alone, or is: if the worker dies again, it has done it. */
  onTrial: boolean
  /** The incarnation that died at its trial; 0 if none did. */
  leftOutAt: number
  config: SenseConfig
  schedule: SenseSchedule.State
  /** Open when a compute is to start. */
  readonly go: Latch.Latch
  /** Why the current compute runs. */
  cause: SenseSchedule.Cause
  /** When it was due, in milliseconds since the Unix epoch. */
  dueAt: number
  /** What it has logged. */
  lines: TickLines.TickLines
  /** Null until the current compute passes its bound; then the others of its group that were computing. */
  overran: ReadonlyArray<Sense> | null
  /** Whether the last compute was interrupted by its worker's going. */
  interrupted: boolean
  /** Why it does not load. */
  problem: Problem | null
  /** Its migrations are still being applied. */
  booting: boolean
  /** Key of its last signal in the log; null when there is none, undefined until that is known. */
  recorded: string | null | undefined
  /** Milliseconds since the Unix epoch. */
  lastAt: number | null
  computes: number
  signals: number
  errors: number
}

export const newGroup = (name: GroupName): Group => ({
  name,
  ready: false,
  incarnation: 0,
  evicting: 0,
  suspects: [],
  started: false,
  imports: 0,
  peers: []
})

/** The group of a sense on its way from one to another. */
export const nowhere: Group = newGroup(GroupName.make("none"))

export const newSense = (config: SenseConfig, group: Group, now: number, wallOffset: number): Sense => ({
  group,
  target: group,
  stale: null,
  changed: [],
  version: undefined,
  isolated: false,
  onTrial: false,
  leftOutAt: 0,
  config,
  schedule: SenseSchedule.make(SenseSchedule.settings(config), now, wallOffset),
  go: Latch.makeUnsafe(),
  cause: { _tag: "Interval" },
  dueAt: 0,
  lines: TickLines.make(),
  overran: null,
  interrupted: false,
  problem: null,
  booting: false,
  recorded: undefined,
  lastAt: null,
  computes: 0,
  signals: 0,
  errors: 0
})

export const dependentsIn = (senses: Iterable<Sense>): ReadonlyMap<string, ReadonlyArray<Sense>> => {
  const all = new Map<string, Array<Sense>>()
  for (const sense of senses) {
    for (const source of sense.config.on) {
      const others = all.get(source)
      if (others === undefined) all.set(source, [sense])
      else others.push(sense)
    }
  }
  return all
}

export const isComputing = (sense: Sense): boolean => sense.schedule.phase._tag === "Running"

/** Whether there is something to do at its next idle moment. */
export const isToChange = (sense: Sense): boolean => sense.target !== sense.group || sense.stale !== null

export const canCompute = (sense: Sense): boolean =>
  sense.problem === null && !sense.booting && sense.recorded !== undefined && !isToChange(sense)

/** Whether a worker that has just died may have died of loading it. */
export const mayHaveKilled = (sense: Sense, incarnation: number): boolean =>
  !sense.isolated && (sense.booting || incarnation !== sense.group.incarnation)

export const boundMs = (sense: Sense): number => sense.schedule.settings.boundMs

const statusOf = (sense: Sense): SenseView["status"] => {
  if (sense.problem !== null) return "failed"
  if (SenseSchedule.isRunning(sense.schedule)) return "running"
  return sense.group.ready && !sense.booting && !sense.onTrial ? "ok" : "waiting"
}

/** What people are shown of it. */
export const viewOf = (sense: Sense, wallOf: (at: number) => number): SenseView => {
  const nextAt = SenseSchedule.nextStartAt(sense.schedule)
  return {
    name: sense.config.name,
    group: sense.group.name,
    status: statusOf(sense),
    problem: sense.problem,
    intervalMs: sense.config.intervalMs,
    cron: sense.config.cron?.expression ?? null,
    on: sense.config.on,
    nextAt: nextAt === null ? null : wallOf(nextAt),
    lastAt: sense.lastAt,
    computes: sense.computes,
    signals: sense.signals,
    errors: sense.errors
  }
}
