/**
 * What a supervisor does about its children, decided purely: `decide(machine, input)` gives the next
 * machine and what to do. It knows no clock, process or fiber; `Supervisor` carries out the actions and
 * feeds what comes of them back as inputs.
 *
 * One child at a time is started or stopped by order: a *round* goes through ids, forward to start,
 * backward to stop. A crash under one-for-one concerns that child alone; under the other strategies it
 * begins a round that stops who shares its fate, waits for the culprit's backoff, and starts them again.
 *
 * An input that names an incarnation other than the child's present one changes nothing.
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import { formatExit, type LifecycleExit } from "./LifecycleState.ts"
import type { RestartMode, Strategy } from "./StateTree.ts"

export interface ChildSpec {
  readonly id: string
  readonly restart: RestartMode
}

/**
 * `Down`: not alive and nothing planned. `Queued`: its turn in a round comes. `Delayed`: its own backoff
 * runs. `Held`: backoff over, but the breaker is open or the supervisor suspended.
 */
export type ChildPhase = "Down" | "Queued" | "Delayed" | "Held" | "GivenUp" | "Starting" | "Running" | "Stopping"

export interface Child extends ChildSpec {
  readonly phase: ChildPhase
  /** Number of the present or last incarnation; 0 before the first. */
  readonly incarnation: number
  /** Crashes since it was added or reset. */
  readonly crashes: number
  /** When the present incarnation began to run, in milliseconds; null before. */
  readonly runningSince: number | null
  /** It goes for good. */
  readonly removing: boolean
}

/** A walk through children by order. `at` is the index whose turn it is. */
export type Round =
  /** Stops backward those who share the culprit's fate. */
  | { readonly stage: "Stopping"; readonly ids: ReadonlyArray<string>; readonly at: number; readonly crash: Crash }
  /** All are down; the culprit's policy is asked, then its delay runs. */
  | { readonly stage: "Waiting" | "Held"; readonly ids: ReadonlyArray<string>; readonly crash: Crash }
  /** Starts forward those that are queued, each when the one before runs. */
  | { readonly stage: "Starting"; readonly ids: ReadonlyArray<string>; readonly at: number }

export interface Crash {
  readonly id: string
  readonly exit: LifecycleExit
  readonly uptimeMs: number
}

export interface Settings {
  readonly strategy: Strategy
  /** The `max`-th crash within the window ends the supervisor itself; null for never. */
  readonly intensity: { readonly max: number; readonly withinMs: number } | null
  readonly breaker: CircuitBreaker.CircuitBreaker | null
}

export interface Machine {
  readonly settings: Settings
  readonly mode: "Pending" | "Running" | "Suspended" | "Stopping" | "Ended"
  /** Why it is ending by itself; null when it was asked to, or is not ending. */
  readonly failure: string | null
  /** Ids in start order. */
  readonly order: ReadonlyArray<string>
  readonly children: HashMap.HashMap<string, Child>
  readonly round: Round | null
  /** Where the stopping of all stands. */
  readonly stoppingAt: number
  /** Times of the crashes that count for the intensity. */
  readonly crashes: ReadonlyArray<number>
  readonly breaker: CircuitBreaker.State
  /** The child whose start is the half-open breaker's trial. */
  readonly trial: string | null
}

export type Input =
  | { readonly _tag: "StartAsked" }
  /** Also when stopping already: those that still live are stopped anew, by other bounds perhaps. */
  | { readonly _tag: "StopAsked" }
  | { readonly _tag: "SuspendAsked" }
  | { readonly _tag: "ResumeAsked" }
  /** The id is new; whoever asks has looked. */
  | { readonly _tag: "AddAsked"; readonly child: ChildSpec }
  | { readonly _tag: "RemoveAsked"; readonly id: string }
  /** Forget crashes, close the breaker, revive who was given up: one child, or all. */
  | { readonly _tag: "ResetAsked"; readonly id: string | null }
  | { readonly _tag: "Started"; readonly id: string; readonly incarnation: number; readonly now: number }
  | {
      readonly _tag: "Exited"
      readonly id: string
      readonly incarnation: number
      readonly now: number
      readonly exit: LifecycleExit
    }
  | { readonly _tag: "RespawnDecided"; readonly id: string; readonly incarnation: number; readonly delayMs: number }
  | { readonly _tag: "GiveUpDecided"; readonly id: string; readonly incarnation: number }
  | { readonly _tag: "DelayOver"; readonly id: string; readonly incarnation: number }
  /** The breaker's timer has run: its cooldown, or its trial. */
  | { readonly _tag: "BreakerElapsed"; readonly now: number }

