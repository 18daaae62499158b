/**
 * Senses, scheduled and run: one worker per group (M1), computes by interval, `on:` and trigger, no
 * two computes of one sense at a time (S5), soft timeout, grace and kill (S4).
 *
 * When a sense computes is decided by `SenseSchedule`; how workers live and die by `WorkerRuntime`.
 * This module joins the two, and owns their fibers. What follows from a signal is not its business: it
 * hands every event to `onEvent` (the Kernel's).
 *
 * Of its parts in `internal`, `senseSchedules` carries out what the schedules decide, `senseComputes` runs
 * the computes, `senseGroups` knows which workers take them, and `senseChanges` is about what changes
 * meanwhile, a reload or another configuration. Each sense has a fiber of its own: an `onEvent` that is slow
 * holds up its own sense and nobody else's.
 */
import type { NerveConfig, SenseConfig } from "@nerve/core/config/NerveConfig"
import type { GroupName, SenseName } from "@nerve/core/domain/Ids"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import { type SenseView, UnknownSense, type WorkerView } from "@nerve/core/wire/ControlRpcs"
import { SenseRpcs } from "@nerve/core/wire/SenseRpcs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import type { Scope } from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { workerView } from "../internal/workerView.ts"
import type { LogStoreError } from "../log/LogStore.ts"
import type { Spawner } from "../supervision/Spawner.ts"
import type { WorkerEvent } from "../supervision/WorkerEvent.ts"
import * as WorkerRuntime from "../supervision/WorkerRuntime.ts"
import type { SenseRpc } from "./internal/computeEnd.ts"
import { specOf } from "./internal/senseBoot.ts"
import * as SenseChanges from "./internal/senseChanges.ts"
import * as SenseClock from "./internal/senseClock.ts"
import * as SenseComputes from "./internal/senseComputes.ts"
import * as SenseConfigure from "./internal/senseConfigure.ts"
import * as SenseGroups from "./internal/senseGroups.ts"
import { SenseRoster } from "./internal/senseRoster.ts"
import * as SenseSchedules from "./internal/senseSchedules.ts"
import { boundMs, type Sense, viewOf } from "./internal/senseState.ts"
import * as TickLines from "./internal/tickLines.ts"
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
  const roster = new SenseRoster()

  // The runtime first: closing runs backwards, so that computes are given up before their workers stop.
  const runtime = yield* WorkerRuntime.make<GroupName, SenseRpc>({
    rpcs: SenseRpcs,
    worker: (name) => specOf(ports, SenseGroups.initOfNext(roster, options.workspace, name)),
    respawn,
    stop,
    // A compute is bounded by its own timeout and grace period (S4), whatever it does meanwhile.
    heartbeat: options.heartbeat ?? { while: "idle" },
    name: "senses",
    onEvent: (event) => onWorkerEvent(event),
    onOutputUnsafe: ({ fields, line }) => {
      const sense = typeof fields?.["sense"] === "string" ? roster.senses.get(fields["sense"]) : undefined
      if (fields !== null && sense !== undefined) TickLines.add(sense.lines, line, fields)
    }
  })
  const loops = yield* FiberMap.make<string>()
  const inBackground = yield* FiberMap.runtime(yield* FiberMap.make<string>())()

  /** False when `onEvent` failed or died: what depends on the event's being recorded must not follow. */
  const emit = (event: SenseEvent): Effect.Effect<boolean> =>
    Effect.suspend(() => options.onEvent(event)).pipe(
      Effect.as(true),
      Effect.catch((error) => Effect.as(Effect.logDebug(`${event._tag} was not recorded: ${error.message}`), false)),
      Effect.catchCause((cause) => Effect.as(Effect.logError(`onEvent died at ${event._tag}`, cause), false))
    )
  const emitAll = (events: ReadonlyArray<SenseEvent>) => Effect.forEach(events, emit, { discard: true })

  const schedules = SenseSchedules.make({
    roster,
    clock,
    overrun: (sense) => inBackground(`kill:${sense.group.name}`, killWorker(sense), { onlyIfMissing: true }),
    dropped: options.onDroppedUnsafe
  })
  const { feed, forget } = schedules
  const pool: SenseGroups.Pool = { roster, runtime, feed, emitAll, inBackground }
  const groups = SenseGroups.make(pool)
  const changes = SenseChanges.make({ ...pool, groups, forget })
  const runComputes = SenseComputes.make({
    ...pool,
    clock,
    groups,
    changes,
    recordedOf: options.recorded ?? (() => Effect.succeed(null)),
    emit
  })

  const killWorker = (sense: Sense) => {
    const reason = `compute of ${sense.config.name} ran longer than ${boundMs(sense)} ms`
    // For whoever debugs nerve; the log of the workspace gets the compute's end, and the worker's exit.
    const note = Effect.annotateLogs(Effect.logDebug(`killing the sense worker: ${reason}`), {
      group: sense.group.name,
      sense: sense.config.name
    })
    return Effect.andThen(note, runtime.kill(sense.group.name, reason))
  }

  const onWorkerEvent = Effect.fnUntraced(function* (event: WorkerEvent<GroupName>) {
    const group = roster.groups.get(event.key)
    if (group === undefined || event._tag === "WorkerReady") yield* emit({ _tag: "Worker", event })
    if (group === undefined) return
    switch (event._tag) {
      case "WorkerReady":
        yield* emitAll(groups.learnAtStart(group, event.info))
        // A worker that was about to be ready when it was evicted counts as gone all the same (M2).
        if (group.evicting > 0) return
        group.ready = true
        group.incarnation = event.incarnation
        changes.bringUpToDate(group, event.info)
        return groups.admit(group)
      case "WorkerExited":
        changes.workerGone(group, event)
        groups.gone(group)
        break
      case "WorkerStarting":
      case "WorkerGivenUp":
        groups.gone(group)
    }
    yield* emit({ _tag: "Worker", event })
  })

  // --- what others ask

  const trigger = Effect.fn("SensePool.trigger")(function* (name: string) {
    const sense = roster.senses.get(name)
    if (sense === undefined) return yield* new UnknownSense({ sense: name, known: [...roster.senses.keys()] })
    feed(sense, { _tag: "Trigger", cause: { _tag: "Manual" } })
  })

  const restartGroup = Effect.fn("SensePool.restartGroup")(function* (name: string) {
    const group = roster.groups.get(name)
    if (group !== undefined) yield* groups.restart(group)
  })

  const reload = (name: string, files: ReadonlyArray<string>): Effect.Effect<void> =>
    Effect.sync(() => {
      const sense = roster.senses.get(name)
      if (sense !== undefined) changes.reload(sense, files)
    })

  const putInForce = SenseConfigure.make({
    roster,
    feed,
    clock,
    groups,
    changes,
    run: (sense) => FiberMap.run(loops, sense.config.name, runComputes(sense))
  })
  const configure = Effect.fn("SensePool.configure")(putInForce, Semaphore.makeUnsafe(1).withPermits(1))

  const views = Effect.sync(() => Array.from(roster.senses.values(), (sense) => viewOf(sense, clock.wallOf)))

  const workers = Effect.suspend(() =>
    Effect.forEach([...roster.groups.values()], ({ name }) =>
      Effect.map(runtime.info(name), (info) => workerView(`sense:${name}`, info))
    )
  )

  yield* Effect.forkScoped(schedules.run)
  yield* configure(options.config.senses)
  return { trigger, views, workers, restartGroup, configure, reload }
})

/** The pool as a service. */
export const layer = (options: Options): Layer.Layer<SensePool, never, SenseWorkers | Spawner> =>
  Layer.effect(SensePool, make(options))
