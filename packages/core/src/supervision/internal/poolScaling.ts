/**
 * How many slots there are: an elastic pool grows when calls have waited and shrinks when members have been idle, and
 * any pool follows a resize.
 */
import { isElastic, isGivenUp, isServed, type PoolState } from "../PoolState.ts"
import * as Fifo from "./fifo.ts"
import * as poolSlots from "./poolSlots.ts"
import type { Draft } from "./poolDraft.ts"

type Sized = Pick<PoolState, "closing" | "members" | "queue" | "settings" | "slots">

/** When the oldest call has waited for long enough. */
export const growsAt = ({ queue, settings, slots }: Sized): number =>
  slots.length === 0 ? 0 : (Fifo.peek(queue)?.since ?? Infinity) + settings.growAfterMs

/** Calls that the members on their way will take. */
const expected = ({ members, settings, slots }: Sized): number =>
  settings.concurrency * slots.filter(({ pause, slot }) => pause?._tag !== "GivenUp" && !isServed(members, slot)).length

export const mayGrow = (state: Sized): boolean =>
  state.queue.size > 0 &&
  state.slots.length < state.settings.maximum &&
  state.closing === null &&
  !isGivenUp(state) &&
  state.queue.size > expected(state)

export const grow = (draft: Draft, now: number): void => {
  while (mayGrow(draft) && growsAt(draft) <= now) {
    poolSlots.add(draft)
    poolSlots.fill(draft)
  }
}

/** While nobody waits, the slots of those that were idle for long go, the last ones first. */
export const shrink = (draft: Draft, now: number): void => {
  if (draft.queue.size > 0 || draft.closing !== null) return
  const { idleMs, minimum } = draft.settings
  const idle = draft.members
    .filter((one) => one.stage === "ready" && one.running.size === 0 && one.idleSince + idleMs <= now)
    .toSorted((left, right) => right.slot - left.slot)
  for (const { slot } of idle) if (draft.slots.length > minimum) poolSlots.remove(draft, slot)
}

/** In a pool of fixed size nobody noted when who got idle: there it counts from now on. */
export const resize = (draft: Draft, minimum: number, maximum: number, now: number): void => {
  draft.structural = true
  if (!isElastic(draft.settings)) draft.members = draft.members.map((member) => ({ ...member, idleSince: now }))
  draft.settings = { ...draft.settings, minimum, maximum: Math.max(minimum, maximum) }
}

/** As many slots as the bounds allow. */
export const fit = (draft: Draft): void => {
  while (draft.slots.length < draft.settings.minimum) poolSlots.add(draft)
  while (draft.slots.length > draft.settings.maximum) poolSlots.remove(draft, leastMissed(draft) ?? 0)
}

/** The slot that is missed least: one that does not serve, else the one with the fewest calls, the last one first. */
const leastMissed = ({ members, slots }: Draft): number | undefined => {
  const load = (slot: number) =>
    members.reduce((sum, one) => (one.slot === slot && one.stage === "ready" ? sum + 1 + one.running.size : sum), 0)
  return slots
    .map(({ slot }) => ({ slot, load: load(slot) }))
    .toSorted((left, right) => left.load - right.load || right.slot - left.slot)[0]?.slot
}
