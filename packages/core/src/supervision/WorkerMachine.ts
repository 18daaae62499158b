/**
 * What happens to one key's worker, decided purely: `decide(machine, input)` gives the next machine
 * and what to do. It knows no clock, process or fiber; `ManagedWorker` carries out the actions and
 * feeds what comes of them back as inputs.
 *
 * ```
 * Stopped ─Demand─► Starting ─Ready─► Ready ─DrainAsked─► Draining ─Exited─► Starting | Stopped
 *    ▲                 │ Exited         │ Exited
 *    │ veto            ▼                ▼
 *    └──────────── Backoff ─DelayOver─► Starting        Backoff ─GiveUp─► GivenUp ─Reset─► Stopped
 * ```
 *
 * An input that names an incarnation other than the present one changes nothing (R12).
 */
import { type ExitCause, format, type WorkerExit } from "../domain/WorkerExit.ts"

/** Why a worker was told to die; its exit is a crash of that cause. */
export interface Doom {
  readonly cause: ExitCause
  /** In words. */
  readonly reason: string
}

export type WorkerState =
  | { readonly _tag: "Stopped" }
  /** `doomed`: it was told to die (not ready in time, hung, kill). */
  | { readonly _tag: "Starting"; readonly doomed: Doom | null }
  | { readonly _tag: "Ready"; readonly readyAt: number; readonly doomed: Doom | null }
  /** `asked`: the stop ladder has begun, so that an exit is what was wanted and no crash. */
  | {
      readonly _tag: "Draining"
      readonly readyAt: number | null
      readonly restart: boolean
      readonly asked: boolean
      readonly doomed: Doom | null
    }
  | { readonly _tag: "Backoff" }
  | { readonly _tag: "GivenUp"; readonly reason: string }

export interface Machine {
  readonly state: WorkerState
  /** Number of the present or last incarnation; 0 before the first. */
  readonly incarnation: number
  /** Crashes since the first start or the last reset. */
  readonly crashes: number
}

export const initial: Machine = { state: { _tag: "Stopped" }, incarnation: 0, crashes: 0 }

export type Input =
  /** A call or a `start` wants a worker. */
  | { readonly _tag: "Demand" }
  | { readonly _tag: "Ready"; readonly incarnation: number; readonly now: number }
  | { readonly _tag: "ReadyTimedOut"; readonly incarnation: number; readonly afterMs: number }
  /** The worker must go: its channel broke, it was found hanging, somebody said kill. */
  | { readonly _tag: "KillAsked"; readonly incarnation: number; readonly doom: Doom }
  /** The stop ladder has taken its first step. */
  | { readonly _tag: "LadderBegun"; readonly incarnation: number }
  /** The process is gone and reaped; `exit` is null when it could not be spawned (`failure` says why). */
  | {
      readonly _tag: "Exited"
      readonly incarnation: number
      readonly now: number
      readonly exit: WorkerExit | null
      readonly failure: string | null
    }
  | { readonly _tag: "RespawnDecided"; readonly incarnation: number; readonly delayMs: number }
  | { readonly _tag: "GiveUpDecided"; readonly incarnation: number; readonly reason: string }
  /** The respawn was vetoed. */
  | { readonly _tag: "Vetoed"; readonly incarnation: number }
  | { readonly _tag: "DelayOver"; readonly incarnation: number }
  | { readonly _tag: "DrainAsked" }
  | { readonly _tag: "StopAsked" }
  | { readonly _tag: "ResetAsked" }

