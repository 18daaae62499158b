/**
 * Senses, scheduled and run: one worker per group (M1), computes by interval, `on:` and trigger, no
 * two computes of one sense at a time (S5), soft timeout, grace and kill (S4).
 *
 * When a sense computes is decided by `SenseSchedule`; how workers live and die by `WorkerRuntime`.
 * This module joins the two: it feeds each schedule what happens, and carries out what it decides.
 * What follows from a signal is not its business: it hands every event to `onEvent` (the Kernel's).
 *
 * What changes while it runs, a reload or another configuration, is the business of `senseChanges`.
 *
 * One timer serves all senses, and each sense has one fiber, which runs its computes one by one: an
 * `onEvent` that is slow holds up its own sense and nobody else's.
 */
import type { NerveConfig, SenseConfig } from "@nerve/core/config/NerveConfig"
import type { GroupName, SenseName } from "@nerve/core/domain/Ids"
import type { Problem } from "@nerve/core/domain/Problem"
import * as SenseSchedule from "@nerve/core/sense/SenseSchedule"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import { type SenseView, UnknownSense, type WorkerView } from "@nerve/core/wire/ControlRpcs"
import { type SenseBoot, SenseRpcs, type SenseWorkerInit } from "@nerve/core/wire/SenseRpcs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { WorkerClient } from "../ipc/WorkerClient.ts"
import type { LogStoreError } from "../log/LogStore.ts"
import type { Spawner } from "../supervision/Spawner.ts"
import type { WorkerEvent } from "../supervision/WorkerEvent.ts"
import * as WorkerRuntime from "../supervision/WorkerRuntime.ts"
import { classify, type ComputeExit, deathIn, type SenseRpc } from "./internal/computeEnd.ts"
import {
  boundMs,
  canCompute,
  dependentsIn,
  type Group,
  isComputing,
  isToChange,
  newGroup,
  newSense,
  type Sense,
  viewOf
} from "./internal/senseState.ts"
import { initOf, listedIn, specOf, unlisted } from "./internal/senseBoot.ts"
import * as SenseChanges from "./internal/senseChanges.ts"
import * as SenseClock from "./internal/senseClock.ts"
import { SenseRoster } from "./internal/senseRoster.ts"
import * as TickLines from "./internal/tickLines.ts"
import * as WakeTimer from "./internal/wakeTimer.ts"
import type { SenseEvent, TicksDropped } from "./SenseEvent.ts"
import { SenseWorkers } from "./SenseWorkers.ts"

export class SensePool extends Context.Service<
  SensePool,
  {
    /** Runs a sense's compute at its next idle moment; collapses with a trigger that is waiting already. */
    readonly trigger: (sense: string) => Effect.Effect<void, UnknownSense>
    readonly views: Effect.Effect<ReadonlyArray<SenseView>>
    /** The groups' workers, keyed `sense:GROUP`. */
    readonly workers: Effect.Effect<ReadonlyArray<WorkerView>>
    /**
     * Evicts a group's worker and starts it anew; no-op when unknown (M2). Done when the old worker is
     * gone; the new one may still be starting. Computes that this interrupts run again.
     */
    readonly restartGroup: (group: string) => Effect.Effect<void>
    /**
     * Puts other senses in force, by what is different: no worker is restarted and no compute is cut. What
     * a sense has to do for it (leave, move to another group, take over a timeout), it does at its next
     * idle moment; answers before. Intervals and throttles count at once.
     */
    readonly configure: (senses: ReadonlyArray<SenseConfig>) => Effect.Effect<void>
    /**
     * Loads a sense's code anew at its next idle moment, for these files have changed; answers before.
     * The others of its group go on undisturbed; alone in its group, it gets a new worker. No-op when
     * unknown.
     */
    readonly reload: (sense: string, files: ReadonlyArray<string>) => Effect.Effect<void>
  }
>()("@nerve/runtime/sense/SensePool") {}

