/**
 * Puts other senses in force, by what is different. What a sense has to do for it, it does itself: see
 * `senseChanges`.
 */
import type { SenseConfig } from "@nerve/core/config/NerveConfig"
import * as SenseSchedule from "@nerve/core/sense/SenseSchedule"
import * as Effect from "effect/Effect"
import { initOf } from "./senseBoot.ts"
import type { SenseChanges } from "./senseChanges.ts"
import type { SenseClock } from "./senseClock.ts"
import type { Pool, SenseGroups } from "./senseGroups.ts"
import { newSense, type Sense } from "./senseState.ts"

export interface Options extends Pick<Pool, "roster" | "feed"> {
  readonly clock: SenseClock
  readonly groups: SenseGroups
  readonly changes: SenseChanges
  /** Has a sense that is new run its computes. */
  readonly run: (sense: Sense) => Effect.Effect<unknown>
}

/** Not twice at the same time. */
export const make = (pool: Options): ((configs: ReadonlyArray<SenseConfig>) => Effect.Effect<void>) => {
  const { changes, clock, groups, roster } = pool
  const { present, senses } = roster

  /** Those that are in force no more. */
  const leave = (configs: ReadonlyArray<SenseConfig>): ReadonlyArray<Sense> => {
    const names = new Set<string>(configs.map((config) => config.name))
    const leaving = Array.from(senses.values()).filter((sense) => !names.has(sense.config.name))
    for (const sense of leaving) {
      senses.delete(sense.config.name)
      sense.target = null
    }
    return leaving
  }

  /** One that is leaving still may come back. */
  const knownAs = ({ name }: SenseConfig): Sense | undefined =>
    senses.get(name) ?? [...present].find((sense) => sense.config.name === name)

  const enter = (config: SenseConfig) => {
    const group = roster.groupOf(config.group)
    const sense = newSense(config, group, clock.now(), clock.wallOffset())
    if (group.started) sense.stale = "code"
    senses.set(config.name, sense)
    present.add(sense)
    return pool.run(sense)
  }

  const reconfigure = (sense: Sense, config: SenseConfig): void => {
    senses.set(config.name, sense)
    if (JSON.stringify(initOf(sense)) !== JSON.stringify(initOf({ ...sense, config }))) sense.stale ??= "settings"
    sense.config = config
    sense.target = roster.groupOf(config.group)
    pool.feed(sense, { _tag: "Reconfigured", settings: SenseSchedule.settings(config) })
  }

  return Effect.fnUntraced(function* (configs) {
    const touched = new Set(leave(configs))
    for (const config of configs) {
      const known = knownAs(config)
      if (known === undefined) {
        yield* enter(config)
        continue
      }
      reconfigure(known, config)
      touched.add(known)
    }
    roster.link()
    for (const group of [...roster.groups.values()]) {
      // Nobody may be there, nor on the way any more.
      changes.dissolve(group)
      if (!group.started && roster.membersOf(group).length > 0) groups.start(group)
      changes.tellPeers(group)
    }
    for (const sense of touched) changes.change(sense)
  })
}
