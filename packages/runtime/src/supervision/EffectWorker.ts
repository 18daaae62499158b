/**
 * A worker that is an Effect in this process (L1). It ends as the Effect ends: success is Finished,
 * failure and defects are Failed. It is stopped by interruption, so its finalizers run.
 *
 * It can be suspended: its fiber and all fibers that it forks run on a scheduler that holds them back.
 * What cannot be done from within one thread: to take back the thread from code that never yields, and to
 * end an Effect that refuses interruption. Such a one is given up for lost when a stop's bounds have
 * passed: its state is Killed, and what it still does is its own.
 */
import type { Ending } from "@nerve/core/supervision/LifecycleState"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { type Scheduler, type SchedulerDispatcher, Scheduler as SchedulerReference } from "effect/Scheduler"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Handover } from "./Handover.ts"
import type { Blueprint, Port } from "./Lifecycle.ts"
import { taken } from "./Suspension.ts"

/** What this incarnation is told of itself and of the one before; provided to the Effect. */
export class CurrentHandover extends Context.Service<CurrentHandover, Handover>()(
  "@nerve/runtime/supervision/EffectWorker/CurrentHandover"
) {}

/** A worker that runs the Effect. Each incarnation runs it anew, in a scope of its own. */
export const make = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: { readonly metadata?: { readonly [key: string]: string } } = {}
): Blueprint<Exclude<R, CurrentHandover | Scope.Scope>> => ({
  kind: "effect",
  metadata: options.metadata ?? noMetadata,
  life: (port) =>
    Effect.withFiber((fiber) => {
      const scheduler = new HoldingScheduler(fiber.getRef(SchedulerReference))
      steer(port, scheduler)
      port.started()
      // `Exclude` over a type parameter is opaque to the compiler: what is provided here is what it leaves out.
      const provided = Effect.provideContext(
        effect as Effect.Effect<A, E, Exclude<R, CurrentHandover | Scope.Scope> | CurrentHandover | Scope.Scope>,
        Context.make(CurrentHandover, port.handover).pipe(Context.add(SchedulerReference, scheduler))
      )
      return Effect.map(Effect.exit(provided), endingOf)
    })
})

const noMetadata = {}

const steer = (port: Port, scheduler: HoldingScheduler): void =>
  port.attach({
    suspend: Effect.sync(() => {
      scheduler.hold()
      return taken
    }),
    resume: Effect.sync(() => {
      scheduler.release()
      return taken
    })
  })

const endingOf = (exit: Exit.Exit<unknown, unknown>): Ending =>
  Exit.isSuccess(exit)
    ? { code: 0, signal: null, error: null }
    : { code: 1, signal: null, error: Cause.pretty(exit.cause) }

/**
 * Runs fibers as the scheduler below it does, and while it holds, not at all: every fiber yields before
 * its next step, and what would wake it is kept, in order.
 */
class HoldingScheduler implements Scheduler {
  readonly executionMode: "sync" | "async"
  readonly #below: Scheduler
  #holding = false
  #held: Array<() => void> | undefined

  constructor(below: Scheduler) {
    this.#below = below
    this.executionMode = below.executionMode
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return this.#holding || this.#below.shouldYield(fiber)
  }

  makeDispatcher(): SchedulerDispatcher {
    const below = this.#below.makeDispatcher()
    return {
      scheduleTask: (task, priority) => {
        if (this.#holding) (this.#held ??= []).push(() => below.scheduleTask(task, priority))
        else below.scheduleTask(task, priority)
      },
      flush: () => below.flush()
    }
  }

  hold(): void {
    this.#holding = true
  }

  release(): void {
    this.#holding = false
    const held = this.#held
    this.#held = undefined
    for (const schedule of held ?? []) schedule()
  }
}
