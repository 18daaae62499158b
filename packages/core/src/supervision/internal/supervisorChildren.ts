/**
 * Children come and go by hand: added behind the others, removed for good, brought back by a reset.
 */
import * as HashMap from "effect/HashMap"
import { type ChildSpec, isCulprit, isUp, newChild } from "../SupervisorState.ts"
import { startRoundAgain } from "./supervisorBackoff.ts"
import { cancel, endTrial, release } from "./supervisorBreaker.ts"
import type { Draft } from "./supervisorDraft.ts"

/** The last in order, and so part of any round that is under way. */
export const add = (draft: Draft, spec: ChildSpec): void => {
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

/** One that lives is stopped first. */
export const remove = (draft: Draft, id: string): void => {
  const child = draft.child(id)
  if (child === undefined || child.removing) return
  if (!isUp(child)) {
    const wasCulprit = isCulprit(draft.machine, id)
    // Before it is forgotten: whoever carries this out looks it up.
    if (child.phase === "Delayed" || wasCulprit) draft.act({ _tag: "CancelDelay", id })
    forget(draft, id)
    if (wasCulprit) startRoundAgain(draft)
    return endTrial(draft, id)
  }
  draft.setChild(child, { removing: true, ...(child.phase === "Stopping" ? {} : { phase: "Stopping" }) })
  if (child.phase !== "Stopping") draft.act({ _tag: "StopChild", id })
}

/** It is gone. */
export const forget = (draft: Draft, id: string): void => {
  const { machine } = draft
  // While all are being stopped, whoever moves up by this is down already.
  draft.set({
    order: machine.order.filter((other) => other !== id),
    children: HashMap.remove(machine.children, id)
  })
  draft.act({ _tag: "Removed", id })
}

/** Forgets crashes, closes the breaker, revives who was given up: one child, or all. */
export const reset = (draft: Draft, only: string | null): void => {
  const { machine } = draft
  if (machine.mode === "Stopping" || machine.mode === "Ended") return
  cancel(draft)
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
