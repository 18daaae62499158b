/**
 * What runs out of time: calls that wait, calls that run, and members that do not let go of calls. And when to look
 * again.
 */
import type { Member, PoolState, Running, Waiting } from "../PoolState.ts"
import * as CallMap from "./callMap.ts"
import * as Fifo from "./fifo.ts"
import * as poolMembers from "./poolMembers.ts"
import * as poolRecycling from "./poolRecycling.ts"
import * as poolScaling from "./poolScaling.ts"
import { type Draft, fail, findMember, setMember } from "./poolDraft.ts"

export const waitedTooLong = (draft: Draft, now: number): void => {
  const queue = Fifo.toArray(draft.queue)
  if (!queue.some((waiting) => waiting.waitUntil <= now)) return
  for (const { call, since, waitUntil } of queue) {
    if (waitUntil <= now) fail(draft, call, { _tag: "WaitedTooLong", waitedMs: now - since })
  }
  draft.queue = Fifo.fromArray(queue.filter((waiting) => waiting.waitUntil > now))
}

/** Looks through the members for calls that are overdue. */
export const check = (draft: Draft, now: number): void => {
  for (const { id } of draft.members) {
    const member = findMember(draft, id)
    if (member === undefined || member.stage === "going") continue
    if (CallMap.values(member.running).some((one) => one.deadline <= now)) overdue(draft, member, now)
    else if (member.killBy <= now) poolMembers.killDeaf(draft, member)
  }
}

/**
 * Some call of this member has run out of time. When no other call is at work there, the worker is killed. Else the
 * call is cancelled; a worker that does not confirm takes no more calls, and goes when the others are over. One that is
 * lost is dying already.
 */
const overdue = (draft: Draft, member: Member, now: number): void => {
  const healthy = CallMap.values(member.running).some((one) => one.state === "live" && one.deadline > now)
  const unconfirmed = CallMap.values(member.running).some((one) => one.state !== "live" && one.deadline <= now)
  const running = CallMap.map(member.running, (one) =>
    one.deadline > now ? one : late(draft, member, one, healthy, now)
  )
  const next = { ...member, running }
  if (member.stage === "lost") return setMember(draft, next)
  if (!healthy) return poolMembers.kill(draft, next, "a call ran out of time")
  if (!unconfirmed || member.hurt) return setMember(draft, next)
  setMember(draft, { ...next, stage: "leaving", hurt: true, killBy: now + draft.settings.drainMs })
}

/** A call that is overdue: its caller is told, and the worker where it goes on. One that was cancelled is lost. */
const late = (draft: Draft, member: Member, one: Running, healthy: boolean, now: number): Running => {
  if (one.state !== "live") return { ...one, state: "lost", deadline: Infinity }
  const { call, timeoutMs } = one
  fail(draft, call, { _tag: "TimedOut", timeoutMs, member: member.id })
  if (healthy) draft.actions.push({ _tag: "SendCancel", call, member: member.id })
  return { ...one, state: "cancelled", deadline: member.stage === "lost" ? Infinity : now + draft.settings.cancelMs }
}

/** This process stood still: all bounds are moved on. */
export const stalled = (draft: Draft, forMs: number): void => {
  draft.structural = true
  const later = (one: Waiting): Waiting => ({ ...one, waitUntil: one.waitUntil + forMs })
  draft.queue = Fifo.fromArray(Fifo.toArray(draft.queue).map(later))
  draft.members = draft.members.map((member) => ({
    ...member,
    killBy: member.killBy + forMs,
    running: CallMap.map(member.running, (one) => ({ ...one, deadline: one.deadline + forMs }))
  }))
}

/** The next time at which something is due; `Infinity` when nothing is. */
export const alarm = (state: PoolState): number => {
  const { closing, members, queue, slots } = state
  let at = closing === null || closing.cutOff ? Infinity : closing.by
  for (const { pause } of slots) if (pause?._tag === "Backoff") at = Math.min(at, pause.until)
  for (const { waitUntil } of Fifo.toArray(queue)) at = Math.min(at, waitUntil)
  for (const member of members) at = Math.min(at, alarmOf(member, state))
  return poolScaling.mayGrow(state) ? Math.min(at, poolScaling.growsAt(state)) : at
}

/** The next time at which something about a member is due. */
const alarmOf = (member: Member, { closing, settings, slots }: PoolState): number => {
  if (member.stage === "going") return Infinity
  let at = member.killBy
  for (const { deadline } of CallMap.values(member.running)) at = Math.min(at, deadline)
  if (member.stage !== "ready" || closing !== null) return at
  const isSurplus = slots.length > settings.minimum && member.running.size === 0
  return Math.min(at, poolRecycling.agesAt(member, settings.ttlMs), isSurplus ? member.idleSince + settings.idleMs : at)
}