export type Action =
  | { readonly _tag: "Spawn"; readonly incarnation: number }
  /** Deliver calls to the worker, those that waited first. */
  | { readonly _tag: "Attach" }
  /** From now on calls wait. */
  | { readonly _tag: "Detach" }
  /** SIGKILL to the process group. */
  | { readonly _tag: "Kill" }
  /** Go down the stop ladder, after what is in flight has finished (bounded) or at once. */
  | { readonly _tag: "RunLadder"; readonly afterInFlight: boolean }
  /** Tell of the exit and fail what was in flight. */
  | {
      readonly _tag: "ReportExit"
      readonly incarnation: number
      readonly exit: WorkerExit | null
      readonly expected: boolean
      readonly cause: ExitCause
      readonly reason: string
      readonly uptimeMs: number
    }
  | { readonly _tag: "AskPolicy"; readonly exit: WorkerExit | null; readonly uptimeMs: number; readonly reason: string }
  | { readonly _tag: "StartDelay"; readonly delayMs: number }
  | { readonly _tag: "CancelDelay" }
  /** Fail what waits, with `WorkerStopped`. */
  | { readonly _tag: "FailWaiting" }
  /** Refuse calls with `RespawnLimitReached`. */
  | { readonly _tag: "GiveUp"; readonly reason: string }
  /** Take calls again and forget all crashes. */
  | { readonly _tag: "Revive" }
  /** Whoever waits for a drain may go on: the old incarnation is gone. */
  | { readonly _tag: "DrainDone" }
  /** Whoever waits for a stop may go on: no process is left. */
  | { readonly _tag: "StopDone" }

export interface Decision {
  readonly machine: Machine
  readonly actions: ReadonlyArray<Action>
}

const stay = (machine: Machine): Decision => ({ machine, actions: [] })

const to = (machine: Machine, state: WorkerState, ...actions: ReadonlyArray<Action>): Decision => ({
  machine: { ...machine, state },
  actions
})

const spawn = (machine: Machine, ...before: ReadonlyArray<Action>): Decision => {
  const incarnation = machine.incarnation + 1
  return {
    machine: { ...machine, incarnation, state: { _tag: "Starting", doomed: null } },
    actions: [...before, { _tag: "Spawn", incarnation }]
  }
}

/** How one ended that nobody had told to. */
const endOf = ({ exit, failure }: Extract<Input, { readonly _tag: "Exited" }>): Doom => ({
  cause: exit === null ? "not-started" : "exited",
  reason: failure ?? (exit === null ? "unknown" : format(exit))
})

const crash = (
  machine: Machine,
  input: Extract<Input, { readonly _tag: "Exited" }>,
  readyAt: number | null,
  doomed: Doom | null,
  ...after: ReadonlyArray<Action>
): Decision => {
  const uptimeMs = readyAt === null ? 0 : Math.max(0, input.now - readyAt)
  const { cause, reason } = doomed ?? endOf(input)
  const { exit } = input
  return {
    machine: { ...machine, crashes: machine.crashes + 1, state: { _tag: "Backoff" } },
    actions: [
      { _tag: "Detach" },
      { _tag: "ReportExit", incarnation: machine.incarnation, exit, expected: false, cause, reason, uptimeMs },
      ...after,
      { _tag: "AskPolicy", exit, uptimeMs, reason }
    ]
  }
}

