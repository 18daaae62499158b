/**
 * Which member a call goes to: an idle one first, and among equals the one used longest ago, so that all take turns.
 */
import type { Member, Waiting } from "../PoolState.ts"
import * as CallMap from "./callMap.ts"
import * as Fifo from "./fifo.ts"
import { type Draft, setMember, wake } from "./poolDraft.ts"

/** The member with the fewest calls that has room: the one used longest ago, or the first slot of an elastic pool. */
export const pick = ({ members, settings }: Pick<Draft, "members" | "settings">): Member | undefined => {
  const elastic = settings.maximum > settings.minimum
  let best: Member | undefined
  for (const member of members) {
    if (member.stage !== "ready" || member.running.size >= settings.concurrency) continue
    if (best === undefined || member.running.size < best.running.size) best = member
    else if (member.running.size > best.running.size) continue
    // In an elastic pool the last slots shall get idle, so that they can be removed.
    else if (elastic ? member.slot < best.slot : member.usedAt < best.usedAt) best = member
  }
  return best
}

/** The member with one call more, from now on. */
export const withCall = (member: Member, waiting: Waiting, dispatches: number, now: number): Member => {
  const { call, since, timeoutMs, waitUntil } = waiting
  const running = { call, since, waitUntil, timeoutMs, state: "live" as const, deadline: now + timeoutMs }
  return { ...member, usedAt: dispatches, running: CallMap.add(member.running, running) }
}

export const run = (draft: Draft, waiting: Waiting, member: Member, now: number): void => {
  draft.dispatches += 1
  setMember(draft, withCall(member, waiting, draft.dispatches, now))
  wake(draft, now + waiting.timeoutMs)
  draft.actions.push({ _tag: "Dispatch", call: waiting.call, member: member.id, waitedMs: now - waiting.since })
}

/** Gives what waits, oldest first, to whoever has room. */
export const dispatch = (draft: Draft, now: number): void => {
  for (let next = Fifo.peek(draft.queue); next !== undefined; next = Fifo.peek(draft.queue)) {
    const member = pick(draft)
    if (member === undefined) return
    draft.queue = Fifo.rest(draft.queue)
    run(draft, next, member, now)
  }
}
