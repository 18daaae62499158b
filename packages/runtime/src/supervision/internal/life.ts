/**
 * One life, whatever it runs: the shell around `LifecycleState.decide`. It owns the state, the fiber that
 * lives it, who waits for its end and who watches it.
 */
import type { Ending, LifecycleExit, LifecycleState } from "@nerve/core/supervision/LifecycleState"
import * as LifecycleMachine from "@nerve/core/supervision/LifecycleState"
import * as StateTree from "@nerve/core/supervision/StateTree"
import type * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { Handover } from "../Handover.ts"
import type { Bound, Controls, Details, Port, Worker } from "../Lifecycle.ts"
import { AlreadyStarted, type SuspendFailed } from "../LifecycleError.ts"
import { orFail, refused, type Suspension, taken } from "../Suspension.ts"
import * as lifeLadder from "./lifeLadder.ts"

export interface LifeOptions extends Bound {
  readonly handover: Handover
  readonly stop: StopPolicy.StopPolicy | undefined
  /** Told after each change. */
  readonly onChange?: (life: Life) => void
  /** Its details before it is started. */
  readonly details?: Details
}

/**
 * The one implementation of `Worker`: the shell around `LifecycleState.decide`. Everything but waiting is
 * synchronous, so that whoever asks sees the outcome at once. A class, because there are thousands of
 * them: an in-process worker costs this object, a Deferred and its fiber.
 */
export class Life implements Worker, Port {
  readonly handover: Handover
  readonly #options: LifeOptions
  readonly #exit = Deferred.makeUnsafe<LifecycleExit>()
  #machine = LifecycleMachine.initial
  #since: number
  #controls: Controls | undefined
  #details: Details | undefined
  #fiber: Fiber.Fiber<Ending> | undefined
  #ladder: Fiber.Fiber<void> | undefined
  #policy: StopPolicy.StopPolicy | undefined
  /** Open once there are controls; made when somebody waits for them. */
  #attached: Latch.Latch | undefined
  /** A suspend was tried and not undone, whatever the state says. */
  #maybeSuspended = false
  #tree: StateTree.StateTree | undefined
  #listeners: Set<() => void> | undefined

  constructor(options: LifeOptions) {
    this.#options = options
    this.handover = options.handover
    this.#details = options.details
    this.#since = this.#now()
  }

  get id(): string {
    return this.handover.id
  }

  get kind(): StateTree.WorkerKind {
    return this.#options.blueprint.kind
  }

  // --- as its owner sees it ----------------------------------------------------------------------

  get start(): Effect.Effect<void, AlreadyStarted> {
    return Effect.suspend(() => {
      const { state } = this.#machine
      if (state !== "Pending") return Effect.fail(new AlreadyStarted({ id: this.id, state }))
      this.startUnsafe()
      return Effect.void
    })
  }

  /** `start`, for who knows that it is Pending. */
  startUnsafe(): void {
    this.#post({ _tag: "StartAsked" })
  }

  stop(policy?: StopPolicy.StopPolicy): Effect.Effect<LifecycleExit> {
    return Effect.suspend(() => {
      this.stopUnsafe(policy)
      return this.wait
    })
  }

  /** `stop` without the waiting. */
  stopUnsafe(policy: StopPolicy.StopPolicy | undefined): void {
    this.#policy = policy ?? this.#options.stop
    this.#post({ _tag: "StopAsked" })
  }