export type Action =
  | { readonly _tag: "Spawn"; readonly id: string; readonly incarnation: number }
  | { readonly _tag: "StopChild"; readonly id: string }
  | { readonly _tag: "SuspendChild"; readonly id: string }
  | { readonly _tag: "AskPolicy"; readonly incarnation: number; readonly crash: Crash }
  | { readonly _tag: "StartDelay"; readonly id: string; readonly incarnation: number; readonly delayMs: number }
  | { readonly _tag: "CancelDelay"; readonly id: string }
  /** Forget what the child's policy remembers. */
  | { readonly _tag: "ForgetPolicy"; readonly id: string }
  | { readonly _tag: "GiveUp"; readonly id: string; readonly crashes: number }
  | { readonly _tag: "StartBreakerTimer"; readonly afterMs: number }
  | { readonly _tag: "CancelBreakerTimer" }
  /** The child is gone and forgotten. */
  | { readonly _tag: "Removed"; readonly id: string }
  /** All that were to be started have been, for the first time or after a round. */
  | { readonly _tag: "RoundDone" }
  /** No child lives, and none will. */
  | { readonly _tag: "Done"; readonly failure: string | null }

export interface Decision {
  readonly machine: Machine
  readonly actions: ReadonlyArray<Action>
}

const newChild = (spec: ChildSpec): Child => ({
  ...spec,
  phase: "Down",
  incarnation: 0,
  crashes: 0,
  runningSince: null,
  removing: false
})

/** A supervisor that was not started. Ids must differ. */
export const make = (settings: Settings, children: ReadonlyArray<ChildSpec>): Machine => ({
  settings,
  mode: "Pending",
  failure: null,
  order: children.map((child) => child.id),
  children: HashMap.fromIterable(children.map((child) => [child.id, newChild(child)] as const)),
  round: null,
  stoppingAt: -1,
  crashes: [],
  breaker: CircuitBreaker.closed,
  trial: null
})

export const childOf = (machine: Machine, id: string): Child | undefined =>
  Option.getOrUndefined(HashMap.get(machine.children, id))

/** Whether an incarnation of it lives. */
export const isUp = (child: Child): boolean =>
  child.phase === "Starting" || child.phase === "Running" || child.phase === "Stopping"

// --- a decision in the making --------------------------------------------------------------------

/**
 * The machine while one input is worked on: the steps below replace parts of it and note actions. It
 * never leaves `decide`.
 */
class Draft {
  machine: Machine
  readonly actions: Array<Action> = []

  constructor(machine: Machine) {
    this.machine = machine
  }

  child(id: string): Child | undefined {
    return childOf(this.machine, id)
  }

  set(change: Partial<Machine>): void {
    this.machine = { ...this.machine, ...change }
  }

  setChild(child: Child, change: Partial<Child>): void {
    this.set({ children: HashMap.set(this.machine.children, child.id, { ...child, ...change }) })
  }

  act(action: Action): void {
    this.actions.push(action)
  }
}

/** Total: every input has its clause in every mode. */
export const decide = (machine: Machine, input: Input): Decision => {
  const draft = new Draft(machine)
  take(draft, input)
  pump(draft)
  return { machine: draft.machine, actions: draft.actions }
}

