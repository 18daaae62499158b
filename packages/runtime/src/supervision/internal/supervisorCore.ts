/**
 * The shell around `SupervisorMachine`: it holds the children, carries out what was decided about them, and
 * feeds what comes of it back as inputs, in order, one after the other.
 */
import { type Ending, formatExit, handoverText } from "@nerve/core/supervision/LifecycleState"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import type { StateTree } from "@nerve/core/supervision/StateTree"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as SupervisorMachine from "@nerve/core/supervision/SupervisorMachine"
import * as SupervisorState from "@nerve/core/supervision/SupervisorState"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Lifecycle from "../Lifecycle.ts"
import type { SuspendFailure } from "../LifecycleError.ts"
import type { Child, Options } from "../Supervisor.ts"
import { DuplicateChild, SupervisorOver, UnknownChild } from "../SupervisorError.ts"
import type { Suspension } from "../Suspension.ts"
import * as heldChild from "./heldChild.ts"
import type { HeldChild } from "./heldChild.ts"
import { Life } from "./life.ts"
import * as monotonic from "./monotonic.ts"

/** Inputs worked on before others get their turn: thousands of children must not hold up the event loop. */
const inputsPerTurn = 256

/** After 100 ms, doubling up to 30 s, with jitter; anew for a child that was up for a minute. */
export const standardRespawn: RespawnPolicy.RespawnPolicy = RespawnPolicy.resetAfter("1 minute")(
  RespawnPolicy.exponential({ initial: "100 millis", max: "30 seconds" })
)

/** 10 crashes in a minute. */
export const standardIntensity = { max: 10, within: "1 minute" } as const

/** The shell around `SupervisorMachine`: everything but waiting is synchronous. */
export class SupervisorCore {
  onChange: () => void = () => {}
  readonly #options: Options<ReadonlyArray<Child<unknown>>>
  readonly #context: Context.Context<never>
  readonly #newResumeId: (id: string) => string
  readonly #held = new Map<string, HeldChild>()
  readonly #done = Deferred.makeUnsafe<string | null>()
  #machine: SupervisorState.Machine
  #port: Lifecycle.Port | undefined
  /** Inputs that came while one was worked on. */
  readonly #inbox: Array<SupervisorMachine.Input> = []
  #working = false
  /** Waiters to be told when the present inputs are worked on. */
  readonly #toTell: Array<() => void> = []
  /** Given with a stop: it holds for all children. */
  #stop: StopPolicy.StopPolicy | undefined
  #breakerTimer: Fiber.Fiber<void> | undefined

  constructor(
    options: Options<ReadonlyArray<Child<unknown>>>,
    context: Context.Context<never>,
    newResumeId: (id: string) => string
  ) {
    this.#options = options
    this.#newResumeId = newResumeId
    this.#context = context
    this.#machine = SupervisorState.make(settingsOf(options), options.children.map(specOf))
    // Whoever makes a Core gives the context that all children together require (`RequirementsOf`); which
    // of them requires what is not known here any more.
    for (const child of options.children) this.#hold(child, { blueprint: child.worker as Lifecycle.Blueprint, context })
  }

