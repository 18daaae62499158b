/**
 * A supervisor: workers that are started in order, watched, started again after a crash by strategy and
 * policy, and stopped in reverse order (L3, L4). It is a worker itself, so supervisors make trees.
 *
 * It is the one owner of its children's restarts. What is to be done is decided by `SupervisorMachine`;
 * this is the shell that does it: incarnations, delays, the breaker's timer. It neither knows nor cares
 * what its children run.
 */
import type * as CircuitBreaker from "@nerve/core/supervision/CircuitBreaker"
import { type Ending, handoverText } from "@nerve/core/supervision/LifecycleState"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import type { Plan, RestartMode, StateTree, Strategy } from "@nerve/core/supervision/StateTree"
import type * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as StopPolicies from "@nerve/core/supervision/StopPolicy"
import * as SupervisorMachine from "@nerve/core/supervision/SupervisorMachine"
import * as SupervisorState from "@nerve/core/supervision/SupervisorState"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { assertOneEffect } from "../internal/oneEffect.ts"
import * as monotonic from "./internal/monotonic.ts"
import * as Lifecycle from "./Lifecycle.ts"

/** The supervisor has a child of that id already. */
export class DuplicateChild extends Schema.TaggedError<DuplicateChild>()("DuplicateChild", { id: Schema.String }) {
  override get message(): string {
    return `there is a child ${JSON.stringify(this.id)} already`
  }
}

/** The supervisor has no child of that id. */
export class UnknownChild extends Schema.TaggedError<UnknownChild>()("UnknownChild", {
  id: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `no child ${JSON.stringify(this.id)}; there are: ${this.known.join(", ") || "none"}`
  }
}

/** The supervisor is stopping or has ended: it takes no children any more. */
export class SupervisorOver extends Schema.TaggedError<SupervisorOver>()("SupervisorOver", { id: Schema.String }) {
  override get message(): string {
    return `supervisor ${JSON.stringify(this.id)} is stopping or has ended`
  }
}

/** A child as it is declared. */
export interface Child<out R = never> {
  /** Unique among its siblings. */
  readonly id: string
  readonly worker: Lifecycle.Blueprint<R>
  /** `always` unless told. */
  readonly restart?: RestartMode
  /** When to start it again, and whether; the supervisor's unless told. Its end gives the child up. */
  readonly respawn?: RespawnPolicy.RespawnPolicy
  /** Bounds of its stop ladder. A supervisor's are those of its children, one after the other. */
  readonly stop?: StopPolicy.StopPolicy
  /** To go on under an id that is known from before; a new one unless told. */
  readonly resumeId?: string
}

export interface Options<Children extends ReadonlyArray<Child<unknown>>> {
  /** Names it in logs and snapshots; a child of a supervisor goes by its child id. */
  readonly id?: string
  /**
   * Who else is stopped and started again when a child crashes: nobody (`one-for-one`, unless told), all
   * (`one-for-all`), those that come after it (`rest-for-one`).
   */
  readonly strategy?: Strategy
  /** In start order. */
  readonly children: Children
  /** For children without a policy of their own; `standardRespawn` unless told. */
  readonly respawn?: RespawnPolicy.RespawnPolicy
  /**
   * At the `max`-th crash `within` a sliding window the supervisor stops all children and is Failed itself,
   * which is its own supervisor's business. 10 in a minute unless told, none when false or with a breaker.
   */
  readonly intensity?: { readonly max: number; readonly within: Duration.Input } | false
  /** Pauses restarts when there are too many: see `CircuitBreaker.make`. */
  readonly breaker?: CircuitBreaker.CircuitBreaker
  readonly metadata?: { readonly [key: string]: string }
}

/** Inputs worked on before others get their turn: thousands of children must not hold up the event loop. */
const inputsPerTurn = 256

/** What children require, together. */
export type RequirementsOf<Children extends ReadonlyArray<Child<unknown>>> = Children[number] extends infer One
  ? One extends Child<infer R>
    ? R
    : never
  : never

export interface Supervisor extends Lifecycle.Worker {
  /** Adds a child behind the others, and starts it if the supervisor runs. */
  readonly add: <R>(child: Child<R>) => Effect.Effect<void, DuplicateChild | SupervisorOver, R>
  /** Stops a child, by these bounds or its own, and forgets it, its resume id too. Waits for that. */
  readonly remove: (id: string, stop?: StopPolicy.StopPolicy) => Effect.Effect<void, UnknownChild>
  /** Forgets crashes, closes the breaker, starts who was given up: one child, or all. */
  readonly reset: (id?: string) => Effect.Effect<void, UnknownChild>
}