/** Total: every input has its clause in every state. */
export const decide = (machine: Machine, input: Input): Decision => {
  if ("incarnation" in input && input.incarnation !== machine.incarnation) {
    return stay(machine)
  }
  const { state } = machine
  switch (input._tag) {
    case "Demand":
      return state._tag === "Stopped" ? spawn(machine) : stay(machine)

    case "Ready":
      return state._tag === "Starting" && state.doomed === null
        ? to(machine, { _tag: "Ready", readyAt: input.now, doomed: null }, { _tag: "Attach" })
        : stay(machine)

    case "ReadyTimedOut":
      return state._tag === "Starting" && state.doomed === null
        ? to(
            machine,
            { _tag: "Starting", doomed: { cause: "not-ready", reason: `not ready within ${input.afterMs} ms` } },
            { _tag: "Kill" }
          )
        : stay(machine)

    case "KillAsked":
      switch (state._tag) {
        case "Starting":
        case "Ready":
          return to(machine, { ...state, doomed: state.doomed ?? input.doom }, { _tag: "Detach" }, { _tag: "Kill" })
        case "Draining":
          return to(machine, { ...state, doomed: state.doomed ?? input.doom }, { _tag: "Kill" })
        default:
          return stay(machine)
      }

    case "LadderBegun":
      return state._tag === "Draining" ? to(machine, { ...state, asked: true }) : stay(machine)

    case "Exited":
      switch (state._tag) {
        case "Starting":
          return crash(machine, input, null, state.doomed)
        case "Ready":
          return crash(machine, input, state.readyAt, state.doomed)
        case "Draining": {
          // It died on its own while calls were being finished: a crash, not a drain.
          if (!state.asked && state.restart)
            return crash(machine, input, state.readyAt, state.doomed, { _tag: "DrainDone" })
          const report: Action = {
            _tag: "ReportExit",
            incarnation: machine.incarnation,
            exit: input.exit,
            expected: state.asked,
            cause: state.asked ? "asked" : (state.doomed ?? endOf(input)).cause,
            reason: endOf(input).reason,
            uptimeMs: state.readyAt === null ? 0 : Math.max(0, input.now - state.readyAt)
          }
          return state.restart
            ? spawn(machine, report, { _tag: "DrainDone" })
            : to(machine, { _tag: "Stopped" }, report, { _tag: "DrainDone" }, { _tag: "StopDone" })
        }
        default:
          return stay(machine)
      }

    case "RespawnDecided":
      return state._tag === "Backoff"
        ? to(machine, state, { _tag: "StartDelay", delayMs: input.delayMs })
        : stay(machine)

    case "GiveUpDecided":
      return state._tag === "Backoff"
        ? to(machine, { _tag: "GivenUp", reason: input.reason }, { _tag: "GiveUp", reason: input.reason })
        : stay(machine)

    case "Vetoed":
      return state._tag === "Backoff" ? to(machine, { _tag: "Stopped" }, { _tag: "FailWaiting" }) : stay(machine)

    case "DelayOver":
      return state._tag === "Backoff" ? spawn(machine) : stay(machine)

    case "DrainAsked":
      switch (state._tag) {
        case "Starting":
        case "Ready":
          // One that is doomed is on its way out: its crash restarts it.
          return state.doomed === null
            ? to(
                machine,
                {
                  _tag: "Draining",
                  readyAt: state._tag === "Ready" ? state.readyAt : null,
                  restart: true,
                  asked: false,
                  doomed: null
                },
                { _tag: "Detach" },
                { _tag: "RunLadder", afterInFlight: true }
              )
            : to(machine, state, { _tag: "DrainDone" })
        case "Draining":
          return stay(machine)
        default:
          return to(machine, state, { _tag: "DrainDone" })
      }

    case "StopAsked":
      switch (state._tag) {
        case "Starting":
        case "Ready":
          return to(
            machine,
            {
              _tag: "Draining",
              readyAt: state._tag === "Ready" ? state.readyAt : null,
              restart: false,
              asked: true,
              doomed: null
            },
            { _tag: "Detach" },
            // Nobody will serve them any more: no need to wait for the end of the ladder.
            { _tag: "FailWaiting" },
            { _tag: "RunLadder", afterInFlight: false }
          )
        case "Draining":
          return to(
            machine,
            { ...state, restart: false, asked: true },
            { _tag: "FailWaiting" },
            { _tag: "RunLadder", afterInFlight: false }
          )
        case "Backoff":
          return to(
            machine,
            { _tag: "Stopped" },
            { _tag: "CancelDelay" },
            { _tag: "FailWaiting" },
            { _tag: "StopDone" }
          )
        default:
          return to(machine, { _tag: "Stopped" }, { _tag: "FailWaiting" }, { _tag: "StopDone" })
      }

    case "ResetAsked":
      return state._tag === "GivenUp"
        ? { machine: { ...machine, crashes: 0, state: { _tag: "Stopped" } }, actions: [{ _tag: "Revive" }] }
        : stay(machine)
  }
}
