/**
 * How senses change while they run: other code, other settings, another group, none. Each makes its own
 * change at its next idle moment; nothing that computes is cut.
 *
 * And how the one is found that kills its worker while it is loaded: the next worker starts without its
 * senses, and each of them has a trial, in which it is booted alone.
 */
import type { GroupName, SenseName } from "@nerve/core/domain/Ids"
import * as SenseSchedule from "@nerve/core/sense/SenseSchedule"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type { WorkerClient } from "../../ipc/WorkerClient.ts"
import type { WorkerEvent } from "../../supervision/WorkerEvent.ts"
import type { SenseRpc } from "./computeEnd.ts"
import { initOf, listedIn, unbootable } from "./senseBoot.ts"
import type { Pool, SenseGroups } from "./senseGroups.ts"
import { type Group, isToChange, mayHaveKilled, nowhere, type Sense } from "./senseState.ts"

type Exited = Extract<WorkerEvent<GroupName>, { readonly _tag: "WorkerExited" }>

export interface Options extends Pool {
  readonly groups: SenseGroups
  /** Wakes the sense no more. */
  readonly forget: (sense: Sense) => void
}

export interface SenseChanges {
  /** Has the sense do what it has to, at once if it is idle. */
  readonly change: (sense: Sense) => void
  /** Makes the idle sense what it is to be, as far as its worker is there for it. */
  readonly rearrange: (sense: Sense) => Effect.Effect<"left" | "stays">
  /** Its code is to be loaded anew, for these files have changed. */
  readonly reload: (sense: Sense, files: ReadonlyArray<string>) => void
  /** A group without members, now and to come, has no worker. */
  readonly dissolve: (group: Group) => void
  readonly tellPeers: (group: Group) => void
  /** A worker is ready: whatever has changed since it was told. `info` is what it reports. */
  readonly bringUpToDate: (group: Group, info: Schema.Json) => void
  /** Starts a group's worker anew once it has loaded so many versions of modules that it must have grown. */
  readonly renewWhenIdle: (group: Group) => void
  /** A worker has ended. Whoever may have ended it by being loaded has a trial. */
  readonly workerGone: (group: Group, exit: Exited) => void
}

/** How long a worker may take to answer what is no work. */
const answerMs = 5_000

/** How long a sense's boot goes unasked about. */
const bootPatience = "10 seconds"

/** Versions of modules that a worker loads before it is started anew in a moment in which it is idle. */
const maxImports = 25

/** The same, before such a moment is brought about. */
const tooManyImports = 100