const take = (draft: Draft, input: Input): void => {
  const { mode } = draft.machine
  switch (input._tag) {
    case "StartAsked":
      if (mode === "Pending") startAll(draft)
      return
    case "StopAsked":
      return stopAll(draft, null)
    case "SuspendAsked":
      if (mode === "Running") draft.set({ mode: "Suspended" })
      return
    case "ResumeAsked":
      if (mode !== "Suspended") return
      draft.set({ mode: "Running" })
      return release(draft)
    case "AddAsked":
      return add(draft, input.child)
    case "RemoveAsked":
      return remove(draft, input.id)
    case "ResetAsked":
      return reset(draft, input.id)
    case "BreakerElapsed":
      return breakerElapsed(draft, input.now)
    case "Started":
    case "Exited":
    case "RespawnDecided":
    case "GiveUpDecided":
    case "DelayOver": {
      const child = draft.child(input.id)
      if (child !== undefined && child.incarnation === input.incarnation) ofChild(draft, child, input)
    }
  }
}

type ChildInput = Extract<Input, { readonly incarnation: number }>

const ofChild = (draft: Draft, child: Child, input: ChildInput): void => {
  switch (input._tag) {
    case "Started":
      return started(draft, child, input.now)
    case "Exited":
      if (isUp(child)) exited(draft, child, input.exit, input.now)
      return
    case "RespawnDecided":
      if (isWaiting(draft, child)) {
        draft.act({ _tag: "StartDelay", id: child.id, incarnation: child.incarnation, delayMs: input.delayMs })
      }
      return
    case "GiveUpDecided":
      if (isWaiting(draft, child)) giveUp(draft, child)
      return
    case "DelayOver":
      if (isWaiting(draft, child)) delayOver(draft, child)
  }
}

// --- start, stop, suspend ------------------------------------------------------------------------

const startAll = (draft: Draft): void => {
  draft.set({ mode: "Running" })
  startRound(draft, draft.machine.order)
}

const stopAll = (draft: Draft, failure: string | null): void => {
  const { machine } = draft
  if (machine.mode === "Ended") return
  if (machine.mode === "Stopping") {
    // Whoever is being stopped is asked again.
    for (const id of machine.order) if (draft.child(id)?.phase === "Stopping") draft.act({ _tag: "StopChild", id })
    return
  }
  for (const id of machine.order) {
    const child = draft.child(id)
    if (child === undefined || isUp(child)) continue
    if (child.phase === "Delayed" || isCulprit(draft, id)) draft.act({ _tag: "CancelDelay", id })
    if (child.phase !== "Down" && child.phase !== "GivenUp") draft.setChild(child, { phase: "Down" })
  }
  cancelBreaker(draft)
  draft.set({ mode: "Stopping", failure, round: null, stoppingAt: machine.order.length - 1 })
}

const started = (draft: Draft, child: Child, now: number): void => {
  if (child.phase !== "Starting") return
  draft.setChild(child, { phase: "Running", runningSince: now })
  if (draft.machine.trial === child.id) {
    draft.act({ _tag: "StartBreakerTimer", afterMs: draft.machine.settings.breaker?.trialMs ?? 0 })
  }
  if (draft.machine.mode === "Suspended") draft.act({ _tag: "SuspendChild", id: child.id })
}

// --- exits ---------------------------------------------------------------------------------------

const exited = (draft: Draft, child: Child, exit: LifecycleExit, now: number): void => {
  const uptimeMs = child.runningSince === null ? 0 : Math.max(0, now - child.runningSince)
  const down: Child = { ...child, phase: "Down", runningSince: null }
  if (child.removing) {
    forget(draft, child.id)
    return endTrial(draft, child.id)
  }
  const { round } = draft.machine
  if (round?.stage === "Stopping" && round.ids.includes(child.id)) {
    // Asked or not, it goes with the others: no crash of its own.
    return draft.setChild(down, { phase: child.restart === "never" ? "Down" : "Queued" })
  }
  if (draft.machine.mode === "Stopping" || child.phase === "Stopping" || !isRestarted(child, exit)) {
    draft.setChild(down, {})
    return endTrial(draft, child.id)
  }
  crashed(draft, { ...down, crashes: child.crashes + 1 }, { id: child.id, exit, uptimeMs }, now)
}

/** Whether this end of it is a crash to be followed by a restart. */
export const isRestarted = (child: ChildSpec, exit: LifecycleExit): boolean => {
  switch (child.restart) {
    case "always":
      return true
    case "on-failure":
      return exit.outcome === "Failed" || exit.outcome === "Killed"
    case "never":
      return false
  }
}