  get wait(): Effect.Effect<LifecycleExit> {
    return Deferred.await(this.#exit)
  }

  get suspend(): Effect.Effect<void, SuspendFailed> {
    return orFail("suspend", this.trySuspend)
  }

  get resume(): Effect.Effect<void, SuspendFailed> {
    return orFail("resume", this.tryResume)
  }

  get trySuspend(): Effect.Effect<Suspension> {
    return Effect.suspend(() => {
      const control = this.#controls?.suspend
      const { state } = this.#machine
      if (state !== "Running") return Effect.succeed(refused(this.id, `it is ${state}`))
      if (control === undefined) return Effect.succeed(refused(this.id, `a ${this.kind} cannot be suspended`))
      this.#maybeSuspended = true
      return Effect.uninterruptible(
        Effect.flatMap(control, (suspension) => {
          if (suspension.taken) this.#post({ _tag: "Suspended" })
          // It was told to stop meanwhile, and must be able to hear that.
          return this.#machine.state === "Stopping"
            ? Effect.as(this.#controls?.resume ?? Effect.void, suspension)
            : Effect.succeed(suspension)
        })
      )
    })
  }

  get tryResume(): Effect.Effect<Suspension> {
    return Effect.suspend(() => {
      const { state } = this.#machine
      if (state !== "Suspended") return Effect.succeed(refused(this.id, `it is ${state}`))
      return Effect.uninterruptible(
        Effect.map(this.#controls?.resume ?? Effect.succeed(taken), (suspension) => {
          if (!suspension.taken) return suspension
          this.#maybeSuspended = false
          this.#post({ _tag: "Resumed" })
          return suspension
        })
      )
    })
  }

  get state(): Effect.Effect<LifecycleState> {
    return Effect.sync(() => this.#machine.state)
  }

  stateUnsafe(): LifecycleState {
    return this.#machine.state
  }

  /** Null while it has not ended. */
  exitUnsafe(): LifecycleExit | null {
    return this.#machine.exit
  }

  get snapshot(): Effect.Effect<StateTree.StateTree> {
    return Effect.sync(() => this.snapshotUnsafe())
  }

  /** The same object as long as nothing changes. */
  snapshotUnsafe(): StateTree.StateTree {
    return (this.#tree ??= {
      id: this.id,
      kind: this.kind,
      state: this.#machine.state,
      since: this.#since,
      incarnation: this.#machine.state === "Pending" ? 0 : this.handover.incarnation,
      crashes: 0,
      restart: null,
      plan: "none",
      resumeId: this.handover.resumeId,
      pid: this.#controls?.pid ?? null,
      exit: this.#machine.exit,
      metadata: this.#options.blueprint.metadata,
      strategy: null,
      breaker: null,
      children: noChildren,
      ...this.#details?.()
    })
  }

  get changes(): Stream.Stream<StateTree.StateTree> {
    return Stream.unwrap(
      Effect.gen({ self: this }, function* () {
        const dirty = yield* Queue.sliding<void>(1)
        const listener = () => void Queue.offerUnsafe(dirty, undefined)
        yield* Effect.acquireRelease(
          Effect.sync(() => (this.#listeners ??= new Set()).add(listener)),
          (listeners) => Effect.sync(() => void listeners.delete(listener))
        )
        listener()
        return Stream.fromQueue(dirty).pipe(
          Stream.map(() => this.snapshotUnsafe()),
          Stream.changesWith(StateTree.same),
          Stream.takeUntil((tree) => LifecycleMachine.isOver(tree.state))
        )
      })
    )
  }

  // --- as its life sees it -----------------------------------------------------------------------

  attach(controls: Controls): void {
    if (!LifecycleMachine.isAlive(this.#machine.state)) return
    this.#controls = controls
    this.#details = controls.details ?? this.#details
    this.#attached?.openUnsafe()
    this.changed()
  }

  started(): void {
    this.#post({ _tag: "Started" })
  }

  changed(): void {
    this.#tree = undefined
    this.#options.onChange?.(this)
    if (this.#listeners !== undefined) for (const listener of this.#listeners) listener()
  }

  // --- carrying out what was decided -------------------------------------------------------------

  #now(): number {
    return Context.get(this.#options.context, Clock.Clock).currentTimeMillisUnsafe()
  }

  #fork<A>(effect: Effect.Effect<A>): Fiber.Fiber<A> {
    return Effect.runForkWith(this.#options.context)(effect)
  }

  #post(input: LifecycleMachine.Input): void {
    const before = this.#machine
    const { actions, machine } = LifecycleMachine.decide(before, input)
    this.#machine = machine
    if (machine.state !== before.state) this.#since = this.#now()
    for (const action of actions) {
      switch (action) {
        case "Launch":
          this.#launch()
          break
        case "RunLadder":
          this.#ladder?.interruptUnsafe()
          this.#ladder = this.#fork(lifeLadder.goDown(this.#steps, this.#policy))
          break
        case "Settle":
          this.#letGo()
      }
    }
    if (machine.state !== before.state) this.changed()
    // Last: whoever waits goes on at once, and must find everything as it is now.
    if (machine.exit !== null && before.exit === null) Deferred.doneUnsafe(this.#exit, Effect.succeed(machine.exit))
  }

  #launch(): void {
    this.#fiber = this.#fork(Effect.scoped(Effect.suspend(() => this.#options.blueprint.life(this))))
    this.#fiber.addObserver((exit) => this.#post({ _tag: "Ended", ending: endingOf(exit, this.#machine) }))
  }

  /** What the stop ladder sees of it. */
  get #steps(): lifeLadder.Host {
    return {
      attached: Effect.suspend(() => {
        if (this.#controls !== undefined) return Effect.void
        this.#attached ??= Latch.makeUnsafe(false)
        return this.#attached.await
      }),
      controls: () => this.#controls,
      maybeSuspended: () => this.#maybeSuspended,
      interruptUnsafe: () => this.#fiber?.interruptUnsafe(),
      killTaken: () => this.#post({ _tag: "KillTaken" }),
      abandoned: (ending) => this.#post({ _tag: "Ended", ending }),
      wait: this.wait
    }
  }

  #letGo(): void {
    this.#ladder?.interruptUnsafe()
    this.#ladder = undefined
    this.#fiber = undefined
    this.#controls = undefined
  }
}

const noChildren: ReadonlyArray<StateTree.StateTree> = []

/** An interruption that was asked for is no error. */
const endingOf = (exit: Exit.Exit<Ending>, machine: LifecycleMachine.Machine): Ending => {
  if (Exit.isSuccess(exit)) return exit.value
  const asked = machine.requested || machine.killed
  const error = Cause.hasInterruptsOnly(exit.cause) ? (asked ? null : "interrupted") : Cause.pretty(exit.cause)
  return { code: null, signal: null, error }
}
