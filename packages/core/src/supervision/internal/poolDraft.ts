/**
 * A pool's state in the making: its fields change, what they hold does not. Every part of a decision takes a draft and
 * leaves in it the next state, what to do, and when to look again.
 */
import type { Action, Failure } from "../PoolMachine.ts"
import type { Closing, Member, PoolState, Settings, Slot, Waiting } from "../PoolState.ts"
import type * as Fifo from "./fifo.ts"

export interface Draft {
  settings: Settings
  slots: ReadonlyArray<Slot>
  members: ReadonlyArray<Member>
  queue: Fifo.Fifo<Waiting>
  generation: number
  nextMember: number
  dispatches: number
  closing: Closing | null
  readonly actions: Array<Action>
  wakeAt: number
  /** More than calls has changed, so that slots and members must be looked through. */
  structural: boolean
}

export const begin = (state: PoolState): Draft => ({ ...state, actions: [], wakeAt: Infinity, structural: false })

export const finish = (draft: Draft): PoolState => {
  const { closing, dispatches, generation, members, nextMember, queue, settings, slots } = draft
  return { settings, slots, members, queue, generation, nextMember, dispatches, closing }
}

/** A tick is wanted at this time at the latest. */
export const wake = (draft: Draft, at: number): void => {
  if (at < draft.wakeAt) draft.wakeAt = at
}

export const fail = (draft: Draft, call: number, failure: Failure): void => {
  draft.actions.push({ _tag: "Fail", call, failure })
}

export const findMember = ({ members }: Draft, id: number | null): Member | undefined =>
  members.find((member) => member.id === id)

/** Puts a member in the place of the one with its number. */
export const setMember = (draft: Draft, member: Member): void => {
  const at = draft.members.findIndex((one) => one.id === member.id)
  if (at !== -1) draft.members = draft.members.with(at, member)
}

/** More than a member's calls changes. */
export const change = (draft: Draft, id: number, f: (member: Member) => Member): void => {
  const member = findMember(draft, id)
  if (member === undefined) return
  draft.structural = true
  setMember(draft, f(member))
}

export const setSlot = (draft: Draft, slot: Slot): void => {
  draft.structural = true
  draft.slots = draft.slots.map((one) => (one.slot === slot.slot ? slot : one))
}