export const make = (pool: Options): SenseChanges => {
  const { groups, roster } = pool
  const { present } = roster
  /** Of modules: each import of code that has changed is another. */
  let versions = 0

  // --- trials: a worker died while it loaded senses, and whoever did it is found

  /** Workers start without these, and boot them one by one: whichever kills its worker then has done it. */
  const tryAlone = (suspected: ReadonlyArray<Sense>): void => {
    for (const sense of suspected) {
      sense.isolated = true
      sense.onTrial = true
      sense.stale = "code"
    }
  }

  const workerGone = (group: Group, { cause, expected, incarnation }: Exited): void => {
    const members = roster.membersOf(group)
    if (!expected && cause !== "not-started") tryAlone(members.filter((sense) => mayHaveKilled(sense, incarnation)))
    // Another cause than a trial: whoever was left out has another one, for it may have been somebody else's kill.
    const isTrial = members.some((sense) => sense.onTrial || sense.leftOutAt === incarnation)
    if (!isTrial) tryAlone(members.filter((sense) => sense.isolated))
  }

  const endTrial = (sense: Sense, { group }: Pick<Sense, "group"> = sense): void => {
    if (!sense.onTrial) return
    sense.onTrial = false
    roster.trialIn(group)?.go.openUnsafe()
    groups.admit(group)
  }

  /** Has the sense do what it has to, at once if it is idle. */
  const change = (sense: Sense): void => {
    if (!isToChange(sense) || SenseSchedule.isRunning(sense.schedule)) return
    pool.feed(sense, { _tag: "GroupGone" })
    sense.go.openUnsafe()
  }

  /** Makes the idle sense what it is to be, as far as its worker is there for it. */
  const rearrange = Effect.fnUntraced(function* (sense: Sense) {
    while (isToChange(sense)) {
      if (sense.target !== sense.group) {
        yield* depart(sense)
        if (sense.target === null) {
          present.delete(sense)
          pool.forget(sense)
          return "left"
        }
        arrive(sense, sense.target)
      }
      // Whoever is about to start reads all there is to read; and trials are held one by one.
      else if (!sense.group.ready || (sense.onTrial && roster.trialIn(sense.group) !== sense)) break
      else yield* boot(sense)
    }
    // Most of the time nothing has changed, and this comes with each compute.
    if (!sense.schedule.ready) groups.admit(sense.group)
    renewWhenIdle(sense.group)
    return "stays"
  })

  const depart = Effect.fnUntraced(function* (sense: Sense) {
    const { group } = sense
    if (group.ready) yield* drop(group, sense.config.name)
    group.suspects = group.suspects.filter((suspect) => suspect !== sense)
    sense.group = nowhere
    endTrial(sense, { group })
    groups.admit(group)
    dissolve(group)
  })

  const drop = (group: Group, sense: SenseName): Effect.Effect<void> =>
    Effect.flatMap(pool.runtime.client(group.name), (client: WorkerClient<SenseRpc>) =>
      // A worker that does not answer loses it in the end: with its process.
      Effect.ignore(client.DropSense({ sense }, { timeoutMs: answerMs }))
    )

  /** A group without members, now and to come, has no worker. */
  const dissolve = (group: Group): void => {
    for (const sense of present) if (sense.group === group || sense.target === group) return
    if (roster.groups.get(group.name) !== group) return
    roster.groups.delete(group.name)
    pool.inBackground(`evict:${group.name}`, groups.evict(group))
  }

  const arrive = (sense: Sense, group: Group): void => {
    sense.group = group
    if (!group.started) {
      sense.isolated = false
      return groups.start(group)
    }
    // Its worker may have had a sense of this name before, and keeps every version of a module.
    sense.stale = "code"
  }

  /** Has the worker boot the sense anew: with other settings, or with the code of now. */
  const boot = Effect.fnUntraced(function* (sense: Sense) {
    const { group } = sense
    const isCode = sense.stale === "code"
    // Nothing is left of the old code then. One that may kill its worker is not to do so while that starts.
    if (isCode && !sense.isolated && roster.membersOf(group).length === 1) return yield* groups.restart(group)
    sense.stale = null
    if (isCode) {
      // The worker of an isolated one has none of its code yet.
      if (!sense.isolated) group.imports++
      sense.version = String(++versions)
    }
    const { onTrial } = sense
    // Nothing starts before it is done, a long migration included.
    sense.booting = true
    const client: WorkerClient<SenseRpc> = yield* pool.runtime.client(group.name)
    const exit = yield* Effect.exit(Effect.raceFirst(client.BootSense(initOf(sense)), killWhenStuck(sense, client)))
    sense.booting = false
    if (Exit.isSuccess(exit)) {
      sense.isolated = false
      const events = groups.learn(sense, exit.value)
      endTrial(sense)
      return yield* pool.emitAll(events)
    }
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    // Evicted meanwhile. The next worker has it with all others, unless it is to be booted alone.
    if (error?._tag === "WorkerStopped") {
      if (sense.isolated) sense.stale = "code"
      return
    }
    if (error?._tag === "WorkerDied") {
      if (error.incarnation === group.incarnation) groups.gone(group)
      // Somebody else may have been at fault: it is tried once more, alone.
      if (!onTrial || !sense.onTrial) return tryAlone([sense])
      sense.leftOutAt = error.incarnation
    }
    const why = error?._tag === "WorkerDied" ? null : (error?.message ?? Cause.pretty(exit.cause))
    const events = groups.setProblem(sense, unbootable(sense, why))
    endTrial(sense)
    yield* pool.emitAll(events)
  })

  /** A migration may take its time, and holds nobody up; a module that blocks the worker while it is imported may not. */
  const killWhenStuck = (sense: Sense, client: WorkerClient<SenseRpc>): Effect.Effect<never> =>
    Effect.sleep(bootPatience).pipe(
      Effect.andThen(client.SetPeers({ peers: roster.peerNames() }, { timeoutMs: answerMs })),
      Effect.andThen(Effect.sync(() => endTrial(sense))),
      Effect.catchTag("CallTimeout", () =>
        pool.runtime.kill(sense.group.name, `the import of ${sense.config.name} blocked its worker`)
      ),
      Effect.ignore,
      Effect.forever
    )

  /** What has changed since the worker that is ready now was told. */
  const bringUpToDate = (group: Group, info: Schema.Json): void => {
    const members = new Set(roster.membersOf(group).map((sense) => sense.config.name))
    for (const { name } of listedIn(info)) {
      if (!members.has(name)) pool.inBackground(`drop:${group.name}:${name}`, drop(group, name))
    }
    tellPeers(group)
    for (const sense of roster.membersOf(group)) if (isToChange(sense)) sense.go.openUnsafe()
  }

  const tellPeers = (group: Group): void => {
    const peers = roster.peerNames()
    if (!group.ready || JSON.stringify(peers) === JSON.stringify(group.peers)) return
    group.peers = peers
    const tell = Effect.flatMap(pool.runtime.client(group.name), (client: WorkerClient<SenseRpc>) =>
      Effect.ignore(client.SetPeers({ peers }, { timeoutMs: answerMs }))
    )
    pool.inBackground(`peers:${group.name}`, tell)
  }

  /** Starts a group's worker anew once it has loaded so many versions of modules that it must have grown. */
  const renewWhenIdle = (group: Group): void => {
    if (group.imports < maxImports || roster.groups.get(group.name) !== group) return
    if (roster.membersOf(group).some((sense) => SenseSchedule.isRunning(sense.schedule))) {
      // It is never idle: nothing starts until it was.
      if (group.imports >= tooManyImports) groups.gone(group)
      return
    }
    pool.inBackground(`renew:${group.name}`, groups.restart(group), { onlyIfMissing: true })
  }

  const reload = (sense: Sense, files: ReadonlyArray<string>): void => {
    sense.changed = [...new Set([...sense.changed, ...files])]
    sense.stale = "code"
    change(sense)
  }

  return { change, rearrange, reload, dissolve, tellPeers, bringUpToDate, renewWhenIdle, workerGone }
}
