/**
 * Senses, scheduled and run: one worker per group (M1), computes by interval, `on:` and trigger, no
 * two computes of one sense at a time (S5), soft timeout, grace and kill (S4).
 *
 * When a sense computes is decided by `SenseSchedule`; how workers live and die by `WorkerRuntime`.
 * This module joins the two: it feeds each schedule what happens, and carries out what it decides.
 * What follows from a signal is not its business: it hands every event to `onEvent` (the Kernel's).
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
import {
  type SenseBoot,
  type SenseInit,
  SenseRpcs,
  SenseWorkerInit,
  SenseWorkerReady
} from "@nerve/core/wire/SenseRpcs"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberMap from "effect/FiberMap"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { WorkerClient } from "../ipc/WorkerClient.ts"
import type { LogStoreError } from "../log/LogStore.ts"
import type { Spawner } from "../supervision/Spawner.ts"
import type { WorkerEvent } from "../supervision/WorkerEvent.ts"
import * as WorkerRuntime from "../supervision/WorkerRuntime.ts"
import type { WorkerSpec } from "../supervision/WorkerSpec.ts"
import { classify, type ComputeExit, deathIn, type SenseRpc } from "./internal/computeEnd.ts"
import {
  boundMs,
  canCompute,
  dependentsIn,
  type Group,
  isComputing,
  isToChange,
  mayHaveKilled,
  newGroup,
  newSense,
  nowhere,
  type Sense,
  statusOf
} from "./internal/senseState.ts"
import * as SenseClock from "./internal/senseClock.ts"
import * as TickLines from "./internal/tickLines.ts"
import { WakeQueue } from "./internal/wakeQueue.ts"
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

/** How long a worker may take to answer what is no work. */
const answerMs = 5_000

/** How long a sense's boot goes unasked about. */
const bootPatience = "10 seconds"

/** Versions of modules that a worker loads before it is started anew in a moment in which it is idle. */
const maxImports = 25

/** The same, before such a moment is brought about. */
const tooManyImports = 100

