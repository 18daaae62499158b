/**
 * The end of a pool: it takes no more calls, ends those it has, and cuts off at its bound what is left.
 */
import { type Closing, isOccupant } from "../PoolState.ts"
import * as poolCalls from "./poolCalls.ts"
import * as poolMembers from "./poolMembers.ts"
import type { Draft } from "./poolDraft.ts"

/** The nearer of two bounds is the one that holds. */
export const shutdown = (draft: Draft, by: number): void => {
  draft.structural = true
  draft.closing = { by: Math.min(draft.closing?.by ?? Infinity, by), cutOff: draft.closing?.cutOff ?? false }
}

/** Stops who is not needed, and from the bound on everybody. */
export const close = (draft: Draft, closing: Closing, now: number): void => {
  const cutOff = closing.cutOff || closing.by <= now
  draft.closing = { ...closing, cutOff }
  const served = draft.members.some((one) => one.stage === "booting" || one.stage === "ready")
  if (cutOff || !served) poolCalls.failQueue(draft, { _tag: "Stopped" })
  for (const member of draft.members) {
    const needed = draft.queue.size > 0 && isOccupant(member)
    if (member.stage !== "going" && (cutOff || (!needed && member.running.size === 0))) poolMembers.stop(draft, member)
  }
}
