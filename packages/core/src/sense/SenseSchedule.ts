/**
 * When one sense computes: a pure state machine. Time comes in with each input, as milliseconds of
 * any clock that never goes back; what to do comes out as actions and as the time of the next `Tick`.
 *
 * It owns the ticks of the sense's `Timing`, the throttle, what is pending, and the bound of a running
 * compute. It knows nothing of workers, fibers or the other senses: `SensePool` carries out what it
 * decides and tells it what became of it.
 *
 * The rules (S4, S5): computes never overlap; a trigger that cannot compute at once waits as the one
 * that is pending, into which later ones collapse; starts lie at least `throttle` apart; ticks lie
 * where their timing puts them, so that a late or long compute never shifts the later ones; what
 * becomes of ticks that could not start when they were due is what `catchUp` says. Whatever comes to
 * no compute of its own is told as `Dropped`, once.
 */
import type { CatchUp, SenseConfig } from "../config/NerveConfig.ts"
import type { SenseName } from "../domain/Ids.ts"
import * as Timing from "./Timing.ts"

/** Why a compute runs. */
export type Cause =
  /** A tick of its interval. */
  | { readonly _tag: "Interval" }
  /** A tick of its cron expression. */
  | { readonly _tag: "Cron" }
  /** A signal of another sense (S10). */
  | { readonly _tag: "On"; readonly sense: SenseName }
  /** Somebody asked for it. */
  | { readonly _tag: "Manual" }
  /** Its code or its settings changed. */
  | { readonly _tag: "Reload" }
  /** Its worker went away under it before it came to an end. */
  | { readonly _tag: "Restart" }

/** `interval`, `cron`, `manual`, `reload`, `restart`, or `on:NAME`. */
export const causeText = (cause: Cause): string =>
  cause._tag === "On" ? `on:${cause.sense}` : cause._tag.toLowerCase()

export type Input =
  /** The time that the last decision asked to be woken at has come. Harmless when early or late. */
  | { readonly _tag: "Tick" }
  | { readonly _tag: "Trigger"; readonly cause: Cause }
  /** The compute was answered; what follows from the answer is still being done. Its bound is off. */
  | { readonly _tag: "ComputeAnswered" }
  /** The compute is over and done with: the next one may start. */
  | { readonly _tag: "ComputeEnded" }
  /** The group's worker takes computes of this sense. */
  | { readonly _tag: "GroupReady" }
  /** It does not, for now. */
  | { readonly _tag: "GroupGone" }
  /** The settings changed. The ticks start anew when their timing did. */
  | { readonly _tag: "Reconfigured"; readonly settings: Settings }
  /** The machine slept, and the clock that is used here has counted it: a running compute was not given that time. */
  | { readonly _tag: "Slept"; readonly ms: number }
  /** The system's time was set: from now on it is this many milliseconds ahead of the clock that is used here. */
  | { readonly _tag: "ClockSet"; readonly wallOffset: number }

/** Why something came to no compute of its own. */
export type Fate =
  /** Another was pending already: that one's compute answers for both. */
  | "collapsed"
  /** The same, while the throttle held that one back. */
  | "throttled"
  /** A tick that was late, and `catchUp` is `skip`. */
  | "missed"

export type Action =
  /** Start a compute now; it was due at `dueAt`. */
  | { readonly _tag: "Run"; readonly cause: Cause; readonly dueAt: number }
  /** The running compute has passed its bound: kill the worker (S4). Once per compute and worker. */
  | { readonly _tag: "Overrun" }
  /** `count` triggers or ticks came to nothing, the first of which was due at `dueAt`. */
  | {
      readonly _tag: "Dropped"
      readonly fate: Fate
      readonly cause: Cause
      readonly dueAt: number
      readonly count: number
    }

export interface Settings {
  readonly name: SenseName
  /** Null: only triggers start it. */
  readonly timing: Timing.Timing | null
  readonly catchUp: CatchUp
  /** Least milliseconds between two starts; null for none. */
  readonly throttleMs: number | null
  /** A compute may take this many milliseconds before its worker is killed: timeout and grace period. */
  readonly boundMs: number
}

export type Phase =
  | { readonly _tag: "Idle" }
  /** `boundAt`: when it has overrun; null once that has been said. */
  | { readonly _tag: "Running"; readonly boundAt: number | null }
  | { readonly _tag: "Settling" }

/** A trigger or tick that waits for its compute. */
export interface Pending {
  readonly cause: Cause
  readonly dueAt: number
}

export interface State {
  readonly settings: Settings
  /** Whether the worker takes computes. */
  readonly ready: boolean
  readonly phase: Phase
  /** What the next compute answers for, if one is due: the first that waits. */
  readonly pending: Pending | null
  /** With `catchUp: all`, when the ticks after the pending one were due; `MAX_BACKLOG` at most. */
  readonly backlog: ReadonlyArray<number>
  /** Where the ticks have come to; null without any. */
  readonly ticks: Timing.Ticks | null
  /** The system's time less the time used here. */
  readonly wallOffset: number
  readonly lastStartAt: number | null
}

