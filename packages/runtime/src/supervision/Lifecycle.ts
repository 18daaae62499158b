/**
 * One interface over everything that can be started, stopped and waited for: a child process, a thread, a
 * command, a container, an Effect, a whole supervisor (L1, L2). A `Worker` here is one incarnation, with
 * one life; a `Blueprint` says how to make one, and a `Supervisor` makes the next one of it after a crash.
 *
 * It owns the state of that life, the fiber that lives it and the stop ladder. It decides nothing about
 * restarts. What a worker runs, and how that is asked, signalled, killed, suspended, is its blueprint's.
 */
import type { Ending, LifecycleExit, LifecycleState } from "@nerve/core/supervision/LifecycleState"
import * as LifecycleMachine from "@nerve/core/supervision/LifecycleState"
import * as StateTree from "@nerve/core/supervision/StateTree"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** It was started before. A life begins once; make another worker for another one. */
export class AlreadyStarted extends Schema.TaggedError<AlreadyStarted>()("AlreadyStarted", {
  id: Schema.String,
  state: LifecycleMachine.LifecycleState
}) {
  override get message(): string {
    return `worker ${JSON.stringify(this.id)} was started before: it is ${this.state}`
  }
}

/** Which worker could not be suspended or resumed: the ids from the root to it, and why. */
export const SuspendFailure = Schema.Struct({ path: Schema.Array(Schema.String), reason: Schema.String })
export type SuspendFailure = typeof SuspendFailure.Type

/** Some could not be suspended, or resumed; the others were (L8). */
export class SuspendFailed extends Schema.TaggedError<SuspendFailed>()("SuspendFailed", {
  operation: Schema.Literals(["suspend", "resume"]),
  failures: Schema.Array(SuspendFailure)
}) {
  override get message(): string {
    return `cannot ${this.operation} ${this.failures.map((one) => `${one.path.join("/")}: ${one.reason}`).join("; ")}`
  }
}

/** What an incarnation is told of itself and of the one before (L5). */
export interface Handover {
  readonly id: string
  /** The same for all incarnations of a worker, until it is removed. */
  readonly resumeId: string
  /** From 1. */
  readonly incarnation: number
  /** How the incarnation before ended: its exit code or its signal. Null for the first one. */
  readonly previousExit: string | null
}

/** The handover as environment variables; processes and threads are started with them. */
export const handoverEnvironment = (handover: Handover): Readonly<Record<string, string>> => ({
  NERVE_RESUME_ID: handover.resumeId,
  ...(handover.previousExit === null ? {} : { NERVE_PREV_EXIT: handover.previousExit })
})

/** What came of suspending or resuming. */
export interface Suspension {
  /** Whether the state has changed; a supervisor's does although some of its children's do not. */
  readonly taken: boolean
  /** Empty when all went well. */
  readonly failures: ReadonlyArray<SuspendFailure>
}

/** How a life is steered. What is missing is done by interrupting the fiber that lives it, or not at all. */
export interface Controls {
  readonly pid?: number
  /** Asks it politely to end. */
  readonly ask?: Effect.Effect<unknown>
  /** SIGTERM, or what comes nearest. */
  readonly terminate?: Effect.Effect<unknown>
  /** SIGKILL, or what comes nearest. */
  readonly kill?: Effect.Effect<unknown>
  readonly suspend?: Effect.Effect<Suspension>
  readonly resume?: Effect.Effect<Suspension>
  /** Takes the place of the stop ladder. No policy: each below by its own. */
  readonly stop?: (policy: StopPolicy.StopPolicy | undefined) => void
  /** What only it knows of its snapshot. */
  readonly details?: Details
}

/** What a life's own snapshot adds. */
export type Details = () => Partial<StateTree.StateTree>

/** What a life sees of the worker whose life it is. */
export interface Port {
  readonly handover: Handover
  /** From now on it can be steered so. Call it again when that changes. */
  readonly attach: (controls: Controls) => void
  /** It runs: Starting becomes Running. */
  readonly started: () => void
  /** Its details have changed. */
  readonly changed: () => void
  /** Where the life stands now. */
  readonly stateUnsafe: () => LifecycleState
}

/** How to make incarnations of a worker. A value; nothing runs by it. */
export interface Blueprint<out R = never> {
  readonly kind: StateTree.WorkerKind
  readonly metadata: { readonly [key: string]: string }
  /** Lives one life to its end. Closing its scope must leave nothing behind. */
  readonly life: (port: Port) => Effect.Effect<Ending, never, R | Scope.Scope>
}

/** One incarnation. */
export interface Worker {
  readonly id: string
  readonly kind: StateTree.WorkerKind
  /** Begins its life and does not wait for anything. */
  readonly start: Effect.Effect<void, AlreadyStarted>
  /**
   * Stops it by the stop ladder and waits for the end, which comes within the policy's bounds and the
   * grace after a kill. Asked again, the newest bounds hold. One that was never started is Stopped.
   */
  readonly stop: (policy?: StopPolicy.StopPolicy) => Effect.Effect<LifecycleExit>
  /** Waits for its end, however it comes. Any number may wait, also afterwards. */
  readonly wait: Effect.Effect<LifecycleExit>
  /** Only what runs can be suspended, and only what is suspended resumed. */
  readonly suspend: Effect.Effect<void, SuspendFailed>
  readonly resume: Effect.Effect<void, SuspendFailed>
  readonly state: Effect.Effect<LifecycleState>
  readonly snapshot: Effect.Effect<StateTree.StateTree>
  /**
   * The snapshot now and after each change, no two alike in a row; ends with the worker. A slow reader
   * misses what lies between, never the last.
   */
  readonly changes: Stream.Stream<StateTree.StateTree>
}

