/**
 * The workers of groups: when they start and go, who of their senses may compute, and what they say of how
 * their senses have booted.
 */
import type { GroupName } from "@nerve/core/domain/Ids"
import type { Problem } from "@nerve/core/domain/Problem"
import type * as SenseSchedule from "@nerve/core/sense/SenseSchedule"
import type { SenseBoot, SenseWorkerInit } from "@nerve/core/wire/SenseRpcs"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { WorkerClient } from "../../ipc/WorkerClient.ts"
import type { WorkerRuntime } from "../../supervision/WorkerRuntime.ts"
import type { SenseEvent } from "../SenseEvent.ts"
import type { SenseRpc } from "./computeEnd.ts"
import { initOf, listedIn, unlisted } from "./senseBoot.ts"
import type { SenseRoster } from "./senseRoster.ts"
import { canCompute, type Group, isComputing, type Sense } from "./senseState.ts"

/** What groups, and changes, need of the pool. */
export interface Pool {
  readonly roster: SenseRoster
  readonly runtime: WorkerRuntime<GroupName, SenseRpc>
  readonly feed: (sense: Sense, input: SenseSchedule.Input) => void
  readonly emitAll: (events: ReadonlyArray<SenseEvent>) => Effect.Effect<void>
  /** One of a name at a time: the latest, or with `onlyIfMissing` the first. */
  readonly inBackground: (
    name: string,
    effect: Effect.Effect<void>,
    options?: { readonly onlyIfMissing?: boolean }
  ) => unknown
}

export interface SenseGroups {
  /**
   * Lets a ready group's senses compute. Those under which a worker has died go first, one at a time:
   * so whichever of them kills its worker does it alone, and the others come to their end.
   */
  readonly admit: (group: Group) => void
  /** A suspect has come to an end: the next one, or all. */
  readonly release: (sense: Sense) => void
  /** The group's worker takes no computes. */
  readonly gone: (group: Group) => void
  /** What it tells is for the caller to emit; likewise below. */
  readonly setProblem: (sense: Sense, problem: Problem | null) => ReadonlyArray<SenseEvent>
  /** What its worker says of a sense's boot. One that is not done yet is asked about until it is. */
  readonly learn: (sense: Sense, boot: SenseBoot) => ReadonlyArray<SenseEvent>
  /** What a worker that has just started says of its senses. */
  readonly learnAtStart: (group: Group, info: Schema.Json) => ReadonlyArray<SenseEvent>
  readonly start: (group: Group) => void
  readonly evict: (group: Group) => Effect.Effect<void>
  /** Evicts it and starts it anew, unless the group is gone by then. */
  readonly restart: (group: Group) => Effect.Effect<void>
}

