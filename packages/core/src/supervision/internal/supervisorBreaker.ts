/**
 * The breaker of a supervisor: crashes are counted for it, and while it is open what would be started is
 * held. Half open, it lets one child be started: the trial.
 */
import * as CircuitBreaker from "../CircuitBreaker.ts"
import type { Draft } from "./supervisorDraft.ts"
import { spawn, startRound } from "./supervisorStarts.ts"

/** One crash more. */
export const count = (draft: Draft, now: number): void => {
  const { breaker: state, settings, trial } = draft.machine
  if (settings.breaker === null) return
  // Nobody was held when the cooldown ended: the restart that follows this crash is the trial.
  if (state._tag === "HalfOpen" && trial === null) return
  const breaker = CircuitBreaker.crashed(settings.breaker, state, now)
  draft.set({ breaker })
  if (breaker._tag === "Open" && state._tag !== "Open") {
    draft.set({ trial: null })
    draft.act({ _tag: "StartBreakerTimer", afterMs: settings.breaker.cooldownMs })
  }
}

/** Its timer has run. */
export const elapsed = (draft: Draft, now: number): void => {
  const { breaker, trial } = draft.machine
  if (breaker._tag === "Open") {
    const next = CircuitBreaker.elapsed(breaker, now)
    draft.set({ breaker: next })
    // A timer may run out a little before its time; nobody else would wake an open breaker.
    if (next._tag === "Open") draft.act({ _tag: "StartBreakerTimer", afterMs: next.until - now })
  } else if (breaker._tag === "HalfOpen" && trial !== null)
    draft.set({ breaker: CircuitBreaker.passed(breaker), trial: null })
  release(draft)
}

/** Closes it by hand. */
export const cancel = (draft: Draft): void => {
  if (draft.machine.breaker._tag !== "Closed") draft.act({ _tag: "CancelBreakerTimer" })
  draft.set({ breaker: CircuitBreaker.closed, trial: null })
}

/** The trial's child has left without a crash: the breaker has no reason to stay. */
export const endTrial = (draft: Draft, id: string): void => {
  if (draft.machine.trial !== id) return
  cancel(draft)
  release(draft)
}

/** Starts what is held, as far as mode and breaker allow: a half-open breaker allows one. */
export const release = (draft: Draft): void => {
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
