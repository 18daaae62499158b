/**
 * The life of a slot: it is added, served, waits for its policy, is given up, tried again, and removed.
 */
import { isOccupant, isServed, type Slot } from "../PoolState.ts"
import * as poolMembers from "./poolMembers.ts"
import { type Draft, setMember, setSlot } from "./poolDraft.ts"

export const add = (draft: Draft): void => {
  let slot = 0
  while (draft.slots.some((one) => one.slot === slot)) slot += 1
  draft.slots = [...draft.slots, { slot, pause: null, crashes: 0 }]
  draft.actions.push({ _tag: "Resized", size: draft.slots.length })
}

/** Who serves there ends its calls first. */
export const remove = (draft: Draft, slot: number): void => {
  draft.slots = draft.slots.filter((one) => one.slot !== slot)
  draft.actions.push({ _tag: "Resized", size: draft.slots.length })
  for (const member of draft.members) {
    if (member.slot !== slot) continue
    if (member.stage === "booting") poolMembers.stop(draft, member)
    if (member.stage === "ready") setMember(draft, { ...member, stage: "leaving" })
  }
}

/** Boots a member in each slot that has none and is not paused. */
export const fill = (draft: Draft): void => {
  for (const { pause, slot } of draft.slots) {
    const occupied = draft.members.some((one) => one.slot === slot && isOccupant(one))
    if (pause === null && !occupied) poolMembers.boot(draft, slot, null)
  }
}

/** The slot whose policy was asked about this member; none when that is no longer of interest. */
const asked = ({ slots }: Draft, member: number): Slot | undefined =>
  slots.find(({ pause }) => pause?._tag === "Asked" && pause.member === member)

export const respawn = (draft: Draft, member: number, delayMs: number, now: number): void => {
  const slot = asked(draft, member)
  if (slot === undefined) return
  setSlot(draft, { ...slot, pause: delayMs > 0 ? { _tag: "Backoff", until: now + delayMs } : null })
}

export const giveUp = (draft: Draft, member: number, reason: string): void => {
  const slot = asked(draft, member)
  if (slot === undefined) return
  if (isServed(draft.members, slot.slot)) return abandon(draft, slot, reason)
  setSlot(draft, { ...slot, pause: { _tag: "GivenUp", reason } })
  draft.actions.push({ _tag: "GaveUp", slot: slot.slot, crashes: slot.crashes, reason })
}

/** It was a replacement that would not boot. Others of a reload would not either: nobody is replaced in vain. */
const abandon = (draft: Draft, slot: Slot, reason: string): void => {
  setSlot(draft, { ...slot, pause: null })
  draft.members = draft.members.map((member) =>
    member.slot === slot.slot || member.generation < draft.generation ? { ...member, due: null, kept: true } : member
  )
  draft.actions.push({ _tag: "RecycleAbandoned", slot: slot.slot, crashes: slot.crashes, reason })
}

/** Slots that were given up are tried again. */
export const reset = (draft: Draft): void => {
  draft.structural = true
  for (const slot of draft.slots) {
    if (slot.pause?._tag !== "GivenUp") continue
    setSlot(draft, { ...slot, pause: null, crashes: 0 })
    draft.actions.push({ _tag: "ForgetCrashes", slot: slot.slot })
  }
}

/** Boots again where the delay is over. */
export const endBackoffs = (draft: Draft, now: number): void => {
  for (const slot of draft.slots) {
    if (slot.pause?._tag === "Backoff" && slot.pause.until <= now) setSlot(draft, { ...slot, pause: null })
  }
}