/** Starts all groups' workers. Closing the scope stops them. */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<SensePool["Service"], never, SenseWorkers | Spawner | Scope> {
  const ports = yield* SenseWorkers
  const clock = yield* SenseClock.make
  const { now, wallOf } = clock
  /** Those in force. */
  const senses = new Map<string, Sense>()
  /** These, and those that are leaving. */
  const present = new Set<Sense>()
  const groups = new Map<string, Group>()
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
  /** Of modules: each import of code that has changed is another. */
  let versions = 0
  const loops = yield* FiberMap.make<string>()
  const background = yield* FiberMap.make<string>()
  const inBackground = yield* FiberMap.runtime(background)()

  // --- the timer: one for all senses, asleep until the earliest of them wants to be woken

  const rearm = Latch.makeUnsafe()
  const wakes = new WakeQueue<Sense>()
  let armedAt = Number.POSITIVE_INFINITY

  const timer = Effect.gen(function* () {
    while (true) {
      rearm.closeUnsafe()
      armedAt = Number.NEGATIVE_INFINITY
      lookAtClock()
      for (const sense of wakes.takeDue(now())) feed(sense, { _tag: "Tick" })
      armedAt = wakes.nextAt
      // Rounded up, since timers know whole milliseconds: a nap that ends too early would be wasted. No
      // nap is long, for a clock that stands still while the machine sleeps would prolong it.
      const nap = Math.min(SenseClock.LOOK_EVERY_MS, Math.max(0, Math.ceil(armedAt - now())))
      yield* Effect.timeoutOption(rearm.await, nap)
    }
  })

  const lookAtClock = (): void => {
    const found = clock.look()
    if (found === null) return
    for (const sense of senses.values()) {
      if (found.sleptMs > 0) feed(sense, { _tag: "Slept", ms: found.sleptMs })
      if (found.isSet) feed(sense, { _tag: "ClockSet", wallOffset: clock.wallOffset() })
    }
  }

  /** Tells a schedule what happened and carries out what it decides. Never waits. */
  const feed = (sense: Sense, input: SenseSchedule.Input): void => {
    const decision = SenseSchedule.decide(sense.schedule, input, now())
    sense.schedule = decision.state
    wakes.set(sense, decision.wakeAt)
    for (const action of decision.actions) {
      switch (action._tag) {
        case "Run":
          sense.cause = action.cause
          sense.dueAt = wallOf(action.dueAt)
          sense.go.openUnsafe()
          break
        case "Overrun":
          sense.overran = membersOf(sense.group).filter((other) => other !== sense && isComputing(other))
          killWorker(sense)
          break
        case "Dropped": {
          const { cause, count, fate } = action
          options.onDroppedUnsafe?.({ sense: sense.config.name, cause, fate, dueAt: wallOf(action.dueAt), count })
        }
      }
    }
    if (decision.wakeAt !== null && decision.wakeAt < armedAt) rearm.openUnsafe()
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
        if (!isComputing(sense) && (yield* rearrange(sense)) === "left") return
        yield* sense.go.await
        sense.go.closeUnsafe()
        if (!isComputing(sense)) continue
        const client: WorkerClient<SenseRpc> = yield* runtime.client(sense.group.name)
        sense.overran = null
        sense.lines = TickLines.make()
        const began = now()
        const startedAt = wallOf(began)
        sense.lastAt = startedAt
        const exit = yield* Effect.exit(client.RunCompute({ sense: sense.config.name, recorded: sense.recorded }))
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
        renewWhenIdle(sense.group)
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
        yield* emitAll(membersOf(group).flatMap((sense) => learnAtStart(sense, event.info)))
        // A worker that was about to be ready when it was evicted counts as gone all the same (M2).
        if (group.evicting > 0) return
        group.ready = true
        group.incarnation = event.incarnation
        bringUpToDate(group, event.info)
        return admit(group)
      case "WorkerExited":
        if (!event.expected && event.cause !== "not-started") {
          tryAlone(membersOf(group).filter((sense) => mayHaveKilled(sense, event.incarnation)))
        }
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
    if (trialIn(group) !== undefined) return
    for (let head = group.suspects[0]; group.ready && head !== undefined; head = group.suspects[0]) {
      if (canCompute(head)) feed(head, { _tag: "GroupReady" })
      if (isComputing(head)) return
      // Broken, throttled, or still busy telling how it was interrupted: nobody waits for that.
      group.suspects.shift()
    }
    if (!group.ready) return
    for (const sense of membersOf(group)) {
      if (canCompute(sense)) feed(sense, { _tag: "GroupReady" })
    }
  }

  // --- trials: a worker died while it loaded senses, and whoever did it is found

  /** Workers start without these, and boot them one by one: whichever kills its worker then has done it. */
  const tryAlone = (suspected: ReadonlyArray<Sense>): void => {
    for (const sense of suspected) {
      sense.isolated = true
      sense.onTrial = true
      sense.stale = "code"
    }
  }

  /** The one whose turn it is. Nobody of its group computes meanwhile, and so nobody else can be to blame. */
  const trialIn = (group: Group): Sense | undefined => membersOf(group).find((sense) => sense.onTrial)

  const endTrial = (sense: Sense, { group }: Pick<Sense, "group"> = sense): void => {
    if (!sense.onTrial) return
    sense.onTrial = false
    trialIn(group)?.go.openUnsafe()
    admit(group)
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
    for (const sense of membersOf(group)) feed(sense, { _tag: "GroupGone" })
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

  const membersOf = (group: Group): ReadonlyArray<Sense> => Array.from(present).filter((sense) => sense.group === group)

  const peerNames = (): ReadonlyArray<SenseName> => Array.from(senses.values(), (sense) => sense.config.name)

  /** What the group's next incarnation is told. It reads all code from disk, so nothing of it is stale. */
  const initOfNext = (name: GroupName): SenseWorkerInit => {
    const group = groups.get(name)
    const members = group === undefined ? [] : membersOf(group).filter((sense) => sense.target === group)
    const booted = members.filter((sense) => !sense.isolated)
    const peers = peerNames()
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
      for (const sense of membersOf(group)) sense.interrupted = false
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

  // --- changes: each sense makes its own, at its next idle moment

  /** Has the sense do what it has to, at once if it is idle. */
  const change = (sense: Sense): void => {
    if (!isToChange(sense) || SenseSchedule.isRunning(sense.schedule)) return
    feed(sense, { _tag: "GroupGone" })
    sense.go.openUnsafe()
  }

  /** Makes the idle sense what it is to be, as far as its worker is there for it. */
  const rearrange = Effect.fnUntraced(function* (sense: Sense) {
    while (isToChange(sense)) {
      if (sense.target !== sense.group) {
        yield* depart(sense)
        if (sense.target === null) {
          present.delete(sense)
          wakes.set(sense, null)
          return "left"
        }
        arrive(sense, sense.target)
      }
      // Whoever is about to start reads all there is to read; and trials are held one by one.
      else if (!sense.group.ready || (sense.onTrial && trialIn(sense.group) !== sense)) break
      else yield* boot(sense)
    }
    // Most of the time nothing has changed, and this comes with each compute.
    if (!sense.schedule.ready) admit(sense.group)
    renewWhenIdle(sense.group)
    return "stays"
  })

  const depart = Effect.fnUntraced(function* (sense: Sense) {
    const { group } = sense
    if (group.ready) yield* drop(group, sense.config.name)
    group.suspects = group.suspects.filter((suspect) => suspect !== sense)
    sense.group = nowhere
    endTrial(sense, { group })
    admit(group)
    dissolve(group)
  })

  const drop = (group: Group, sense: SenseName): Effect.Effect<void> =>
    Effect.flatMap(runtime.client(group.name), (client: WorkerClient<SenseRpc>) =>
      // A worker that does not answer loses it in the end: with its process.
      Effect.ignore(client.DropSense({ sense }, { timeoutMs: answerMs }))
    )

  /** A group without members, now and to come, has no worker. */
  const dissolve = (group: Group): void => {
    for (const sense of present) if (sense.group === group || sense.target === group) return
    if (groups.get(group.name) !== group) return
    groups.delete(group.name)
    inBackground(`evict:${group.name}`, evict(group))
  }

  const arrive = (sense: Sense, group: Group): void => {
    sense.group = group
    if (!group.started) {
      sense.isolated = false
      return startWorker(group)
    }
    // Its worker may have had a sense of this name before, and keeps every version of a module.
    sense.stale = "code"
  }

  /** Has the worker boot the sense anew: with other settings, or with the code of now. */
  const boot = Effect.fnUntraced(function* (sense: Sense) {
    const { group } = sense
    const isCode = sense.stale === "code"
    // Nothing is left of the old code then. One that may kill its worker is not to do so while that starts.
    if (isCode && !sense.isolated && membersOf(group).length === 1) return yield* restart(group)
    sense.stale = null
    if (isCode) {
      // The worker of an isolated one has none of its code yet.
      if (!sense.isolated) group.imports++
      sense.version = String(++versions)
    }
    const { onTrial } = sense
    // Nothing starts before it is done, a long migration included.
    sense.booting = true
    const client: WorkerClient<SenseRpc> = yield* runtime.client(group.name)
    const exit = yield* Effect.exit(Effect.raceFirst(client.BootSense(initOf(sense)), killWhenStuck(sense, client)))
    sense.booting = false
    if (Exit.isSuccess(exit)) {
      sense.isolated = false
      const events = learn(sense, exit.value)
      endTrial(sense)
      return yield* emitAll(events)
    }
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    // Evicted meanwhile. The next worker has it with all others, unless it is to be booted alone.
    if (error?._tag === "WorkerStopped") {
      if (sense.isolated) sense.stale = "code"
      return
    }
    if (error?._tag === "WorkerDied") {
      if (error.incarnation === group.incarnation) gone(group)
      // Somebody else may have been at fault: it is tried once more, alone.
      if (!onTrial || !sense.onTrial) return tryAlone([sense])
    }
    const events = setProblem(sense, unbootable(sense, error?.message ?? Cause.pretty(exit.cause)))
    endTrial(sense)
    yield* emitAll(events)
  })

  /** A migration may take its time, and holds nobody up; a module that blocks the worker while it is imported may not. */
  const killWhenStuck = (sense: Sense, client: WorkerClient<SenseRpc>): Effect.Effect<never> =>
    Effect.sleep(bootPatience).pipe(
      Effect.andThen(client.SetPeers({ peers: peerNames() }, { timeoutMs: answerMs })),
      Effect.andThen(Effect.sync(() => endTrial(sense))),
      Effect.catchTag("CallTimeout", () =>
        runtime.kill(sense.group.name, `the import of ${sense.config.name} blocked its worker`)
      ),
      Effect.ignore,
      Effect.forever
    )

  /** What has changed since the worker that is ready now was told. */
  const bringUpToDate = (group: Group, info: Schema.Json): void => {
    const members = new Set(membersOf(group).map((sense) => sense.config.name))
    for (const { name } of listedIn(info)) {
      if (!members.has(name)) inBackground(`drop:${group.name}:${name}`, drop(group, name))
    }
    tellPeers(group)
    for (const sense of membersOf(group)) if (isToChange(sense)) sense.go.openUnsafe()
  }

  const tellPeers = (group: Group): void => {
    const peers = peerNames()
    if (!group.ready || JSON.stringify(peers) === JSON.stringify(group.peers)) return
    group.peers = peers
    const tell = Effect.flatMap(runtime.client(group.name), (client: WorkerClient<SenseRpc>) =>
      Effect.ignore(client.SetPeers({ peers }, { timeoutMs: answerMs }))
    )
    inBackground(`peers:${group.name}`, tell)
  }

  /** Starts a group's worker anew once it has loaded so many versions of modules that it must have grown. */
  const renewWhenIdle = (group: Group): void => {
    if (group.imports < maxImports || groups.get(group.name) !== group) return
    if (membersOf(group).some((sense) => SenseSchedule.isRunning(sense.schedule))) {
      // It is never idle: nothing starts until it was.
      if (group.imports >= tooManyImports) gone(group)
      return
    }
    inBackground(`renew:${group.name}`, restart(group), { onlyIfMissing: true })
  }

  const reload = (name: string, files: ReadonlyArray<string>): Effect.Effect<void> =>
    Effect.sync(() => {
      const sense = senses.get(name)
      if (sense === undefined) return
      sense.changed = [...new Set([...sense.changed, ...files])]
      sense.stale = "code"
      change(sense)
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
      dissolve(group)
      if (!group.started && membersOf(group).length > 0) startWorker(group)
      tellPeers(group)
    }
    for (const sense of touched) change(sense)
  }, oneAtATime.withPermits(1))

  const views = Effect.sync(() => {
    return Array.from(senses.values(), (sense): SenseView => {
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
    })
  })

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

  yield* Effect.forkScoped(timer)
  yield* configure(options.config.senses)
  return { trigger, views, workers, restartGroup, configure, reload }
})