const crashed = (draft: Draft, child: Child, crash: Crash, now: number): void => {
  draft.setChild(child, {})
  const { intensity, strategy } = draft.machine.settings
  if (intensity !== null) {
    const crashes = CircuitBreaker.within(draft.machine.crashes, now, intensity.withinMs)
    draft.set({ crashes })
    if (crashes.length >= intensity.max) {
      return stopAll(
        draft,
        `${crashes.length} crashes within ${intensity.withinMs} ms, the last of ${child.id}: ${formatExit(crash.exit)}`
      )
    }
  }
  countForBreaker(draft, now)
  if (strategy === "one-for-one") {
    draft.setChild(child, { phase: "Delayed" })
    return draft.act({ _tag: "AskPolicy", incarnation: child.incarnation, crash })
  }
  beginRestart(draft, child, crash)
}

/** Where in the order those begin who share the culprit's fate. */
const sharedFrom = (draft: Draft, culprit: string): number =>
  draft.machine.settings.strategy === "one-for-all" ? 0 : draft.machine.order.indexOf(culprit)

/** Everybody who shares the culprit's fate is stopped, last first; who is down already waits with them. */
const beginRestart = (draft: Draft, culprit: Child, crash: Crash): void => {
  const { order, round } = draft.machine
  if (round !== null && round.stage !== "Starting" && round.stage !== "Stopping") {
    draft.act({ _tag: "CancelDelay", id: round.crash.id })
  }
  const from = sharedFrom(draft, culprit.id)
  // Who is still queued by a round that this one replaces is started by this one.
  const ids = order.filter((id, i) => i >= from || draft.child(id)?.phase === "Queued")
  for (const id of ids) {
    const child = draft.child(id)
    if (child !== undefined && !isUp(child) && child.restart !== "never") draft.setChild(child, { phase: "Queued" })
  }
  draft.set({ round: { stage: "Stopping", ids, at: ids.length - 1, crash } })
}

// --- backoff, giving up, breaker -----------------------------------------------------------------

const isCulprit = (draft: Draft, id: string): boolean => {
  const { round } = draft.machine
  return round?.stage === "Waiting" && round.crash.id === id
}

/** Whether this child's policy or delay is awaited, for itself or for its round. */
const isWaiting = (draft: Draft, child: Child): boolean => child.phase === "Delayed" || isCulprit(draft, child.id)

const giveUp = (draft: Draft, child: Child): void => {
  const { round } = draft.machine
  draft.act({ _tag: "GiveUp", id: child.id, crashes: child.crashes })
  if (child.phase === "Delayed" || round === null) {
    draft.setChild(child, { phase: "GivenUp" })
    return endTrial(draft, child.id)
  }
  for (const id of draft.machine.order.slice(sharedFrom(draft, child.id))) {
    const other = draft.child(id)
    if (other?.phase === "Queued") draft.setChild(other, { phase: "GivenUp" })
  }
  // Whoever is left waits for its start only, and does not share this fate; pumping ends the round.
  draft.set({ round: { stage: "Starting", ids: round.ids, at: 0 } })
}

const delayOver = (draft: Draft, child: Child): void => {
  const { round } = draft.machine
  if (child.phase === "Delayed") draft.setChild(child, { phase: "Held" })
  else if (round?.stage === "Waiting") draft.set({ round: { ...round, stage: "Held" } })
  release(draft)
}

const countForBreaker = (draft: Draft, now: number): void => {
  const { breaker: state, settings } = draft.machine
  if (settings.breaker === null) return
  const breaker = CircuitBreaker.crashed(settings.breaker, state, now)
  draft.set({ breaker })
  if (breaker._tag === "Open" && state._tag !== "Open") {
    draft.set({ trial: null })
    draft.act({ _tag: "StartBreakerTimer", afterMs: settings.breaker.cooldownMs })
  }
}

