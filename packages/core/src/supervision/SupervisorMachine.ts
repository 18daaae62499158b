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
 *
 * `SupervisorState` is what it decides about. Each concern has a file in `internal/`: starts, stops, crashes,
 * backoff, the breaker, children that come and go.
 */
import * as supervisorBackoff from "./internal/supervisorBackoff.ts"
import * as supervisorBreaker from "./internal/supervisorBreaker.ts"
import * as supervisorChildren from "./internal/supervisorChildren.ts"
import * as supervisorCrashes from "./internal/supervisorCrashes.ts"
import { Draft } from "./internal/supervisorDraft.ts"
import * as supervisorStarts from "./internal/supervisorStarts.ts"
import * as supervisorStops from "./internal/supervisorStops.ts"
import type { LifecycleExit } from "./LifecycleState.ts"
import { type Child, type ChildSpec, type Crash, isUp, isWaiting, type Machine } from "./SupervisorState.ts"

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
      if (mode === "Pending") supervisorStarts.startAll(draft)
      return
    case "StopAsked":
      return supervisorStops.stopAll(draft, null)
    case "SuspendAsked":
      if (mode === "Running") draft.set({ mode: "Suspended" })
      return
    case "ResumeAsked":
      if (mode !== "Suspended") return
      draft.set({ mode: "Running" })
      return supervisorBreaker.release(draft)
    case "AddAsked":
      return supervisorChildren.add(draft, input.child)
    case "RemoveAsked":
      return supervisorChildren.remove(draft, input.id)
    case "ResetAsked":
      return supervisorChildren.reset(draft, input.id)
    case "BreakerElapsed":
      return supervisorBreaker.elapsed(draft, input.now)
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
      return supervisorStarts.started(draft, child, input.now)
    case "Exited":
      if (isUp(child)) supervisorCrashes.exited(draft, child, input.exit, input.now)
      return
    case "RespawnDecided":
      if (isWaiting(draft.machine, child)) {
        draft.act({ _tag: "StartDelay", id: child.id, incarnation: child.incarnation, delayMs: input.delayMs })
      }
      return
    case "GiveUpDecided":
      if (isWaiting(draft.machine, child)) supervisorBackoff.giveUp(draft, child)
      return
    case "DelayOver":
      if (isWaiting(draft.machine, child)) supervisorBackoff.delayOver(draft, child)
  }
}

/** Goes on with what is under way, as far as it can without waiting. Does nothing when called again. */
const pump = (draft: Draft): void => {
  if (draft.machine.mode === "Stopping") return supervisorStops.proceedToEnd(draft)
  if (draft.machine.round?.stage === "Stopping") supervisorStops.proceed(draft, draft.machine.round)
  const { mode, round } = draft.machine
  if (round?.stage === "Starting" && mode === "Running") supervisorStarts.proceed(draft, round)
}