/** The pool as a service. */
export const layer = (options: Options): Layer.Layer<SensePool, never, SenseWorkers | Spawner> =>
  Layer.effect(SensePool, make(options))

// --- workers

const encodeInit = Schema.encodeSync(SenseWorkerInit)

const initOf = ({ config: { name, params, timeoutMs }, version }: Pick<Sense, "config" | "version">): SenseInit => ({
  name,
  timeoutMs,
  ...(params === undefined ? {} : { params }),
  ...(version === undefined ? {} : { version })
})

const specOf = (ports: SenseWorkers["Service"], init: SenseWorkerInit): WorkerSpec => {
  const spec = ports.spec(init)
  return { ...spec, options: { ...spec.options, init: encodeInit(init) } }
}

const decodeReady = Schema.decodeUnknownOption(SenseWorkerReady)

/** What a worker that reports ready says about its senses. */
const listedIn = (info: Schema.Json): ReadonlyArray<SenseBoot> =>
  Option.match(decodeReady(info), { onNone: () => [], onSome: ({ senses }) => senses })

/** A report that makes no sense is a problem of all. */
const unlisted = (sense: Sense): Problem => ({
  code: "worker-report-invalid",
  message: `the worker of group ${sense.group.name} reported ready without a word about sense ${sense.config.name}`,
  file: null,
  hint: "Is the worker of another version than the daemon? Restart the daemon."
})

const unbootable = (sense: Sense, why: string): Problem => ({
  code: "boot-failed",
  message: `the sense ${sense.config.name} did not start: ${why}`,
  file: null,
  hint: "Its worker goes on without it. It is tried again when its files change."
})