/** After 100 ms, doubling up to 30 s, with jitter; anew for a child that was up for a minute. */
export const standardRespawn: RespawnPolicy.RespawnPolicy = RespawnPolicy.resetAfter("1 minute")(
  RespawnPolicy.exponential({ initial: "100 millis", max: "30 seconds" })
)

/** 10 crashes in a minute. */
export const standardIntensity = { max: 10, within: "1 minute" } as const

/** A supervisor that is not started. When the scope closes it is stopped, its children in reverse order. */
export const make = Effect.fnUntraced(function* <const Children extends ReadonlyArray<Child<unknown>>>(
  options: Options<Children>
): Effect.fn.Return<Supervisor, DuplicateChild, RequirementsOf<Children> | Scope.Scope> {
  yield* assertOneEffect
  const context = yield* Effect.context<RequirementsOf<Children>>()
  const twice = duplicate(options.children)
  if (twice !== undefined) return yield* new DuplicateChild({ id: twice })
  const core = new Core(options, context, Lifecycle.newResumeId)
  const life = new Lifecycle.Life({
    blueprint: { kind: "supervisor", metadata: options.metadata ?? {}, life: (port) => core.run(port) },
    context,
    handover: {
      id: options.id ?? "supervisor",
      resumeId: Lifecycle.newResumeId(),
      incarnation: 1,
      previousExit: null
    },
    stop: undefined,
    details: core.details
  })
  core.onChange = () => life.changed()
  yield* Effect.addFinalizer(() => life.stop())
  return supervisorOf(core, life)
})

/** A supervisor as a child of another one. */
export const blueprint = <const Children extends ReadonlyArray<Child<unknown>>>(
  options: Omit<Options<Children>, "id">
): Lifecycle.Blueprint<RequirementsOf<Children>> => ({
  kind: "supervisor",
  metadata: options.metadata ?? {},
  life: (port) =>
    Effect.contextWith((context: Context.Context<RequirementsOf<Children>>) => {
      const twice = duplicate(options.children)
      if (twice !== undefined) {
        return Effect.succeed({ code: 1, signal: null, error: new DuplicateChild({ id: twice }).message })
      }
      // Derived, so that they are the same after a restart of the supervisor itself.
      const resumeId = (id: string) => `${port.handover.resumeId}/${id}`
      return new Core(options, context, resumeId).run(port)
    })
})

const duplicate = (children: ReadonlyArray<Child<unknown>>): string | undefined => {
  const seen = new Set<string>()
  for (const { id } of children) {
    if (seen.has(id)) return id
    seen.add(id)
  }
  return undefined
}

const supervisorOf = (core: Core, life: Lifecycle.Life): Supervisor => ({
  id: life.id,
  kind: life.kind,
  start: life.start,
  stop: (policy) => life.stop(policy),
  wait: life.wait,
  suspend: life.suspend,
  resume: life.resume,
  state: life.state,
  snapshot: life.snapshot,
  changes: life.changes,
  add: (child) => core.add(life.id, child),
  remove: (id, stop) => core.remove(id, stop),
  reset: (id) => core.reset(id)
})

/** One child, over all its incarnations. */
interface Held {
  readonly child: Child<unknown>
  readonly worker: Lifecycle.Bound
  readonly resumeId: string
  /** The present or last incarnation. */
  life: Lifecycle.Life | undefined
  previousExit: string | null
  /** What its policy remembers; made at its first crash. */
  decide: Effect.Success<ReturnType<typeof RespawnPolicy.toDecide>> | undefined
  delay: Fiber.Fiber<void> | undefined
  /** Overrides the child's own, when it is removed. */
  stop: StopPolicy.StopPolicy | undefined
  /** Done when it is removed; made when somebody waits. */
  removed: Deferred.Deferred<void> | undefined
  /** The snapshot as last made, and what of. */
  view:
    | { readonly tree: StateTree; readonly of: StateTree | undefined; readonly child: SupervisorState.Child }
    | undefined
}

