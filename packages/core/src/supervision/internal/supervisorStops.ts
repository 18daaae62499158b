/**
 * Stopping children, last first: all of them at the end, or those who share the fate of one that crashed.
 */
import { isCulprit, isUp, type Round } from "../SupervisorState.ts"
import { startRoundAgain } from "./supervisorBackoff.ts"
import { cancel } from "./supervisorBreaker.ts"
import type { Draft } from "./supervisorDraft.ts"

/** Begins to stop all. With a failure the supervisor ends by itself; asked again, who is being stopped is asked again. */
export const stopAll = (draft: Draft, failure: string | null): void => {
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
    if (child.phase === "Delayed" || isCulprit(draft.machine, id)) draft.act({ _tag: "CancelDelay", id })
    if (child.phase !== "Down" && child.phase !== "GivenUp") draft.setChild(child, { phase: "Down" })
  }
  cancel(draft)
  draft.set({ mode: "Stopping", failure, round: null, stoppingAt: machine.order.length - 1 })
}

/** Goes on stopping all. */
export const proceedToEnd = (draft: Draft): void => {
  const stoppingAt = stopLast(draft, draft.machine.order, draft.machine.stoppingAt)
  draft.set({ stoppingAt })
  if (stoppingAt >= 0) return
  draft.set({ mode: "Ended" })
  draft.act({ _tag: "Done", failure: draft.machine.failure })
}

/** Goes on stopping those of a round; when all are down, the culprit's policy is asked. */
export const proceed = (draft: Draft, round: Extract<Round, { readonly stage: "Stopping" }>): void => {
  const at = stopLast(draft, round.ids, round.at)
  if (at >= 0) return draft.set({ round: { ...round, at } })
  const { crash, ids } = round
  draft.set({ round: { stage: "Waiting", ids, crash } })
  const culprit = draft.child(crash.id)
  if (culprit !== undefined) return draft.act({ _tag: "AskPolicy", incarnation: culprit.incarnation, crash })
  startRoundAgain(draft)
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