export interface Options {
  readonly config: Pick<NerveConfig, "senses">
  /** Absolute path of the workspace. */
  readonly workspace: string
  /**
   * Told of every event before anything follows from it. A signal that it could not take triggers no
   * dependents, since it was not recorded. It says itself why it failed; that it died is logged here.
   */
  readonly onEvent: (event: SenseEvent) => Effect.Effect<void, LogStoreError>
  /** Key of a sense's last signal in the log, null when there is none; see `SenseRpcs`. None unless told. */
  readonly recorded?: (sense: SenseName) => Effect.Effect<string | null>
  /** Told of ticks that come to no compute of their own. From outside any fiber: it must not wait. */
  readonly onDroppedUnsafe?: (dropped: TicksDropped) => void
  /** How it is found that a worker hangs; idle ones are asked, unless told. */
  readonly heartbeat?: WorkerRuntime.HeartbeatOptions | false
}

/** One second between respawns and in practice without limit: a group is never given up for good (M1). */
const respawn = RespawnPolicy.intensity({ max: 100_000, within: "24 hours", delay: "1 second" })

/** A group's worker is gone five seconds after it was asked to go, at the latest (M1). */
const stop = StopPolicy.make({ drain: "5 seconds", polite: "4 seconds", term: "1 second" })

/** Starts all groups' workers. Closing the scope stops them. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<SensePool["Service"], never, SenseWorkers | Spawner | Scope> {
  const ports = yield* SenseWorkers
  const clock = yield* SenseClock.make
  const { now, wallOf } = clock
  const roster = new SenseRoster()
  const { groups, present, senses } = roster
  /** Who is triggered by whose signals; made anew when the senses are other ones. */
  let dependents: ReadonlyMap<string, ReadonlyArray<Sense>> = new Map()

  // The runtime first: closing runs backwards, so that computes are given up before their workers stop.
  const runtime = yield* WorkerRuntime.make<GroupName, SenseRpc>({
    rpcs: SenseRpcs,
    worker: (name) => specOf(ports, initOfNext(name)),
    respawn,
    stop,
    // A compute is bounded by its own timeout and grace period (S4), whatever it does meanwhile.
    heartbeat: options.heartbeat ?? { while: "idle" },
    name: "senses",
    onEvent: (event) => onWorkerEvent(event),
    onOutputUnsafe: ({ fields, line }) => {
      const sense = typeof fields?.["sense"] === "string" ? senses.get(fields["sense"]) : undefined
      if (fields !== null && sense !== undefined) TickLines.add(sense.lines, line, fields)
    }
  })
  const loops = yield* FiberMap.make<string>()
  const background = yield* FiberMap.make<string>()
  const inBackground = yield* FiberMap.runtime(background)()

  // --- schedules

  const lookAtClock = (): void => {
    const found = clock.look()
    if (found === null) return
    for (const sense of senses.values()) {
      if (found.sleptMs > 0) feed(sense, { _tag: "Slept", ms: found.sleptMs })
      if (found.isSet) feed(sense, { _tag: "ClockSet", wallOffset: clock.wallOffset() })
    }
  }
  const timer = WakeTimer.make<Sense>({ now, look: lookAtClock, wake: (sense) => feed(sense, { _tag: "Tick" }) })

  /** Tells a schedule what happened and carries out what it decides. Never waits. */
  const feed = (sense: Sense, input: SenseSchedule.Input): void => {
    const decision = SenseSchedule.decide(sense.schedule, input, now())
    sense.schedule = decision.state
    timer.set(sense, decision.wakeAt)
    for (const action of decision.actions) {
      switch (action._tag) {
        case "Run":
          sense.cause = action.cause
          sense.dueAt = wallOf(action.dueAt)
          sense.go.openUnsafe()
          break
        case "Overrun":
          sense.overran = roster.membersOf(sense.group).filter((other) => other !== sense && isComputing(other))
          killWorker(sense)
          break
        case "Dropped": {
          const { cause, count, fate } = action
          options.onDroppedUnsafe?.({ sense: sense.config.name, cause, fate, dueAt: wallOf(action.dueAt), count })
        }
      }
    }
  }

  const killWorker = (sense: Sense): void => {
    const reason = `compute of ${sense.config.name} ran longer than ${boundMs(sense)} ms`
    inBackground(
      `kill:${sense.group.name}`,
      Effect.andThen(
        // For whoever debugs nerve; the log of the workspace gets the compute's end, and the worker's exit.
        Effect.annotateLogs(Effect.logDebug(`killing the sense worker: ${reason}`), {
          group: sense.group.name,
          sense: sense.config.name
        }),
        runtime.kill(sense.group.name, reason)
      ),
      { onlyIfMissing: true }
    )
  }

  // --- computes

  const loop = (sense: Sense) =>
    Effect.gen(function* () {
      sense.recorded = options.recorded === undefined ? null : yield* options.recorded(sense.config.name)
      while (true) {
        if (!isComputing(sense) && (yield* changes.rearrange(sense)) === "left") return
        yield* sense.go.await
        sense.go.closeUnsafe()
        if (!isComputing(sense)) continue
        const client: WorkerClient<SenseRpc> = yield* runtime.client(sense.group.name)
        sense.overran = null
        sense.lines = TickLines.make()
        const began = now()
        const startedAt = wallOf(began)
        sense.lastAt = startedAt
        const exit = yield* Effect.exit(
          client.RunCompute({ sense: sense.config.name, recorded: sense.recorded ?? null })
        )
        feed(sense, { _tag: "ComputeAnswered" })
        const { lines, leftOut: linesLeftOut } = sense.lines
        const { cause, dueAt } = sense
        const tick = { cause, dueAt, startedAt, durationMs: now() - began, lines, linesLeftOut }
        const again = yield* conclude(sense, exit, tick)
        if (again) feed(sense, { _tag: "Trigger", cause: { _tag: "Restart" } })
        else release(sense)
        // This is the idle moment that a change waits for: nothing may start before it is done.
        if (isToChange(sense)) feed(sense, { _tag: "GroupGone" })
        feed(sense, { _tag: "ComputeEnded" })
        changes.renewWhenIdle(sense.group)
      }
    })

  /** Counts and tells what a compute came to; true when it is to run again. */
  const conclude = Effect.fnUntraced(function* (
    sense: Sense,
    exit: ComputeExit,
    tick: Omit<Extract<SenseEvent, { readonly _tag: "ComputeEnded" }>, "_tag" | "sense" | "group" | "reason">
  ) {
    const end = classify(sense, exit)
    const died = deathIn(exit)
    // Its exit is reported in a moment: until then nobody may start anew beside this one.
    if (died !== null && died === sense.group.incarnation) gone(sense.group)
    const base = { sense: sense.config.name, group: sense.group.name, ...tick }
    if (end._tag === "ComputeInterrupted") {
      sense.interrupted = true
      if (died !== null) sense.group.suspects.push(sense)
      yield* emit({ ...base, _tag: "ComputeInterrupted", reason: end.reason })
      return true
    }
    sense.interrupted = false
    sense.computes++
    switch (end._tag) {
      case "SignalEmitted":
        sense.signals++
        if (yield* emit({ ...base, ...end })) {
          sense.recorded = end.key ?? null
          triggerDependents(sense)
        }
        return false
      case "ComputeEnded":
        yield* emit({ ...base, ...end })
        return false
      case "Unavailable":
        sense.errors++
        yield* emit({ ...base, _tag: "ComputeFailed", message: end.problem.message, stack: null })
        yield* emitAll(setProblem(sense, end.problem))
        return false
      default:
        sense.errors++
        yield* emit({ ...base, ...end })
        return false
    }
  })

  const triggerDependents = (source: Sense): void => {
    for (const sense of dependents.get(source.config.name) ?? []) {
      feed(sense, { _tag: "Trigger", cause: { _tag: "On", sense: source.config.name } })
    }
  }

  /** False when `onEvent` failed or died: what depends on the event's being recorded must not follow. */
  const emit = (event: SenseEvent): Effect.Effect<boolean> =>
    Effect.suspend(() => options.onEvent(event)).pipe(
      Effect.as(true),
      Effect.catch((error) => Effect.as(Effect.logDebug(`${event._tag} was not recorded: ${error.message}`), false)),
      Effect.catchCause((cause) => Effect.as(Effect.logError(`onEvent died at ${event._tag}`, cause), false))
    )

  const emitAll = (events: ReadonlyArray<SenseEvent>) => Effect.forEach(events, emit, { discard: true })

  // --- workers: who may compute

  const onWorkerEvent = Effect.fnUntraced(function* (event: WorkerEvent<GroupName>) {
    const group = groups.get(event.key)
    if (group === undefined || event._tag === "WorkerReady") yield* emit({ _tag: "Worker", event })
    if (group === undefined) return
    switch (event._tag) {
      case "WorkerReady":
        yield* emitAll(roster.membersOf(group).flatMap((sense) => learnAtStart(sense, event.info)))
        // A worker that was about to be ready when it was evicted counts as gone all the same (M2).
        if (group.evicting > 0) return
        group.ready = true
        group.incarnation = event.incarnation
        changes.bringUpToDate(group, event.info)
        return admit(group)
      case "WorkerExited":
        changes.workerGone(group, event)
        return yield* Effect.andThen(
          Effect.sync(() => gone(group)),
          emit({ _tag: "Worker", event })
        )
      case "WorkerStarting":
      case "WorkerGivenUp":
        gone(group)
    }
    yield* emit({ _tag: "Worker", event })
  })

  /**
   * Lets a ready group's senses compute. Those under which a worker has died go first, one at a time:
   * so whichever of them kills its worker does it alone, and the others come to their end.
   */
  const admit = (group: Group): void => {
    if (roster.trialIn(group) !== undefined) return
    for (let head = group.suspects[0]; group.ready && head !== undefined; head = group.suspects[0]) {
      if (canCompute(head)) feed(head, { _tag: "GroupReady" })
      if (isComputing(head)) return
      // Broken, throttled, or still busy telling how it was interrupted: nobody waits for that.
      group.suspects.shift()
    }
    if (!group.ready) return
    for (const sense of roster.membersOf(group)) {
      if (canCompute(sense)) feed(sense, { _tag: "GroupReady" })
    }
  }

  /** A suspect has come to an end: the next one, or all. */
  const release = (sense: Sense): void => {
    const { group } = sense
    if (!group.suspects.includes(sense)) return
    group.suspects = group.suspects.filter((suspect) => suspect !== sense)
    admit(group)
  }

  const gone = (group: Group): void => {
    group.ready = false
    for (const sense of roster.membersOf(group)) feed(sense, { _tag: "GroupGone" })
  }

  const setProblem = (sense: Sense, problem: Problem | null): ReadonlyArray<SenseEvent> => {
    const before = sense.problem
    const about = { sense: sense.config.name, group: sense.group.name }
    sense.problem = problem
    if (problem !== null) {
      feed(sense, { _tag: "GroupGone" })
      return [{ _tag: "SenseBroken", ...about, problem }]
    }
    return before === null ? [] : [{ _tag: "SenseRecovered", ...about }]
  }

  /** What a worker that has just started says of a sense. It may have come, or been left out, since it was told. */
  const learnAtStart = (sense: Sense, info: Schema.Json): ReadonlyArray<SenseEvent> => {
    if (sense.target !== sense.group) return []
    const listed = listedIn(info).find(({ name }) => name === sense.config.name)
    if (listed !== undefined) return learn(sense, listed)
    return sense.stale !== null || sense.isolated ? [] : setProblem(sense, unlisted(sense))
  }

  /** What its worker says of a sense's boot. One that is not done yet is asked about until it is. */
  const learn = (sense: Sense, boot: SenseBoot): ReadonlyArray<SenseEvent> => {
    sense.booting = boot.booting === true
    if (sense.booting) {
      feed(sense, { _tag: "GroupGone" })
      inBackground(`boot:${sense.config.name}`, awaitBoot(sense))
      return []
    }
    // The last signal before this daemon, or its predecessor's worker, died: it is in no log yet.
    const isLost = boot.lastSignal !== undefined && boot.lastSignal !== sense.recorded
    if (isLost) feed(sense, { _tag: "Trigger", cause: { _tag: "Restart" } })
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
    if (sense.config.intervalMs !== null) feed(sense, { _tag: "Trigger", cause: { _tag: "Reload" } })
    return [event]
  }

  const awaitBoot = (sense: Sense) =>
    Effect.gen(function* () {
      const client: WorkerClient<SenseRpc> = yield* runtime.client(sense.group.name)
      const boot = yield* client.AwaitBoot({ sense: sense.config.name })
      if (senses.get(sense.config.name) !== sense || !sense.booting) return
      yield* emitAll(learn(sense, boot))
      admit(sense.group)
    }).pipe(
      // Its worker is gone: the next one reports anew.
      Effect.ignore
    )

  /** What the group's next incarnation is told. It reads all code from disk, so nothing of it is stale. */
  const initOfNext = (name: GroupName): SenseWorkerInit => {
    const group = groups.get(name)
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
    return { group: name, workspace: options.workspace, senses: booted.map(initOf), peers }
  }

  const startWorker = (group: Group): void => {
    group.started = true
    // Its failure needs no handling here: the worker's events have told of it.
    inBackground(`start:${group.name}`, Effect.ignore(runtime.start(group.name)))
  }

  const evict = (group: Group) =>
    Effect.suspend(() => {
      group.evicting++
      group.suspects = []
      // Whoever is interrupted now is not to blame for it, however often it happens.
      for (const sense of roster.membersOf(group)) sense.interrupted = false
      gone(group)
      return Effect.ensuring(
        runtime.evict(group.name),
        Effect.sync(() => group.evicting--)
      )
    })

  const restart = (group: Group) =>
    Effect.andThen(
      evict(group),
      Effect.sync(() => {
        if (groups.get(group.name) === group) startWorker(group)
      })
    ).pipe(Effect.uninterruptible)

  // --- what others ask

  const trigger = Effect.fn("SensePool.trigger")(function* (name: string) {
    const sense = senses.get(name)
    if (sense === undefined) return yield* new UnknownSense({ sense: name, known: [...senses.keys()] })
    feed(sense, { _tag: "Trigger", cause: { _tag: "Manual" } })
  })

  const restartGroup = Effect.fn("SensePool.restartGroup")(function* (name: string) {
    const group = groups.get(name)
    if (group !== undefined) yield* restart(group)
  })

  // --- changes

  const changes: SenseChanges.SenseChanges = SenseChanges.make({
    roster,
    runtime,
    feed,
    forget: (sense) => timer.set(sense, null),
    admit,
    gone,
    learn,
    setProblem,
    emitAll,
    startWorker,
    evict,
    restart,
    inBackground
  })

  const reload = (name: string, files: ReadonlyArray<string>): Effect.Effect<void> =>
    Effect.sync(() => {
      const sense = senses.get(name)
      if (sense !== undefined) changes.reload(sense, files)
    })

  const oneAtATime = yield* Semaphore.make(1)
  const configure = Effect.fn("SensePool.configure")(function* (configs: ReadonlyArray<SenseConfig>) {
    const names = new Set<string>(configs.map((config) => config.name))
    const touched = new Set<Sense>()
    for (const [name, sense] of senses) {
      if (names.has(name)) continue
      senses.delete(name)
      sense.target = null
      touched.add(sense)
    }
    for (const config of configs) {
      const group = groups.get(config.group) ?? newGroup(config.group)
      groups.set(config.group, group)
      // One that is leaving still may come back.
      const known = senses.get(config.name) ?? [...present].find((sense) => sense.config.name === config.name)
      if (known === undefined) {
        const sense = newSense(config, group, now(), clock.wallOffset())
        if (group.started) sense.stale = "code"
        senses.set(config.name, sense)
        present.add(sense)
        yield* FiberMap.run(loops, config.name, loop(sense))
        continue
      }
      senses.set(config.name, known)
      if (JSON.stringify(initOf(known)) !== JSON.stringify(initOf({ ...known, config }))) known.stale ??= "settings"
      known.config = config
      known.target = group
      feed(known, { _tag: "Reconfigured", settings: SenseSchedule.settings(config) })
      touched.add(known)
    }
    dependents = dependentsIn(senses.values())
    for (const group of [...groups.values()]) {
      // Nobody may be there, nor on the way any more.
      changes.dissolve(group)
      if (!group.started && roster.membersOf(group).length > 0) startWorker(group)
      changes.tellPeers(group)
    }
    for (const sense of touched) changes.change(sense)
  }, oneAtATime.withPermits(1))

  const views = Effect.sync(() => Array.from(senses.values(), (sense) => viewOf(sense, wallOf)))

  const workers = Effect.suspend(() =>
    Effect.forEach([...groups.values()], ({ name }) =>
      Effect.map(runtime.info(name), (info): WorkerView => ({
        key: `sense:${name}`,
        state: info.state,
        pid: info.pid,
        incarnation: info.incarnation,
        crashes: info.crashes
      }))
    )
  )

  yield* Effect.forkScoped(timer.run)
  yield* configure(options.config.senses)
  return { trigger, views, workers, restartGroup, configure, reload }
})

/** The pool as a service. */
export const layer = (options: Options): Layer.Layer<SensePool, never, SenseWorkers | Spawner> =>
  Layer.effect(SensePool, make(options))
