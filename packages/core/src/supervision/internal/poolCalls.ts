/**
 * What becomes of one call: it comes, is cancelled, ends, is given back or gets more time. A call is in one place: it
 * waits, it runs in one member, or it is over.
 */
import type { Failure, Input } from "../PoolMachine.ts"
import { isElastic, isGivenUp, type Member, type Running, type Waiting } from "../PoolState.ts"
import * as CallMap from "./callMap.ts"
import * as Fifo from "./fifo.ts"
import * as poolDispatch from "./poolDispatch.ts"
import { type Draft, fail, findMember, setMember, wake } from "./poolDraft.ts"

export const submitted = (draft: Draft, input: Extract<Input, { readonly _tag: "Submitted" }>, now: number): void => {
  const { call, timeoutMs, waitMs } = input
  if (draft.closing !== null) return fail(draft, call, { _tag: "Stopped" })
  if (isGivenUp(draft)) return fail(draft, call, givenUp(draft))
  const waiting: Waiting = { call, since: now, waitUntil: now + waitMs, timeoutMs }
  const at = draft.queue.size === 0 ? poolDispatch.pick(draft) : -1
  if (at !== -1) return poolDispatch.run(draft, waiting, at, now)
  if (draft.queue.size >= places(draft)) return fail(draft, call, { _tag: "QueueFull" })
  draft.queue = Fifo.append(draft.queue, waiting)
  wake(draft, waiting.waitUntil)
}

/** How many may wait. While the pool may grow, one may: it is what makes the pool grow. */
const places = ({ settings, slots }: Draft): number =>
  slots.length < settings.maximum ? Math.max(1, settings.queue) : settings.queue

export const givenUp = ({ slots }: Draft): Failure => {
  const reasons = slots.flatMap(({ pause }) => (pause?._tag === "GivenUp" ? [pause.reason] : []))
  const crashes = slots.reduce((sum, slot) => sum + slot.crashes, 0)
  return { _tag: "GivenUp", crashes, reason: reasons.at(-1) ?? "unknown" }
}

export const failQueue = (draft: Draft, failure: Failure): void => {
  for (const { call } of Fifo.toArray(draft.queue)) fail(draft, call, failure)
  draft.queue = Fifo.empty
}

/** Who runs a call. */
const runner = ({ members }: Draft, call: number): Member | undefined =>
  members.find((member) => CallMap.get(member.running, call) !== undefined)

/** The member with a call that is live changed. */
const changeLive = (member: Member, call: number, f: (running: Running) => Running): Member => {
  const one = CallMap.get(member.running, call)
  return one?.state === "live" ? { ...member, running: CallMap.replace(member.running, f(one)) } : member
}

export const cancelled = (draft: Draft, call: number, now: number): void => {
  const member = runner(draft, call)
  if (member !== undefined) return cancelRunning(draft, member, call, now)
  const rest = Fifo.toArray(draft.queue).filter((waiting) => waiting.call !== call)
  if (rest.length < draft.queue.size) draft.queue = Fifo.fromArray(rest)
}

/** Tells the worker; the call keeps its place there until the worker has confirmed. */
const cancelRunning = (draft: Draft, member: Member, call: number, now: number): void => {
  const going = member.stage === "going"
  const deadline = going ? Infinity : now + draft.settings.cancelMs
  setMember(
    draft,
    changeLive(member, call, (one) => ({ ...one, state: "cancelled", deadline }))
  )
  if (going) return
  wake(draft, deadline)
  draft.structural ||= member.stage !== "ready"
  draft.actions.push({ _tag: "SendCancel", call, member: member.id })
}

/** Whether a member has had its share of calls. */
export const isWorn = ({ due, jobs, kept, stage }: Member, maxJobs: number): boolean =>
  maxJobs > 0 && jobs >= maxJobs && stage === "ready" && !kept && due === null

export const ended = (draft: Draft, input: Extract<Input, { readonly _tag: "Ended" }>, now: number): void => {
  const member = findMember(draft, input.member)
  const running = member === undefined ? undefined : CallMap.remove(member.running, input.call)
  if (member === undefined || running === undefined || running === member.running) return
  const { idleMs, maxJobs } = draft.settings
  const next = poolDispatch.withoutCall(member, running, now)
  const worn = isWorn(next, maxJobs)
  setMember(draft, worn ? { ...next, due: "jobs" } : next)
  draft.structural ||= worn || member.stage !== "ready" || draft.closing !== null
  if (isElastic(draft.settings) && running.size === 0) wake(draft, now + idleMs)
}

/** It waits again, at its old place. */
export const returned = (draft: Draft, call: number): void => {
  const member = runner(draft, call)
  const one = member === undefined ? undefined : CallMap.get(member.running, call)
  if (member === undefined || one === undefined) return
  draft.structural = true
  setMember(draft, { ...member, running: CallMap.remove(member.running, call) })
  if (one.state !== "live") return
  const queue = Fifo.toArray(draft.queue)
  const place = queue.findIndex((waiting) => waiting.call > call)
  draft.queue = Fifo.fromArray(queue.toSpliced(place === -1 ? queue.length : place, 0, one))
}

export const extended = (draft: Draft, call: number, deadline: number): void => {
  const member = runner(draft, call)
  if (member === undefined) return
  wake(draft, deadline)
  setMember(
    draft,
    changeLive(member, call, (one) => ({ ...one, deadline }))
  )
}
