/**
 * The life of one incarnation, whatever it runs: a process, a thread, a command, a container, an Effect,
 * a supervisor. Decided purely: `decide(machine, input)` gives the next machine and what to do.
 *
 * ```
 * Pending ─StartAsked─► Starting ─Started─► Running ◄─Resumed/Suspended─► Suspended
 *    │                     │ StopAsked         │ StopAsked                   │ StopAsked
 *    │ StopAsked           └──────────────► Stopping ◄───────────────────────┘
 *    ▼                                         │ Ended
 * Stopped                        Stopped | Killed | Failed | Finished ◄─Ended─ any that lives
 * ```
 *
 * The four ends are final (L2): killed -> `Killed`, else requested -> `Stopped`, else an error ->
 * `Failed`, else `Finished`. A new life is a new incarnation.
 */
import * as Schema from "effect/Schema"

/** The states of one life. */
export const LifecycleState = Schema.Literals([
  "Pending",
  "Starting",
  "Running",
  "Suspended",
  "Stopping",
  "Stopped",
  "Failed",
  "Killed",
  "Finished"
])
export type LifecycleState = typeof LifecycleState.Type

/** The four ends. */
export const Outcome = Schema.Literals(["Stopped", "Failed", "Killed", "Finished"])
export type Outcome = typeof Outcome.Type

/** How a life ended. */
export const LifecycleExit = Schema.Struct({
  outcome: Outcome,
  /** As the system reported it; an Effect has 0 or 1. Null when a signal ended it or nothing was started. */
  code: Schema.NullOr(Schema.Int),
  /** Such as `SIGKILL`. */
  signal: Schema.NullOr(Schema.String),
  /** What went wrong, where more is known than code and signal tell. */
  error: Schema.NullOr(Schema.String)
})
export type LifecycleExit = typeof LifecycleExit.Type

/** An end as it was observed, before anybody asked what it means. */
export type Ending = Omit<LifecycleExit, "outcome">

/** `exit code 1`, `SIGKILL`, `could not be started: …`. */
export const formatExit = (exit: Ending): string =>
  exit.error ?? exit.signal ?? (exit.code === null ? "no exit code" : `exit code ${exit.code}`)

/**
 * An exit as the next incarnation is told of it, in `NERVE_PREV_EXIT` (L5): the exit code or the signal;
 * `unknown` where there is neither: it never ran, or it was an Effect or a supervisor that was told to stop.
 */
export const handoverText = (exit: Ending): string =>
  exit.signal ?? (exit.code === null ? "unknown" : String(exit.code))

export interface Machine {
  readonly state: LifecycleState
  /** Somebody asked it to stop. */
  readonly requested: boolean
  /** Force was used. */
  readonly killed: boolean
  /** Set exactly in the four ends. */
  readonly exit: LifecycleExit | null
}

export const initial: Machine = { state: "Pending", requested: false, killed: false, exit: null }

export type Input =
  | { readonly _tag: "StartAsked" }
  /** It runs. */
  | { readonly _tag: "Started" }
  | { readonly _tag: "Suspended" }
  | { readonly _tag: "Resumed" }
  | { readonly _tag: "StopAsked" }
  /** The last step of the stop ladder is being taken. */
  | { readonly _tag: "KillTaken" }
  | { readonly _tag: "Ended"; readonly ending: Ending }

export type Action =
  /** Begin the life. */
  | "Launch"
  /** Go down the stop ladder. */
  | "RunLadder"
  /** Let go of what steered it, and tell everybody who waits. */
  | "Settle"

export interface Decision {
  readonly machine: Machine
  readonly actions: ReadonlyArray<Action>
}

/** Whether it has ended. */
export const isOver = (state: LifecycleState): state is Outcome =>
  state === "Stopped" || state === "Failed" || state === "Killed" || state === "Finished"

/** Whether it has begun and not ended. */
export const isAlive = (state: LifecycleState): boolean => state !== "Pending" && !isOver(state)

/** The rule of L2. SIGKILL counts as killed, whoever sent it. */
export const outcomeOf = (machine: Pick<Machine, "requested" | "killed">, ending: Ending): Outcome => {
  if (machine.killed || ending.signal === "SIGKILL") return "Killed"
  if (machine.requested) return "Stopped"
  if (ending.error !== null || ending.signal !== null || ending.code !== 0) return "Failed"
  return "Finished"
}

const stay = (machine: Machine): Decision => ({ machine, actions: [] })

const to = (machine: Machine, state: LifecycleState, ...actions: ReadonlyArray<Action>): Decision => ({
  machine: { ...machine, state },
  actions
})

const end = (machine: Machine, ending: Ending): Decision => {
  const outcome = outcomeOf(machine, ending)
  return { machine: { ...machine, state: outcome, exit: { outcome, ...ending } }, actions: ["Settle"] }
}

/** Total: every input has its clause in every state. */
export const decide = (machine: Machine, input: Input): Decision => {
  const { state } = machine
  switch (input._tag) {
    case "StartAsked":
      return state === "Pending" ? to(machine, "Starting", "Launch") : stay(machine)
    case "Started":
      return state === "Starting" ? to(machine, "Running") : stay(machine)
    case "Suspended":
      return state === "Running" ? to(machine, "Suspended") : stay(machine)
    case "Resumed":
      return state === "Suspended" ? to(machine, "Running") : stay(machine)
    case "StopAsked": {
      const asked: Machine = { ...machine, requested: true }
      if (state === "Pending") return end(asked, { code: null, signal: null, error: null })
      // Asked again: the ladder may have other bounds now.
      return isAlive(state) ? to(asked, "Stopping", "RunLadder") : stay(machine)
    }
    case "KillTaken":
      return isAlive(state) ? to({ ...machine, killed: true }, state) : stay(machine)
    case "Ended":
      return isAlive(state) ? end(machine, input.ending) : stay(machine)
  }
}