/** After force was used, how long the end may take to come before the life is given up for lost. */
const killGraceMs = 5000

/**
 * A worker by a blueprint, for whoever wants one without a supervisor. It is not started. When the scope
 * closes it is stopped.
 */
export const make = Effect.fnUntraced(function* <R>(
  blueprint: Blueprint<R>,
  options: { readonly id?: string; readonly resumeId?: string; readonly stop?: StopPolicy.StopPolicy } = {}
): Effect.fn.Return<Worker, never, R | Scope.Scope> {
  const life: Life = new Life({
    ...bind(blueprint, yield* Effect.context<R>()),
    handover: {
      id: options.id ?? blueprint.kind,
      resumeId: options.resumeId ?? newResumeId(),
      incarnation: 1,
      previousExit: null
    },
    stop: options.stop
  })
  yield* Effect.addFinalizer(() => life.stop())
  return life
})

/** A resume id that nobody has. */
export const newResumeId = (): string => SecureRandom.uuidV4Unsafe()

/** A failed suspension of one worker. */
export const refused = (id: string, reason: string): Suspension => ({
  taken: false,
  failures: [{ path: [id], reason }]
})

export const taken: Suspension = { taken: true, failures: [] }

/** A blueprint with what its lives require. */
export interface Bound {
  readonly blueprint: Blueprint
  /** The context that lives run in. */
  readonly context: Context.Context<never>
}

/** Ties a blueprint to the context that its lives will run in. */
export const bind = <R>(blueprint: Blueprint<R>, context: Context.Context<R>): Bound => ({
  // A life is run in this context and nowhere else (`Life`), so it requires no more. Without the cast
  // each life would carry a layer around it that provides what is there already.
  blueprint: blueprint as Blueprint,
  context
})

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
          this.#ladder = this.#fork(this.#goDown(this.#policy))
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

  #letGo(): void {
    this.#ladder?.interruptUnsafe()
    this.#ladder = undefined
    this.#fiber = undefined
    this.#controls = undefined
  }

  // --- the stop ladder ---------------------------------------------------------------------------

  /** Ends when the life has ended, or has been given up for lost. */
  #goDown(asked: StopPolicy.StopPolicy | undefined): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const policy = asked ?? StopPolicy.standard
      const steps = StopPolicy.steps(policy, true)
      yield* this.#awaitControls(policy)
      const controls = this.#controls ?? {}
      if (controls.stop !== undefined) {
        if (steps[0]?._tag === "Kill") this.#post({ _tag: "KillTaken" })
        return controls.stop(asked)
      }
      if (this.#maybeSuspended) yield* controls.resume ?? Effect.void
      const interrupt = Effect.sync(() => this.#fiber?.interruptUnsafe())
      const byInterruption = controls.kill === undefined && this.#controls !== undefined ? interrupt : undefined
      for (const step of steps) {
        switch (step._tag) {
          case "Ask":
          case "Terminate": {
            const effect = (step._tag === "Ask" ? controls.ask : controls.terminate) ?? byInterruption
            if (effect !== undefined) yield* Effect.timeoutOption(Effect.andThen(effect, this.wait), step.waitMs)
            break
          }
          case "Kill":
            this.#post({ _tag: "KillTaken" })
            yield* Effect.timeoutOption(Effect.andThen(controls.kill ?? interrupt, this.wait), killGraceMs)
            this.#abandon()
        }
      }
    })
  }

  /** Spawning takes a moment, in which nothing can be asked or signalled. */
  #awaitControls(policy: StopPolicy.StopPolicy): Effect.Effect<unknown> {
    if (this.#controls !== undefined) return Effect.void
    this.#attached ??= Latch.makeUnsafe(false)
    return Effect.timeoutOption(this.#attached.await, policy.politeMs + policy.termMs)
  }

  #abandon(): void {
    this.#fiber?.interruptUnsafe()
    this.#post({
      _tag: "Ended",
      ending: {
        code: null,
        signal: null,
        error: `did not end within ${killGraceMs} ms of being killed; given up for lost`
      }
    })
  }
}

const noChildren: ReadonlyArray<StateTree.StateTree> = []

const orFail = (
  operation: "suspend" | "resume",
  suspension: Effect.Effect<Suspension>
): Effect.Effect<void, SuspendFailed> =>
  Effect.flatMap(suspension, ({ failures }) =>
    failures.length === 0 ? Effect.void : Effect.fail(new SuspendFailed({ operation, failures }))
  )

/** An interruption that was asked for is no error. */
const endingOf = (exit: Exit.Exit<Ending>, machine: LifecycleMachine.Machine): Ending => {
  if (Exit.isSuccess(exit)) return exit.value
  const asked = machine.requested || machine.killed
  const error = Cause.hasInterruptsOnly(exit.cause) ? (asked ? null : "interrupted") : Cause.pretty(exit.cause)
  return { code: null, signal: null, error }
}
