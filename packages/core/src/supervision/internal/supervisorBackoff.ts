/**
 * Between a crash and the restart: the delay that the child's policy gave, for the child alone or for the
 * whole round that waits for it; and the end of the policy, which gives up.
 */
import { type Child, sharedFrom } from "../SupervisorState.ts"
import { release } from "./supervisorBreaker.ts"
import type { Draft } from "./supervisorDraft.ts"

/** Its policy has ended: it is given up, with those that share its fate. */
export const giveUp = (draft: Draft, child: Child): void => {
  const { round } = draft.machine
  draft.act({ _tag: "GiveUp", id: child.id, crashes: child.crashes })
  if (child.phase === "Delayed" || round === null) {
    return draft.setChild(child, { phase: "GivenUp" })
  }
  for (const id of draft.machine.order.slice(sharedFrom(draft.machine, child.id))) {
    const other = draft.child(id)
    if (other?.phase === "Queued") draft.setChild(other, { phase: "GivenUp" })
  }
  // Whoever is left waits for its start only, and does not share this fate; pumping ends the round.
  draft.set({ round: { stage: "Starting", ids: round.ids, at: 0 } })
}

/** It may start, as far as breaker and mode allow. */
export const delayOver = (draft: Draft, child: Child): void => {
  const { round } = draft.machine
  if (child.phase === "Delayed") draft.setChild(child, { phase: "Held" })
  else if (round?.stage === "Waiting") draft.set({ round: { ...round, stage: "Held" } })
  release(draft)
}

/** The culprit was removed: the others need not wait for its backoff. */
export const startRoundAgain = (draft: Draft): void => {
  const { round } = draft.machine
  if (round?.stage !== "Waiting") return
  draft.set({ round: { ...round, stage: "Held" } })
  release(draft)
}