/** The shell around `SupervisorMachine`: everything but waiting is synchronous. */
class Core {
  onChange: () => void = () => {}
  readonly #options: Options<ReadonlyArray<Child<unknown>>>
  readonly #context: Context.Context<never>
  readonly #newResumeId: (id: string) => string
  readonly #held = new Map<string, Held>()
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
    this.#held.set(child.id, {
      child,
      worker,
      resumeId: child.resumeId ?? this.#newResumeId(child.id),
      life: undefined,
      previousExit: null,
      decide: undefined,
      delay: undefined,
      stop: undefined,
      removed: undefined,
      view: undefined
    })
  }

  // --- the supervisor's life ---------------------------------------------------------------------

  /** Ends when no child is left alive: by a stop, or because the intensity was reached. */
  run(port: Lifecycle.Port): Effect.Effect<Ending, never, Scope.Scope> {
    return Effect.gen({ self: this }, function* () {
      this.#port = port
      this.onChange = () => port.changed()
      // However its life ends, nothing of it lives on.
      yield* Effect.addFinalizer(() => {
        this.#stopUnsafe(this.#stop ?? StopPolicies.kill)
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
  readonly #suspend: Effect.Effect<Lifecycle.Suspension> = Effect.suspend(() => {
    this.#post({ _tag: "SuspendAsked" })
    return this.#each(this.#machine.order.toReversed(), "Running", (life) => life.trySuspend)
  })

  /** First started, first resumed; goes on past failures. */
  readonly #resume: Effect.Effect<Lifecycle.Suspension> = Effect.suspend(() =>
    this.#each(this.#machine.order, "Suspended", (life) => life.tryResume).pipe(
      Effect.tap(() => Effect.sync(() => this.#post({ _tag: "ResumeAsked" })))
    )
  )

  #each(
    ids: ReadonlyArray<string>,
    state: "Running" | "Suspended",
    operation: (life: Lifecycle.Life) => Effect.Effect<Lifecycle.Suspension>
  ): Effect.Effect<Lifecycle.Suspension> {
    return Effect.gen({ self: this }, function* () {
      const failures: Array<Lifecycle.SuspendFailure> = []
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
    held: Held,
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
        if (delayMs > 0) held.delay = this.#after(delayMs, () => over)
        else this.#post(over)
        return
      }
      case "CancelDelay":
        return held.delay?.interruptUnsafe()
      case "ForgetPolicy":
        held.decide = undefined
        return
      case "GiveUp":
        this.#warn("child given up", { child: action.id, crashes: action.crashes, exit: held.previousExit })
    }
  }

  #spawn(held: Held, incarnation: number): void {
    const { child, previousExit, resumeId, worker } = held
    let hasStarted = false
    const life = new Lifecycle.Life({
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

  #askPolicy(held: Held, action: Extract<SupervisorMachine.Action, { readonly _tag: "AskPolicy" }>): void {
    const {
      crash: { exit, id, uptimeMs },
      incarnation
    } = action
    const process = exit.code === null && exit.signal === null ? null : { code: exit.code, signal: exit.signal }
    this.#fork(
      Effect.gen({ self: this }, function* () {
        const decide = (held.decide ??= yield* RespawnPolicy.toDecide(
          held.child.respawn ?? this.#options.respawn ?? standardRespawn
        ))
        const decision = yield* decide(this.#now(), { exit: process, uptimeMs })
        this.#post(
          decision._tag === "Respawn"
            ? { _tag: "RespawnDecided", id, incarnation, delayMs: decision.delayMs }
            : { _tag: "GiveUpDecided", id, incarnation }
        )
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
      return held === undefined || child === undefined ? [] : [viewOf(held, child)]
    })
  })
}

const breakerNames = { Closed: "closed", Open: "open", HalfOpen: "half-open" } as const

/** The same object as long as nothing changes. */
const viewOf = (held: Held, child: SupervisorState.Child): StateTree => {
  const of = held.life?.snapshotUnsafe()
  if (held.view !== undefined && held.view.of === of && held.view.child === child) return held.view.tree
  const { restart, phase, crashes } = child
  const tree: StateTree = {
    ...(of ?? neverStarted(held)),
    restart,
    crashes,
    plan: planOf(phase)
  }
  held.view = { tree, of, child }
  return tree
}

const planOf = (phase: SupervisorState.ChildPhase): Plan => {
  switch (phase) {
    case "Queued":
      return "queued"
    case "Delayed":
      return "delayed"
    case "Held":
      return "held"
    case "GivenUp":
      return "given-up"
    default:
      return "none"
  }
}

const neverStarted = ({ child, resumeId }: Held): StateTree => ({
  id: child.id,
  kind: child.worker.kind,
  state: "Pending",
  since: 0,
  incarnation: 0,
  crashes: 0,
  restart: null,
  plan: "none",
  resumeId,
  pid: null,
  exit: null,
  metadata: child.worker.metadata,
  strategy: null,
  breaker: null,
  children: []
})

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