export interface Decision {
  readonly state: State
  readonly actions: ReadonlyArray<Action>
  /** When the next `Tick` is wanted; null when only another input can change anything. */
  readonly wakeAt: number | null
}

/** Ticks that `catchUp: all` makes up for at most; of more, the oldest collapse. */
export const MAX_BACKLOG = 100

/**
 * A tick that starts later than this was late, and left out by `catchUp: skip`. A busy machine may
 * hold up a timer by tens of milliseconds; a second is what nobody would call on time.
 */
export const LATE_MS = 1_000

/** What the schedule needs of a sense's configuration. */
export const settings = (config: SenseConfig): Settings => ({
  name: config.name,
  timing: Timing.ofConfig(config),
  catchUp: config.catchUp,
  throttleMs: config.throttleMs,
  boundMs: config.timeoutMs + config.gracePeriodMs
})

/** A sense that starts now; its worker is not ready yet. */
export const make = (settings: Settings, now: number, wallOffset = 0): State => ({
  settings,
  ready: false,
  phase: idle,
  pending: null,
  backlog: [],
  ticks: Timing.start(settings.timing, settings.name, now, wallOffset),
  wallOffset,
  lastStartAt: null
})

/** The state after an input, what to do, and when to look again. Total. */
export const decide = (state: State, input: Input, now: number): Decision => {
  const [passed, missed] = passTicks(state, now)
  const [applied, collapsed] = apply(passed, input, now)
  const [started, run] = start(applied, now)
  const [watched, overrun] = watch(started, now)
  return { state: watched, actions: join(missed, collapsed, run, overrun), wakeAt: wakeAt(watched) }
}

/** Whether a compute is under way, or what follows from it. */
export const isRunning = (state: State): boolean => state.phase._tag !== "Idle"

/** When the next tick is due, whether or not it can start then; null without ticks. */
export const nextTickAt = (state: State): number | null => {
  const at = state.ticks === null ? Number.POSITIVE_INFINITY : Timing.nextAt(state.ticks, state.wallOffset)
  return Number.isFinite(at) ? at : null
}

/** When the next start is due as far as is known now; null when only a trigger or the worker can tell. */
export const nextStartAt = (state: State): number | null => {
  if (!state.ready) return null
  if (state.pending !== null) return isRunning(state) ? null : notBefore(state)
  const tickAt = nextTickAt(state)
  return tickAt === null ? null : Math.max(tickAt, notBefore(state) ?? tickAt)
}

// --- steps of a decision, in their order

type Step = readonly [State, ReadonlyArray<Action>]

/** Ticks that lie behind us become pending, collapse, are owed, or are left out. */
const passTicks = (state: State, now: number): Step => {
  const { settings, ticks } = state
  if (ticks === null || settings.timing === null || now < Timing.nextAt(ticks, state.wallOffset)) return [state, none]
  const keep = settings.catchUp === "all" ? MAX_BACKLOG : 1
  const {
    count,
    first,
    latest,
    second,
    ticks: moved
  } = Timing.pass(settings.timing, ticks, now, state.wallOffset, keep)
  const cause = Timing.causeOf(settings.timing)
  const next: State = { ...state, ticks: moved }
  switch (settings.catchUp) {
    case "once": {
      if (state.pending !== null) return [next, [dropped(state, cause, first, count)]]
      const pending: State = { ...next, pending: { cause, dueAt: first } }
      return count === 1 ? [pending, none] : [pending, [dropped(pending, cause, second, count - 1)]]
    }
    case "skip": {
      const last = latest.at(-1) ?? first
      const early = count === 1 ? none : [left("missed", cause, first, count - 1)]
      if (state.pending === null) return [{ ...next, pending: { cause, dueAt: last } }, early]
      // The pending tick is the one that gives way: of two that are late, the newer may yet be in time.
      return isTick(state.pending.cause)
        ? [
            { ...next, pending: { cause, dueAt: last } },
            [left("missed", state.pending.cause, state.pending.dueAt, 1), ...early]
          ]
        : [next, [...early, dropped(state, cause, last, 1)]]
    }
    case "all": {
      const owed = [...state.backlog, ...latest]
      const [head, rest]: readonly [Pending | null, ReadonlyArray<number>] =
        state.pending === null && owed[0] !== undefined
          ? [{ cause, dueAt: owed[0] }, owed.slice(1)]
          : [state.pending, owed]
      const over = count - latest.length + Math.max(0, rest.length - MAX_BACKLOG)
      const owing = { ...next, pending: head, backlog: rest.slice(-MAX_BACKLOG) }
      return over === 0 ? [owing, none] : [owing, [left("collapsed", cause, state.backlog[0] ?? first, over)]]
    }
  }
}

const apply = (state: State, input: Input, now: number): Step => {
  switch (input._tag) {
    case "Tick":
      return [state, none]
    case "Trigger":
      return trigger(state, input.cause, now)
    case "ComputeAnswered":
      return [state.phase._tag === "Running" ? { ...state, phase: settling } : state, none]
    case "ComputeEnded":
      return [{ ...state, phase: idle }, none]
    case "GroupReady":
      return [state.ready ? state : { ...state, ready: true, phase: rebound(state, now) }, none]
    case "GroupGone":
      return [{ ...state, ready: false }, none]
    case "Reconfigured":
      return [reconfigure(state, input.settings, now), none]
    case "Slept":
      return [{ ...state, phase: prolonged(state.phase, input.ms) }, none]
    case "ClockSet":
      return [setClock(state, input.wallOffset, now), none]
  }
}

