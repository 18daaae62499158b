/**
 * Which member a call goes to: an idle one first, and among equals the one used longest ago, so that all take turns.
 */
import { isElastic, type Member, type PoolState, type Running, type Waiting } from "../PoolState.ts"
import * as CallMap from "./callMap.ts"
import * as Fifo from "./fifo.ts"
import { type Draft, wake } from "./poolDraft.ts"

/**
 * Where the member is, among all, that a call goes to: the one with the fewest calls that has room, and of those the
 * one used longest ago, or the first slot of an elastic pool. -1 when nobody has room.
 */
export const pick = ({ members, settings }: Pick<PoolState, "members" | "settings">): number => {
  const elastic = isElastic(settings)
  let found = -1
  let best: Member | undefined
  for (let at = 0; at < members.length; at++) {
    const member = members[at]
    if (member?.stage !== "ready" || member.running.size >= settings.concurrency) continue
    if (best !== undefined && !isBetter(member, best, elastic)) continue
    best = member
    found = at
  }
  return found
}

/** In an elastic pool the last slots shall get idle, so that they can be removed. */
const isBetter = (member: Member, best: Member, elastic: boolean): boolean => {
  if (member.running.size !== best.running.size) return member.running.size < best.running.size
  return elastic ? member.slot < best.slot : member.usedAt < best.usedAt
}

/** A call that waited, from now on. */
export const started = ({ call, since, timeoutMs, waitUntil }: Waiting, now: number): Running => ({
  call,
  since,
  waitUntil,
  timeoutMs,
  state: "live",
  deadline: now + timeoutMs
})

/** The member with one call more. */
export const withCall = (member: Member, running: Running, dispatches: number): Member =>
  withCalls(member, CallMap.add(member.running, running), member.jobs, member.idleSince, dispatches)

/** The member with one call less, which has ended. */
export const withoutCall = (member: Member, running: Member["running"], now: number): Member =>
  withCalls(member, running, member.jobs + 1, now, member.usedAt)

/** Spelt out, because each call makes two of them, and a copy by spreading costs twice as much. */
const withCalls = (
  member: Member,
  running: Member["running"],
  jobs: number,
  idleSince: number,
  usedAt: number
): Member => ({
  id: member.id,
  slot: member.slot,
  generation: member.generation,
  stage: member.stage,
  replaces: member.replaces,
  due: member.due,
  kept: member.kept,
  recycled: member.recycled,
  hurt: member.hurt,
  killBy: member.killBy,
  readyAt: member.readyAt,
  idleSince,
  jobs,
  usedAt,
  running
})

/** All members, with another one in this place. */
export const withMember = (members: ReadonlyArray<Member>, at: number, member: Member): ReadonlyArray<Member> => {
  const changed = members.slice()
  changed[at] = member
  return changed
}

/** Gives a call to the member in this place. */
export const run = (draft: Draft, waiting: Waiting, at: number, now: number): void => {
  const member = draft.members[at]
  if (member === undefined) return
  draft.dispatches += 1
  draft.members = withMember(draft.members, at, withCall(member, started(waiting, now), draft.dispatches))
  wake(draft, now + waiting.timeoutMs)
  draft.actions.push({ _tag: "Dispatch", call: waiting.call, member: member.id, waitedMs: now - waiting.since })
}

/** Gives what waits, oldest first, to whoever has room. */
export const dispatch = (draft: Draft, now: number): void => {
  for (let next = Fifo.peek(draft.queue); next !== undefined; next = Fifo.peek(draft.queue)) {
    const at = pick(draft)
    if (at === -1) return
    draft.queue = Fifo.rest(draft.queue)
    run(draft, next, at, now)
  }
}
