/**
 * Replacing members in good health: those that are due by calls, age or memory, and on a reload all of them. One at a
 * time, and the old one serves until its successor is ready.
 */
import { isOccupant, isServed, type Member } from "../PoolState.ts"
import * as poolMembers from "./poolMembers.ts"
import * as poolSlots from "./poolSlots.ts"
import { change, type Draft, setMember } from "./poolDraft.ts"

/** Every member is of an older generation from now on. Who was kept has a new chance to be replaced. */
export const reload = (draft: Draft): void => {
  draft.structural = true
  if (draft.closing !== null) return
  poolSlots.reset(draft)
  draft.generation += 1
  draft.members = draft.members.map((member) => (member.kept ? { ...member, kept: false } : member))
}

export const memoryHigh = (draft: Draft, id: number): void =>
  change(draft, id, (member) =>
    member.stage === "ready" && !member.kept ? { ...member, due: member.due ?? "memory" } : member
  )

/** Those that have reached their age. */
export const age = (draft: Draft, now: number): void => {
  for (const member of draft.members)
    if (agesAt(member, draft.settings.ttlMs) <= now) setMember(draft, { ...member, due: "age" })
}

/** When its age makes it due; never where it is due or kept anyway. */
export const agesAt = ({ due, kept, readyAt, stage }: Member, ttlMs: number): number =>
  stage === "ready" && due === null && !kept ? readyAt + ttlMs : Infinity

const isDue = (draft: Draft, member: Member): boolean =>
  member.stage === "ready" && !member.kept && (member.due !== null || member.generation < draft.generation)

/** From the boot of a successor until the old one is gone. */
const isUnderWay = ({ members, slots }: Draft): boolean =>
  members.some((one) => (one.replaces !== null && isOccupant(one)) || one.recycled) ||
  slots.some(({ pause, slot }) => pause !== null && isServed(members, slot))

export const recycle = (draft: Draft): void => {
  const next = isUnderWay(draft) ? undefined : draft.members.find((member) => isDue(draft, member))
  if (next !== undefined) poolMembers.boot(draft, next.slot, next)
}