const breakerElapsed = (draft: Draft, now: number): void => {
  const { breaker, trial } = draft.machine
  if (breaker._tag === "Open") draft.set({ breaker: CircuitBreaker.elapsed(breaker, now) })
  else if (breaker._tag === "HalfOpen" && trial !== null)
    draft.set({ breaker: CircuitBreaker.passed(breaker), trial: null })
  release(draft)
}

const cancelBreaker = (draft: Draft): void => {
  if (draft.machine.breaker._tag !== "Closed") draft.act({ _tag: "CancelBreakerTimer" })
  draft.set({ breaker: CircuitBreaker.closed, trial: null })
}

/** The trial's child has left without a crash: the breaker has no reason to stay. */
const endTrial = (draft: Draft, id: string): void => {
  if (draft.machine.trial !== id) return
  cancelBreaker(draft)
  release(draft)
}

/** Starts what is held, as far as mode and breaker allow: a half-open breaker allows one. */
const release = (draft: Draft): void => {
  const { breaker, mode, order, round, trial } = draft.machine
  if (mode !== "Running" || breaker._tag === "Open" || trial !== null) return
  const onlyOne = breaker._tag === "HalfOpen"
  if (round?.stage === "Held") {
    if (onlyOne && draft.child(round.crash.id) !== undefined) draft.set({ trial: round.crash.id })
    return startRound(draft, round.ids)
  }
  for (const id of order) {
    const child = draft.child(id)
    if (child?.phase !== "Held") continue
    spawn(draft, child)
    if (!onlyOne) continue
    draft.set({ trial: id })
    return
  }
}

// --- add, remove, reset --------------------------------------------------------------------------

const add = (draft: Draft, spec: ChildSpec): void => {
  const { machine } = draft
  if (machine.mode === "Stopping" || machine.mode === "Ended" || draft.child(spec.id) !== undefined) return
  const child = newChild(spec)
  draft.set({
    order: [...machine.order, spec.id],
    children: HashMap.set(machine.children, spec.id, machine.mode === "Pending" ? child : { ...child, phase: "Queued" })
  })
  if (machine.mode === "Pending") return
  // It is the last in order, so it belongs to any round that is under way.
  if (machine.round === null) draft.set({ round: { stage: "Starting", ids: [spec.id], at: 0 } })
  else draft.set({ round: { ...machine.round, ids: [...machine.round.ids, spec.id] } })
}

const remove = (draft: Draft, id: string): void => {
  const child = draft.child(id)
  if (child === undefined || child.removing) return
  if (!isUp(child)) {
    if (child.phase === "Delayed") draft.act({ _tag: "CancelDelay", id })
    const wasCulprit = isCulprit(draft, id)
    forget(draft, id)
    if (wasCulprit) startRoundAgain(draft)
    return endTrial(draft, id)
  }
  draft.setChild(child, { removing: true, ...(child.phase === "Stopping" ? {} : { phase: "Stopping" }) })
  if (child.phase !== "Stopping") draft.act({ _tag: "StopChild", id })
}

/** The culprit was removed while its backoff ran: the others need not wait for it. */
const startRoundAgain = (draft: Draft): void => {
  const { round } = draft.machine
  if (round?.stage !== "Waiting") return
  draft.act({ _tag: "CancelDelay", id: round.crash.id })
  draft.set({ round: { ...round, stage: "Held" } })
  release(draft)
}

const forget = (draft: Draft, id: string): void => {
  const { machine } = draft
  // While all are being stopped, whoever moves up by this is down already.
  draft.set({
    order: machine.order.filter((other) => other !== id),
    children: HashMap.remove(machine.children, id)
  })
  draft.act({ _tag: "Removed", id })
}

const reset = (draft: Draft, only: string | null): void => {
  const { machine } = draft
  if (machine.mode === "Stopping" || machine.mode === "Ended") return
  cancelBreaker(draft)
  draft.set({ crashes: [] })
  const revived: Array<string> = []
  for (const id of only === null ? machine.order : [only]) {
    const child = draft.child(id)
    if (child === undefined) continue
    draft.act({ _tag: "ForgetPolicy", id })
    draft.setChild(child, { crashes: 0, ...(child.phase === "GivenUp" ? { phase: "Queued" } : {}) })
    if (child.phase === "GivenUp") revived.push(id)
  }
  if (revived.length > 0) revive(draft, revived)
  release(draft)
}

