/**
 * When one sense computes: a pure state machine. Time comes in with each input, as milliseconds of
 * any clock that never goes back; what to do comes out as actions and as the time of the next `Tick`.
 *
 * It owns the interval's grid, the throttle, the one pending trigger and the bound of a running
 * compute. It knows nothing of workers, fibers or the other senses: `SensePool` carries out what it
 * decides and tells it what became of it.
 *
 * The rules (S4, S5): computes never overlap; whatever triggers a sense that cannot compute at once
 * waits as one pending trigger, into which later ones collapse; starts lie at least `throttle` apart;
 * ticks lie on a fixed grid, so that a late or long compute never shifts the later ones.
 */
import * as Hash from "effect/Hash"
import type { SenseConfig } from "../config/NerveConfig.ts"
import type { SenseName } from "../domain/Ids.ts"

/** Why a compute runs. */
export type Cause =
  /** A tick of its interval. */
  | { readonly _tag: "Interval" }
  /** A signal of another sense (S10). */
  | { readonly _tag: "On"; readonly sense: SenseName }
  /** Somebody asked for it. */
  | { readonly _tag: "Manual" }
  /** Its worker went away under it before it came to an end. */
  | { readonly _tag: "Restart" }

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
  /** The settings changed. The grid starts anew when the interval did. */
  | { readonly _tag: "Reconfigured"; readonly settings: Settings }

export type Action =
  /** Start a compute now. */
  | { readonly _tag: "Run"; readonly cause: Cause }
  /** The running compute has passed its bound: kill the worker (S4). Once per compute and worker. */
  | { readonly _tag: "Overrun" }

export interface Settings {
  readonly name: SenseName
  /** Milliseconds from start to start; null: only triggers start it. */
  readonly intervalMs: number | null
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

export interface State {
  readonly settings: Settings
  /** Whether the worker takes computes. */
  readonly ready: boolean
  readonly phase: Phase
  /** Why the next compute will run, if one is due: the cause of the first trigger that waits. */
  readonly pending: Cause | null
  /** The next tick of the interval; null without one. */
  readonly gridAt: number | null
  readonly lastStartAt: number | null
}

export interface Decision {
  readonly state: State
  readonly actions: ReadonlyArray<Action>
  /** When the next `Tick` is wanted; null when only another input can change anything. */
  readonly wakeAt: number | null
}

/**
 * The first compute of a sense is due within this many milliseconds of the start, spread by name, so
 * that a hundred senses of one interval do not all fire in the same instant, now and ever after.
 */
export const SPREAD_MS = 1000

/** What the schedule needs of a sense's configuration. */
export const settings = (config: SenseConfig): Settings => ({
  name: config.name,
  intervalMs: config.intervalMs,
  throttleMs: config.throttleMs,
  boundMs: config.timeoutMs + config.gracePeriodMs
})

/** A sense that starts now; its worker is not ready yet. */
export const make = (settings: Settings, now: number): State => ({
  settings,
  ready: false,
  phase: idle,
  pending: null,
  gridAt: gridStart(settings, now),
  lastStartAt: null
})

/** The state after an input, what to do, and when to look again. Total. */
export const decide = (state: State, input: Input, now: number): Decision => {
  const applied = apply(catchUp(state, now), input, now)
  const [started, run] = start(applied, now)
  const [watched, overrun] = watch(started, now)
  return { state: watched, actions: [...run, ...overrun], wakeAt: wakeAt(watched) }
}

/** Whether a compute is under way, or what follows from it. */
export const isRunning = (state: State): boolean => state.phase._tag !== "Idle"

/** When the next start is due as far as is known now; null when only a trigger or the worker can tell. */
export const nextStartAt = (state: State): number | null => {
  if (!state.ready) return null
  if (state.pending !== null) return isRunning(state) ? null : notBefore(state)
  return state.gridAt === null ? null : Math.max(state.gridAt, notBefore(state) ?? state.gridAt)
}

// --- steps of a decision, in their order

/** Ticks that lie behind us become one pending trigger, however many they are. */
const catchUp = (state: State, now: number): State => {
  const { intervalMs } = state.settings
  if (state.gridAt === null || intervalMs === null || now < state.gridAt) return state
  const passed = Math.floor((now - state.gridAt) / intervalMs) + 1
  return enqueue({ ...state, gridAt: state.gridAt + passed * intervalMs }, { _tag: "Interval" })
}

const apply = (state: State, input: Input, now: number): State => {
  switch (input._tag) {
    case "Tick":
      return state
    case "Trigger":
      return enqueue(state, input.cause)
    case "ComputeAnswered":
      return state.phase._tag === "Running" ? { ...state, phase: settling } : state
    case "ComputeEnded":
      return { ...state, phase: idle }
    case "GroupReady":
      return state.ready ? state : { ...state, ready: true, phase: rebound(state, now) }
    case "GroupGone":
      return { ...state, ready: false }
    case "Reconfigured":
      return {
        ...state,
        settings: input.settings,
        gridAt: input.settings.intervalMs === state.settings.intervalMs ? state.gridAt : gridStart(input.settings, now)
      }
  }
}

/** Starts what is pending, if nothing is in its way. */
const start = (state: State, now: number): readonly [State, ReadonlyArray<Action>] => {
  if (state.pending === null || !state.ready || isRunning(state)) return [state, none]
  const earliest = notBefore(state)
  if (earliest !== null && now < earliest) return [state, none]
  return [
    {
      ...state,
      phase: { _tag: "Running", boundAt: now + state.settings.boundMs },
      pending: null,
      lastStartAt: now
    },
    [{ _tag: "Run", cause: state.pending }]
  ]
}

/** While there is no worker there is nothing to kill: a call that waits for one is bounded from then on. */
const watch = (state: State, now: number): readonly [State, ReadonlyArray<Action>] =>
  state.phase._tag === "Running" && state.ready && state.phase.boundAt !== null && now >= state.phase.boundAt
    ? [{ ...state, phase: { _tag: "Running", boundAt: null } }, [{ _tag: "Overrun" }]]
    : [state, none]

/**
 * Ticks that fall into a compute, into the throttle's time or into the worker's absence need no
 * wake-up: `catchUp` finds them when whatever is in their way ends.
 */
const wakeAt = (state: State): number | null => {
  if (!state.ready) return null
  switch (state.phase._tag) {
    case "Running":
      return state.phase.boundAt
    case "Settling":
      return null
    case "Idle":
      return state.pending === null ? state.gridAt : notBefore(state)
  }
}

// --- helpers

const idle: Phase = { _tag: "Idle" }
const settling: Phase = { _tag: "Settling" }
const none: ReadonlyArray<Action> = []

const enqueue = (state: State, cause: Cause): State => (state.pending === null ? { ...state, pending: cause } : state)

const notBefore = ({ lastStartAt, settings }: State): number | null =>
  lastStartAt === null || settings.throttleMs === null ? null : lastStartAt + settings.throttleMs

/** A compute that goes to a new worker has all of its time before it. */
const rebound = (state: State, now: number): Phase =>
  state.phase._tag === "Running" ? { _tag: "Running", boundAt: now + state.settings.boundMs } : state.phase

const gridStart = ({ intervalMs, name }: Settings, now: number): number | null =>
  intervalMs === null ? null : now + (Math.abs(Hash.string(name)) % Math.min(SPREAD_MS, intervalMs))