export const make = (pool: Pool): SenseGroups => {
  const { roster } = pool

  const admit = (group: Group): void => {
    if (roster.trialIn(group) !== undefined) return
    for (let head = group.suspects[0]; group.ready && head !== undefined; head = group.suspects[0]) {
      if (canCompute(head)) pool.feed(head, { _tag: "GroupReady" })
      if (isComputing(head)) return
      // Broken, throttled, or still busy telling how it was interrupted: nobody waits for that.
      group.suspects.shift()
    }
    if (!group.ready) return
    for (const sense of roster.membersOf(group)) {
      if (canCompute(sense)) pool.feed(sense, { _tag: "GroupReady" })
    }
  }

  const release = (sense: Sense): void => {
    const { group } = sense
    if (!group.suspects.includes(sense)) return
    group.suspects = group.suspects.filter((suspect) => suspect !== sense)
    admit(group)
  }

  const gone = (group: Group): void => {
    group.ready = false
    for (const sense of roster.membersOf(group)) pool.feed(sense, { _tag: "GroupGone" })
  }

  const setProblem = (sense: Sense, problem: Problem | null): ReadonlyArray<SenseEvent> => {
    const before = sense.problem
    const about = { sense: sense.config.name, group: sense.group.name }
    sense.problem = problem
    if (problem !== null) {
      pool.feed(sense, { _tag: "GroupGone" })
      return [{ _tag: "SenseBroken", ...about, problem }]
    }
    return before === null ? [] : [{ _tag: "SenseRecovered", ...about }]
  }

  const learnAtStart = (group: Group, info: Schema.Json): ReadonlyArray<SenseEvent> => {
    const boots = listedIn(info)
    return roster.membersOf(group).flatMap((sense) => learnOne(sense, boots))
  }

  /** It may have come, or been left out, since the worker was told. */
  const learnOne = (sense: Sense, boots: ReadonlyArray<SenseBoot>): ReadonlyArray<SenseEvent> => {
    if (sense.target !== sense.group) return []
    const listed = boots.find(({ name }) => name === sense.config.name)
    if (listed !== undefined) return learn(sense, listed)
    return sense.stale !== null || sense.isolated ? [] : setProblem(sense, unlisted(sense))
  }

  const learn = (sense: Sense, boot: SenseBoot): ReadonlyArray<SenseEvent> => {
    sense.booting = boot.booting === true
    if (sense.booting) {
      pool.feed(sense, { _tag: "GroupGone" })
      pool.inBackground(`boot:${sense.config.name}`, awaitBoot(sense))
      return []
    }
    // The last signal before this daemon, or its predecessor's worker, died: it is in no log yet.
    const isLost = boot.lastSignal !== undefined && boot.lastSignal !== sense.recorded
    if (isLost) pool.feed(sense, { _tag: "Trigger", cause: { _tag: "Restart" } })
    return [...tellReload(sense, boot.problem === null), ...setProblem(sense, boot.problem)]
  }

  /** That the code of now is loaded. A sense that looks at something all the time looks at once. */
  const tellReload = (sense: Sense, isLoaded: boolean): ReadonlyArray<SenseEvent> => {
    if (sense.changed.length === 0 || !isLoaded || sense.stale === "code") return []
    const event: SenseEvent = {
      _tag: "SenseReloaded",
      sense: sense.config.name,
      group: sense.group.name,
      files: sense.changed
    }
    sense.changed = []
    if (sense.config.intervalMs !== null) pool.feed(sense, { _tag: "Trigger", cause: { _tag: "Reload" } })
    return [event]
  }

  const awaitBoot = (sense: Sense) =>
    Effect.gen(function* () {
      const client: WorkerClient<SenseRpc> = yield* pool.runtime.client(sense.group.name)
      const boot = yield* client.AwaitBoot({ sense: sense.config.name })
      if (roster.senses.get(sense.config.name) !== sense || !sense.booting) return
      yield* pool.emitAll(learn(sense, boot))
      admit(sense.group)
    }).pipe(
      // Its worker is gone: the next one reports anew.
      Effect.ignore
    )

  const start = (group: Group): void => {
    group.started = true
    // Its failure needs no handling here: the worker's events have told of it.
    pool.inBackground(`start:${group.name}`, Effect.ignore(pool.runtime.start(group.name)))
  }

  const evict = (group: Group) =>
    Effect.suspend(() => {
      group.evicting++
      group.suspects = []
      // Whoever is interrupted now is not to blame for it, however often it happens.
      for (const sense of roster.membersOf(group)) sense.interrupted = false
      gone(group)
      return Effect.ensuring(
        pool.runtime.evict(group.name),
        Effect.sync(() => group.evicting--)
      )
    })

  const restart = (group: Group) =>
    Effect.andThen(
      evict(group),
      Effect.sync(() => {
        if (roster.groups.get(group.name) === group) start(group)
      })
    ).pipe(Effect.uninterruptible)

  return { admit, release, gone, setProblem, learn, learnAtStart, start, evict, restart }
}

/** What the group's next incarnation is told. It reads all code from disk, so nothing of it is stale. */
export const initOfNext = (roster: SenseRoster, workspace: string, name: GroupName): SenseWorkerInit => {
  const group = roster.groups.get(name)
  const members = group === undefined ? [] : roster.membersOf(group).filter((sense) => sense.target === group)
  const booted = members.filter((sense) => !sense.isolated)
  const peers = roster.peerNames()
  if (group !== undefined) {
    group.imports = 0
    group.peers = peers
  }
  for (const sense of booted) {
    sense.stale = null
    sense.version = undefined
  }
  return { group: name, workspace, senses: booted.map(initOf), peers }
}
