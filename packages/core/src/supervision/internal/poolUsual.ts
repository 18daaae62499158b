/**
 * The two decisions that are made for each call, where there is nothing else to consider: one comes and a member has
 * room; one ends, its member goes on, and the oldest that waits takes the place. What `decide` would come to as well,
 * without looking through the pool for more. A pool makes hardly any others, so they say at once what the next state is.
 */
import type { Action, Decision, Input } from "../PoolMachine.ts"
import { isElastic, type Member, type PoolState, type Running } from "../PoolState.ts"
import * as CallMap from "./callMap.ts"
import * as Fifo from "./fifo.ts"
import * as poolCalls from "./poolCalls.ts"
import * as poolDispatch from "./poolDispatch.ts"

const none: ReadonlyArray<Action> = []

/** Undefined where there is more to consider. */
export const decide = (state: PoolState, input: Input, now: number): Decision | undefined => {
  if (input._tag === "Submitted") return submitted(state, input, now)
  return input._tag === "Ended" ? ended(state, input, now) : undefined
}

/** Nobody waits, and somebody has room: so the pool is not given up, either. */
const submitted = (
  state: PoolState,
  input: Extract<Input, { readonly _tag: "Submitted" }>,
  now: number
): Decision | undefined => {
  if (state.closing !== null || state.queue.size > 0) return undefined
  const at = poolDispatch.pick(state)
  const member = state.members[at]
  if (member === undefined) return undefined
  const { call, timeoutMs, waitMs } = input
  const running = {
    call,
    since: now,
    waitUntil: now + waitMs,
    timeoutMs,
    state: "live",
    deadline: now + timeoutMs
  } as const
  return run(state, running, at, member, state.queue, now)
}

/** The member is ready, and not worn by this call. The pool does not grow: it is as large as it may be, or nobody waits. */
const ended = (
  state: PoolState,
  input: Extract<Input, { readonly _tag: "Ended" }>,
  now: number
): Decision | undefined => {
  const { closing, members, queue, settings, slots } = state
  if (closing !== null || (queue.size > 0 && slots.length < settings.maximum)) return undefined
  const at = placeOf(members, input.member)
  const member = members[at]
  if (member === undefined || member.stage !== "ready") return undefined
  const running = CallMap.remove(member.running, input.call)
  const next = poolDispatch.withoutCall(member, running, now)
  if (running === member.running || poolCalls.isWorn(next, settings.maxJobs)) return undefined
  const waiting = Fifo.peek(queue)
  // Somebody waits only while nobody has room: so the place is here.
  if (waiting !== undefined) return run(state, poolDispatch.started(waiting, now), at, next, Fifo.rest(queue), now)
  const isIdle = running.size === 0 && isElastic(settings)
  return {
    state: following(state, at, next, queue, state.dispatches),
    actions: none,
    wakeAt: isIdle ? now + settings.idleMs : Infinity,
    structural: false
  }
}

/** The call goes to this member, whose place is `at`. */
const run = (
  state: PoolState,
  running: Running,
  at: number,
  member: Member,
  queue: PoolState["queue"],
  now: number
): Decision => {
  const dispatches = state.dispatches + 1
  return {
    state: following(state, at, poolDispatch.withCall(member, running, dispatches), queue, dispatches),
    actions: [{ _tag: "Dispatch", call: running.call, member: member.id, waitedMs: now - running.since }],
    wakeAt: running.deadline,
    structural: false
  }
}

const placeOf = (members: ReadonlyArray<Member>, id: number): number => {
  for (let at = 0; at < members.length; at++) if (members[at]?.id === id) return at
  return -1
}

const following = (
  { closing, generation, members, nextMember, settings, slots }: PoolState,
  at: number,
  member: Member,
  queue: PoolState["queue"],
  dispatches: number
): PoolState => ({
  settings,
  slots,
  members: poolDispatch.withMember(members, at, member),
  queue,
  generation,
  nextMember,
  dispatches,
  closing
})