/** Starts what is pending, if nothing is in its way. */
const start = (state: State, now: number): Step => {
  const { pending } = state
  if (pending === null || !state.ready || isRunning(state)) return [state, none]
  const earliest = notBefore(state)
  if (earliest !== null && now < earliest) return [state, none]
  if (state.settings.catchUp === "skip" && isTick(pending.cause) && now - pending.dueAt > LATE_MS) {
    return [{ ...state, pending: null }, [left("missed", pending.cause, pending.dueAt, 1)]]
  }
  const [owed, ...backlog] = state.backlog
  const { timing } = state.settings
  return [
    {
      ...state,
      phase: { _tag: "Running", boundAt: now + state.settings.boundMs },
      pending: owed === undefined || timing === null ? null : { cause: Timing.causeOf(timing), dueAt: owed },
      backlog,
      lastStartAt: now
    },
    [{ _tag: "Run", cause: pending.cause, dueAt: pending.dueAt }]
  ]
}

/** While there is no worker there is nothing to kill: a call that waits for one is bounded from then on. */
const watch = (state: State, now: number): Step =>
  state.phase._tag === "Running" && state.ready && state.phase.boundAt !== null && now >= state.phase.boundAt
    ? [{ ...state, phase: { _tag: "Running", boundAt: null } }, [{ _tag: "Overrun" }]]
    : [state, none]

/**
 * Ticks that fall into a compute, into the throttle's time or into the worker's absence need no
 * wake-up: `passTicks` finds them when whatever is in their way ends.
 */
const wakeAt = (state: State): number | null => {
  if (!state.ready) return null
  switch (state.phase._tag) {
    case "Running":
      return state.phase.boundAt
    case "Settling":
      return null
    case "Idle":
      return state.pending === null ? nextTickAt(state) : notBefore(state)
  }
}

// --- inputs

/** A trigger waits unless one waits already; of a tick that may be left out it takes the place. */
const trigger = (state: State, cause: Cause, now: number): Step => {
  const { pending } = state
  if (pending === null) return [{ ...state, pending: { cause, dueAt: now } }, none]
  return state.settings.catchUp === "skip" && isTick(pending.cause)
    ? [{ ...state, pending: { cause, dueAt: now } }, [dropped(state, pending.cause, pending.dueAt, 1)]]
    : [state, [dropped(state, cause, now, 1)]]
}

const reconfigure = (state: State, settings: Settings, now: number): State => ({
  ...state,
  settings,
  ...(Timing.equals(settings.timing, state.settings.timing)
    ? {}
    : { ticks: Timing.start(settings.timing, settings.name, now, state.wallOffset), backlog: [] }),
  ...(settings.catchUp === "all" ? {} : { backlog: [] })
})

const setClock = (state: State, wallOffset: number, now: number): State => ({
  ...state,
  wallOffset,
  ticks:
    state.ticks === null || state.settings.timing === null
      ? null
      : Timing.clockSet(state.settings.timing, state.ticks, now, wallOffset)
})

// --- helpers

const idle: Phase = { _tag: "Idle" }
const settling: Phase = { _tag: "Settling" }
const none: ReadonlyArray<Action> = []

/** Most decisions do nothing or one thing: no array is made for them. */
const join = (...steps: ReadonlyArray<ReadonlyArray<Action>>): ReadonlyArray<Action> => {
  const some = steps.filter((actions) => actions.length > 0)
  return some.length === 0 ? none : some.length === 1 ? (some[0] ?? none) : some.flat()
}

const isTick = (cause: Cause): boolean => cause._tag === "Interval" || cause._tag === "Cron"

const left = (fate: Fate, cause: Cause, dueAt: number, count: number): Action => ({
  _tag: "Dropped",
  fate,
  cause,
  dueAt,
  count
})

/** It was the throttle's doing when nothing else was in the way. */
const dropped = (state: State, cause: Cause, dueAt: number, count: number): Action => {
  const earliest = notBefore(state)
  const throttled = state.ready && !isRunning(state) && earliest !== null && dueAt < earliest
  return left(throttled ? "throttled" : "collapsed", cause, dueAt, count)
}

const notBefore = ({ lastStartAt, settings }: State): number | null =>
  lastStartAt === null || settings.throttleMs === null ? null : lastStartAt + settings.throttleMs

const prolonged = (phase: Phase, ms: number): Phase =>
  phase._tag === "Running" && phase.boundAt !== null ? { _tag: "Running", boundAt: phase.boundAt + ms } : phase

/** A compute that goes to a new worker has all of its time before it. */
const rebound = (state: State, now: number): Phase =>
  state.phase._tag === "Running" ? { _tag: "Running", boundAt: now + state.settings.boundMs } : state.phase