  #hold(child: Child<unknown>, worker: Lifecycle.Bound): void {
    this.#held.set(child.id, heldChild.make(child, worker, child.resumeId ?? this.#newResumeId(child.id)))
  }

  // --- the supervisor's life ---------------------------------------------------------------------

  /** Ends when no child is left alive: by a stop, or because the intensity was reached. */
  run(port: Lifecycle.Port): Effect.Effect<Ending, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      this.#port = port
      this.onChange = () => port.changed()
      // However its life ends, nothing of it lives on.
      yield* Effect.addFinalizer(() => {
        this.#stopUnsafe(this.#stop ?? StopPolicy.kill)
        return Deferred.await(this.#done)
      })
      port.attach({
        stop: (policy) => this.#stopUnsafe(policy),
        suspend: this.#suspend,
        resume: this.#resume,
        details: this.details
      })
      this.#post({ _tag: "StartAsked" })
      const failure = yield* Deferred.await(this.#done)
      return { code: failure === null ? 0 : 1, signal: null, error: failure }
    })
  }

  #stopUnsafe(policy: StopPolicy.StopPolicy | undefined): void {
    this.#stop = policy
    this.#post({ _tag: "StopAsked" })
  }

  /** Last started, first suspended; goes on past failures. */
  readonly #suspend: Effect.Effect<Suspension> = Effect.suspend(() => {
    this.#post({ _tag: "SuspendAsked" })
    return this.#each(this.#machine.order.toReversed(), "Running", (life) => life.trySuspend)
  })

  /** First started, first resumed; goes on past failures. */
  readonly #resume: Effect.Effect<Suspension> = Effect.suspend(() =>
    this.#each(this.#machine.order, "Suspended", (life) => life.tryResume).pipe(
      Effect.tap(() => Effect.sync(() => this.#post({ _tag: "ResumeAsked" })))
    )
  )

  #each(
    ids: ReadonlyArray<string>,
    state: "Running" | "Suspended",
    operation: (life: Life) => Effect.Effect<Suspension>
  ): Effect.Effect<Suspension> {
    return Effect.gen({ self: this }, function* () {
      const failures: Array<SuspendFailure> = []
      const root = this.#port?.handover.id ?? "supervisor"
      for (const id of ids) {
        const life = this.#held.get(id)?.life
        if (life?.stateUnsafe() !== state) continue
        const suspension = yield* operation(life)
        for (const { path, reason } of suspension.failures) failures.push({ path: [root, ...path], reason })
      }
      return { taken: true, failures }
    })
  }

  // --- children come and go ----------------------------------------------------------------------

  add<R>(supervisor: string, child: Child<R>): Effect.Effect<void, DuplicateChild | SupervisorOver, R> {
    return Effect.contextWith((context: Context.Context<R>): Effect.Effect<void, DuplicateChild | SupervisorOver> => {
      const { mode } = this.#machine
      if (mode === "Stopping" || mode === "Ended") return Effect.fail(new SupervisorOver({ id: supervisor }))
      if (this.#held.has(child.id)) return Effect.fail(new DuplicateChild({ id: child.id }))
      this.#hold(child, Lifecycle.bind(child.worker, context))
      this.#post({ _tag: "AddAsked", child: specOf(child) })
      return Effect.void
    })
  }

  remove(id: string, stop: StopPolicy.StopPolicy | undefined): Effect.Effect<void, UnknownChild> {
    return Effect.suspend(() => {
      const held = this.#held.get(id)
      if (held === undefined) return Effect.fail(this.#unknown(id))
      if (stop !== undefined) held.stop = stop
      const removed = (held.removed ??= Deferred.makeUnsafe<void>())
      this.#post({ _tag: "RemoveAsked", id })
      return Deferred.await(removed)
    })
  }

  reset(id: string | undefined): Effect.Effect<void, UnknownChild> {
    return Effect.suspend(() => {
      if (id !== undefined && !this.#held.has(id)) return Effect.fail(this.#unknown(id))
      this.#post({ _tag: "ResetAsked", id: id ?? null })
      return Effect.void
    })
  }

  #unknown(id: string): UnknownChild {
    return new UnknownChild({ id, known: [...this.#held.keys()] })
  }

  // --- deciding, and carrying it out -------------------------------------------------------------

  /** Inputs are worked on one after the other, also those that come of carrying out an action. */
  #post(input: SupervisorMachine.Input): void {
    this.#inbox.push(input)
    if (this.#working) return
    this.#working = true
    this.#work()
  }

  #work(): void {
    let worked = 0
    for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
      const { actions, machine } = SupervisorMachine.decide(this.#machine, next)
      this.#machine = machine
      for (const action of actions) this.#carryOut(action)
      worked += 1
      if (worked < inputsPerTurn) continue
      this.#fork(
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => this.#work())
        )
      )
      break
    }
    this.#working = worked === inputsPerTurn
    this.onChange()
    // Last: whoever waits goes on at once, and must find everything as it is now.
    for (const tell of this.#toTell.splice(0)) tell()
  }

  #carryOut(action: SupervisorMachine.Action): void {
    switch (action._tag) {
      case "RoundDone":
        return this.#port?.started()
      case "Done":
        if (action.failure !== null) this.#warn("supervisor ends", { reason: action.failure })
        this.#toTell.push(() => Deferred.doneUnsafe(this.#done, Effect.succeed(action.failure)))
        return
      case "StartBreakerTimer":
        this.#breakerTimer?.interruptUnsafe()
        this.#breakerTimer = this.#after(action.afterMs, () => ({ _tag: "BreakerElapsed", now: this.#now() }))
        return
      case "CancelBreakerTimer":
        return this.#breakerTimer?.interruptUnsafe()
      case "Removed": {
        const removed = this.#held.get(action.id)?.removed
        this.#held.delete(action.id)
        if (removed !== undefined) this.#toTell.push(() => Deferred.doneUnsafe(removed, Effect.void))
        return
      }
      case "AskPolicy": {
        const held = this.#held.get(action.crash.id)
        if (held !== undefined) this.#askPolicy(held, action)
        return
      }
      default: {
        const held = this.#held.get(action.id)
        if (held !== undefined) this.#ofChild(held, action)
      }
    }
  }

  #ofChild(
    held: HeldChild,
    action: Exclude<Extract<SupervisorMachine.Action, { readonly id: string }>, { readonly _tag: "Removed" }>
  ): void {
    switch (action._tag) {
      case "Spawn":
        return this.#spawn(held, action.incarnation)
      case "StopChild":
        return held.life?.stopUnsafe(held.stop ?? this.#stop ?? held.child.stop)
      case "SuspendChild":
        if (held.life !== undefined) this.#fork(held.life.trySuspend)
        return
      case "StartDelay": {
        const { delayMs, id, incarnation } = action
        const over = { _tag: "DelayOver", id, incarnation } as const
        if (delayMs > 0) held.pending = this.#after(delayMs, () => over)
        else this.#post(over)
        return
      }
      case "CancelDelay":
        return held.pending?.interruptUnsafe()
      case "ForgetPolicy":
        held.decide = undefined
        return
      case "GiveUp":
        this.#warn("child given up", { child: action.id, crashes: action.crashes, exit: said(held.life?.exitUnsafe()) })
    }
  }

  #spawn(held: HeldChild, incarnation: number): void {
    const { child, previousExit, resumeId, worker } = held
    let hasStarted = false
    const life = new Life({
      ...worker,
      handover: { id: child.id, resumeId, incarnation, previousExit },
      stop: child.stop,
      onChange: (self) => {
        const exit = self.exitUnsafe()
        if (exit !== null) {
          if (held.life === self) held.previousExit = handoverText(exit)
          return this.#post({ _tag: "Exited", id: child.id, incarnation, now: this.#now(), exit })
        }
        if (hasStarted || self.stateUnsafe() !== "Running") return this.onChange()
        hasStarted = true
        this.#post({ _tag: "Started", id: child.id, incarnation, now: this.#now() })
      }
    })
    held.life = life
    life.startUnsafe()
  }

  #askPolicy(held: HeldChild, action: Extract<SupervisorMachine.Action, { readonly _tag: "AskPolicy" }>): void {
    const {
      crash: { exit, id, uptimeMs },
      incarnation
    } = action
    const process = exit.code === null && exit.signal === null ? null : { code: exit.code, signal: exit.signal }
    // The delay, once it is decided, takes its place: either may be cancelled.
    held.pending = this.#fork(
      Effect.gen({ self: this }, function* () {
        const decide = (held.decide ??= yield* RespawnPolicy.toDecide(
          held.child.respawn ?? this.#options.respawn ?? standardRespawn
        ))
        const decision = yield* decide(this.#now(), { exit: process, uptimeMs })
        if (decision._tag !== "Respawn") return this.#post({ _tag: "GiveUpDecided", id, incarnation })
        const { delayMs } = decision
        this.#warn("child crashed", { child: id, incarnation, exit: said(exit), delayMs })
        this.#post({ _tag: "RespawnDecided", id, incarnation, delayMs })
      })
    )
  }

  #after(ms: number, input: () => SupervisorMachine.Input): Fiber.Fiber<void> {
    return this.#fork(
      Effect.andThen(
        Effect.sleep(ms),
        Effect.sync(() => this.#post(input()))
      )
    )
  }

  #fork<A>(effect: Effect.Effect<A>): Fiber.Fiber<A> {
    return Effect.runForkWith(this.#context)(effect)
  }

  #now(): number {
    return monotonic.of(Context.get(this.#context, Clock.Clock))()
  }

  #warn(message: string, fields: Record<string, unknown>): void {
    this.#fork(
      Effect.annotateLogs(Effect.logWarning(message), {
        supervisor: this.#port?.handover.id ?? "supervisor",
        ...fields
      })
    )
  }

  // --- the view ----------------------------------------------------------------------------------

  readonly details = (): Partial<StateTree> => ({
    strategy: this.#machine.settings.strategy,
    breaker: this.#machine.settings.breaker === null ? null : breakerNames[this.#machine.breaker._tag],
    children: this.#machine.order.flatMap((id) => {
      const held = this.#held.get(id)
      const child = SupervisorState.childOf(this.#machine, id)
      return held === undefined || child === undefined ? [] : [heldChild.viewOf(held, child)]
    })
  })
}

/** Characters of an exit in a log line; an Effect's error comes with its stack, which the tree has whole. */
const maxSaid = 300

/** How a life ended, in a line. */
const said = (exit: Ending | null | undefined): string =>
  exit === null || exit === undefined ? "unknown" : (formatExit(exit).split("\n", 1)[0] ?? "").slice(0, maxSaid)

const breakerNames = { Closed: "closed", Open: "open", HalfOpen: "half-open" } as const

const specOf = (child: Child<unknown>): SupervisorState.ChildSpec => ({
  id: child.id,
  restart: child.restart ?? "always"
})

const settingsOf = (options: Options<ReadonlyArray<Child<unknown>>>): SupervisorState.Settings => {
  const breaker = options.breaker ?? null
  const intensity = options.intensity ?? (breaker === null ? standardIntensity : false)
  return {
    strategy: options.strategy ?? "one-for-one",
    intensity:
      intensity === false
        ? null
        : { max: intensity.max, withinMs: Duration.toMillis(Duration.fromInputUnsafe(intensity.within)) },
    breaker
  }
}
