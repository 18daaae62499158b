/**
 * The computes of senses: each sense has one fiber, which runs its computes one by one (S5) and tells what
 * each came to.
 */
import type { SenseName } from "@nerve/core/domain/Ids"
import * as Effect from "effect/Effect"
import type { WorkerClient } from "../../ipc/WorkerClient.ts"
import type { SenseEvent } from "../SenseEvent.ts"
import { classify, type ComputeExit, deathIn, type SenseRpc } from "./computeEnd.ts"
import type { SenseChanges } from "./senseChanges.ts"
import type { SenseClock } from "./senseClock.ts"
import type { Pool, SenseGroups } from "./senseGroups.ts"
import { isComputing, isToChange, type Sense } from "./senseState.ts"
import * as TickLines from "./tickLines.ts"

export interface Options extends Pool {
  readonly clock: SenseClock
  readonly groups: SenseGroups
  readonly changes: SenseChanges
  /** Key of a sense's last signal in the log, null when there is none. */
  readonly recordedOf: (sense: SenseName) => Effect.Effect<string | null>
  /** False when the event was not recorded: what depends on that must not follow. */
  readonly emit: (event: SenseEvent) => Effect.Effect<boolean>
}

/** When and why a compute ran, and what it logged. */
type ComputeTick = Omit<Extract<SenseEvent, { readonly _tag: "ComputeEnded" }>, "_tag" | "sense" | "group" | "reason">

/** Runs a sense's computes until it has left. */
export const make = (pool: Options): ((sense: Sense) => Effect.Effect<void>) => {
  const { changes, clock, groups, roster } = pool
  const { now, wallOf } = clock

  const loop = Effect.fnUntraced(function* (sense: Sense) {
    sense.recorded = yield* pool.recordedOf(sense.config.name)
    while (true) {
      if (!isComputing(sense) && (yield* changes.rearrange(sense)) === "left") return
      yield* sense.go.await
      sense.go.closeUnsafe()
      if (isComputing(sense)) yield* compute(sense)
    }
  })

  const compute = Effect.fnUntraced(function* (sense: Sense) {
    const client: WorkerClient<SenseRpc> = yield* pool.runtime.client(sense.group.name)
    sense.overran = null
    sense.lines = TickLines.make()
    const began = now()
    const startedAt = wallOf(began)
    sense.lastAt = startedAt
    const exit = yield* Effect.exit(client.RunCompute({ sense: sense.config.name, recorded: sense.recorded ?? null }))
    pool.feed(sense, { _tag: "ComputeAnswered" })
    const { lines, leftOut: linesLeftOut } = sense.lines
    const { cause, dueAt } = sense
    const tick = { cause, dueAt, startedAt, durationMs: now() - began, lines, linesLeftOut }
    const again = yield* conclude(sense, exit, tick)
    if (again) pool.feed(sense, { _tag: "Trigger", cause: { _tag: "Restart" } })
    else groups.release(sense)
    // This is the idle moment that a change waits for: nothing may start before it is done.
    if (isToChange(sense)) pool.feed(sense, { _tag: "GroupGone" })
    pool.feed(sense, { _tag: "ComputeEnded" })
    changes.renewWhenIdle(sense.group)
  })

  /** Counts and tells what a compute came to; true when it is to run again. */
  const conclude = Effect.fnUntraced(function* (sense: Sense, exit: ComputeExit, tick: ComputeTick) {
    const end = classify(sense, exit)
    const died = deathIn(exit)
    // Its exit is reported in a moment: until then nobody may start anew beside this one.
    if (died !== null && died === sense.group.incarnation) groups.gone(sense.group)
    const base = { sense: sense.config.name, group: sense.group.name, ...tick }
    if (end._tag === "ComputeInterrupted") {
      sense.interrupted = true
      if (died !== null) sense.group.suspects.push(sense)
      yield* pool.emit({ ...base, _tag: "ComputeInterrupted", reason: end.reason })
      return true
    }
    sense.interrupted = false
    sense.computes++
    switch (end._tag) {
      case "SignalEmitted":
        sense.signals++
        if (yield* pool.emit({ ...base, ...end })) {
          sense.recorded = end.key ?? null
          triggerDependents(sense)
        }
        return false
      case "ComputeEnded":
        yield* pool.emit({ ...base, ...end })
        return false
      case "Unavailable":
        sense.errors++
        yield* pool.emit({ ...base, _tag: "ComputeFailed", message: end.problem.message, stack: null })
        yield* pool.emitAll(groups.setProblem(sense, end.problem))
        return false
      default:
        sense.errors++
        yield* pool.emit({ ...base, ...end })
        return false
    }
  })

  const triggerDependents = (source: Sense): void => {
    for (const sense of roster.dependentsOf(source)) {
      pool.feed(sense, { _tag: "Trigger", cause: { _tag: "On", sense: source.config.name } })
    }
  }

  return loop
}