/** Under a strategy that shares fate, whoever was given up together comes back together. */
const revive = (draft: Draft, revived: ReadonlyArray<string>): void => {
  const { order, round, settings } = draft.machine
  if (settings.strategy !== "one-for-one") {
    for (const id of order) {
      const child = draft.child(id)
      if (child?.phase === "GivenUp") draft.setChild(child, { phase: "Queued" })
    }
  }
  const ids = settings.strategy === "one-for-one" ? revived : order
  if (round === null) return draft.set({ round: { stage: "Starting", ids, at: 0 } })
  if (round.stage === "Starting") return draft.set({ round: { ...round, ids: [...round.ids, ...ids] } })
  // They are down: a round that stops or waits has only to start them with the others.
  const all = order.filter((id) => round.ids.includes(id) || ids.includes(id))
  draft.set({ round: round.stage === "Stopping" ? { ...round, ids: all, at: all.length - 1 } : { ...round, ids: all } })
}

// --- rounds --------------------------------------------------------------------------------------

const startRound = (draft: Draft, ids: ReadonlyArray<string>): void => {
  for (const id of ids) {
    const child = draft.child(id)
    if (child?.phase === "Down" && child.incarnation === 0) draft.setChild(child, { phase: "Queued" })
  }
  draft.set({ round: { stage: "Starting", ids, at: 0 } })
}

const spawn = (draft: Draft, child: Child): void => {
  const incarnation = child.incarnation + 1
  draft.setChild(child, { phase: "Starting", incarnation, runningSince: null })
  draft.act({ _tag: "Spawn", id: child.id, incarnation })
}

/** Goes on with what is under way, as far as it can without waiting. Does nothing when called again. */
const pump = (draft: Draft): void => {
  if (draft.machine.mode === "Stopping") return pumpStopAll(draft)
  const { round } = draft.machine
  if (round?.stage === "Stopping") return pumpStopping(draft, round)
  if (round?.stage === "Starting" && draft.machine.mode === "Running") pumpStarting(draft, round)
}

/** Walks down to the last child that is up and has it stopped; -1 when none is left. */
const stopLast = (draft: Draft, ids: ReadonlyArray<string>, at: number): number => {
  for (let i = at; i >= 0; i--) {
    const child = draft.child(ids[i] ?? "")
    if (child === undefined || !isUp(child)) continue
    if (child.phase !== "Stopping") {
      draft.setChild(child, { phase: "Stopping" })
      draft.act({ _tag: "StopChild", id: child.id })
    }
    return i
  }
  return -1
}

const pumpStopAll = (draft: Draft): void => {
  const stoppingAt = stopLast(draft, draft.machine.order, draft.machine.stoppingAt)
  draft.set({ stoppingAt })
  if (stoppingAt >= 0) return
  draft.set({ mode: "Ended" })
  draft.act({ _tag: "Done", failure: draft.machine.failure })
}

const pumpStopping = (draft: Draft, round: Extract<Round, { readonly stage: "Stopping" }>): void => {
  const at = stopLast(draft, round.ids, round.at)
  if (at >= 0) return draft.set({ round: { ...round, at } })
  const { crash, ids } = round
  draft.set({ round: { stage: "Waiting", ids, crash } })
  const culprit = draft.child(crash.id)
  if (culprit !== undefined) return draft.act({ _tag: "AskPolicy", incarnation: culprit.incarnation, crash })
  startRoundAgain(draft)
  pump(draft)
}

const pumpStarting = (draft: Draft, round: Extract<Round, { readonly stage: "Starting" }>): void => {
  let { at } = round
  for (; at < round.ids.length; at++) {
    const child = draft.child(round.ids[at] ?? "")
    if (child?.phase === "Starting" || child?.phase === "Stopping") break
    if (child?.phase !== "Queued") continue
    spawn(draft, child)
    break
  }
  if (at < round.ids.length) return draft.set({ round: { ...round, at } })
  draft.set({ round: null })
  draft.act({ _tag: "RoundDone" })
}
