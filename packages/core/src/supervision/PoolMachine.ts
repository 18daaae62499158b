/**
 * What happens in a pool of interchangeable workers, decided purely: `decide(machine, input, now)`
 * gives the next machine and what to do, in order. It knows no process, no fiber and no clock;
 * `WorkerPool` carries the actions out and feeds what comes of them back as inputs.
 *
 * A pool has slots, a slot has members: the worker that serves, and while that is replaced its
 * successor. A member is one incarnation, numbered over the whole pool, and never comes back: an
 * input that names a member which is gone changes nothing.
 *
 * ```
 * booting ─Ready─► ready ─replaced, removed─► leaving ─last call ended─► going ─Exited─► (gone)
 *    │               │                           │ hangs                  ▲
 *    │ Lost, Exited  │ timed out, hangs          └──────────Kill──────────┤
 *    ▼               ├──────────────Kill─────────────────────────────────┘
 *  lost ─Exited─► the slot asks its policy, waits, boots again, or is given up
 * ```
 *
 * Rules that hold after every decision:
 * - A call is in one place: it waits, it runs in one member, or it is over. It runs at most once.
 * - While a call waits, no member that could take it is free, and one is booting, serving or scheduled.
 * - Calls are dispatched in the order in which they came, to the member with the fewest.
 * - At most one healthy worker is replaced at a time, and it serves until its successor is ready.
 *
 * Times are milliseconds on one clock that never goes back; `Infinity` is never.
 */
import type { WorkerExit } from "../domain/WorkerExit.ts"
import * as CallMap from "./internal/callMap.ts"
import * as Fifo from "./internal/fifo.ts"

export interface Settings {
  /** Slots at least and at most. They are equal in a pool of fixed size. */
  readonly minimum: number
  readonly maximum: number
  /** Calls that may wait; one at least while there may be more slots. */
  readonly queue: number
  /** Calls that one member runs at a time. */
  readonly concurrency: number
  /** Calls after which a member is replaced; 0 is never. */
  readonly maxJobs: number
  /** Age at which a member is replaced. */
  readonly ttlMs: number
  /** How long the oldest call must have waited before a slot is added. */
  readonly growAfterMs: number
  /** How long a member must have been idle before its slot is removed. */
  readonly idleMs: number
  /** How long a member may take to confirm that it stopped working on a call. */
  readonly cancelMs: number
  /** How long the other calls of a member that did not confirm may go on. */
  readonly drainMs: number
}

/** Why a healthy member is replaced. */
export type RecycleReason = "jobs" | "age" | "memory" | "reload"

export interface Waiting {
  readonly call: number
  readonly since: number
  /** Until it must have been dispatched. */
  readonly deadline: number
  /** How long it may run once dispatched. */
  readonly timeoutMs: number
}

export interface Running {
  readonly waiting: Waiting
  /** `cancelled`: its caller is gone, the worker has been told. `lost`: it did not confirm in time. */
  readonly state: "live" | "cancelled" | "lost"
  /** Of a live one until its answer, of a cancelled one until its confirmation. */
  readonly deadline: number
}

export interface Member {
  /** Number of the incarnation, over the whole pool. */
  readonly id: number
  readonly slot: number
  /** Counts reloads: of which it is. */
  readonly generation: number
  readonly stage: "booting" | "ready" | "lost" | "leaving" | "going"
  /** The member that it takes over from when it is ready. */
  readonly replaces: number | null
  readonly due: RecycleReason | null
  /** Its replacement was given up: it goes on as it is. */
  readonly kept: boolean
  /** It has been replaced in good health, as opposed to removed or hanging. */
  readonly recycled: boolean
  /** It does not confirm cancellations: it is killed when its other calls are over, at `killBy` at the latest. */
  readonly hurt: boolean
  readonly killBy: number
  readonly readyAt: number
  readonly idleSince: number
  /** Calls that it has ended. */
  readonly jobs: number
  /** Rises with each dispatch of the pool; the least was used longest ago. */
  readonly usedAt: number
  readonly running: CallMap.CallMap<Running>
}

/** Why a slot is not served at present. */
export type Pause =
  /** The policy is being asked about the end of this member. */
  | { readonly _tag: "Asked"; readonly member: number }
  | { readonly _tag: "Backoff"; readonly until: number }
  | { readonly _tag: "GivenUp"; readonly reason: string }

export interface Slot {
  readonly slot: number
  readonly pause: Pause | null
  /** Since the pool began or the last reset. */
  readonly crashes: number
}

export interface Machine {
  readonly settings: Settings
  readonly slots: ReadonlyArray<Slot>
  readonly members: ReadonlyArray<Member>
  readonly queue: Fifo.Fifo<Waiting>
  readonly generation: number
  readonly nextMember: number
  readonly dispatches: number
  /** Null while the pool is open; `by` is when what runs is cut off. */
  readonly closing: { readonly by: number; readonly cutOff: boolean } | null
}

export type Input =
  | { readonly _tag: "Submitted"; readonly call: number; readonly timeoutMs: number; readonly waitMs: number }
  /** The caller is gone. */
  | { readonly _tag: "Cancelled"; readonly call: number }
  /** It was answered, or failed within its worker. */
  | { readonly _tag: "Ended"; readonly call: number }
  /** It was dispatched but never left for the worker: it waits again, at its old place. */
  | { readonly _tag: "Returned"; readonly call: number }
  /** It is given until `deadline`: the reader of a stream is the slow one. */
  | { readonly _tag: "Extended"; readonly call: number; readonly deadline: number }
  | { readonly _tag: "Ready"; readonly member: number }
  /** Its channel has ended: nothing reaches it any more. Its exit will follow. */
  | { readonly _tag: "Lost"; readonly member: number }
  /** It is gone and reaped, or could not be started. */
  | {
      readonly _tag: "Exited"
      readonly member: number
      readonly exit: WorkerExit | null
      readonly uptimeMs: number
      readonly reason: string
    }
  | { readonly _tag: "RespawnDecided"; readonly member: number; readonly delayMs: number }
  | { readonly _tag: "GiveUpDecided"; readonly member: number; readonly reason: string }
  | { readonly _tag: "MemoryHigh"; readonly member: number }
  /** Time has passed: what is due is done. */
  | { readonly _tag: "Tick" }
  /** This process itself stood still for that long: nobody else is to blame for it. */
  | { readonly _tag: "Stalled"; readonly forMs: number }
  | { readonly _tag: "ReloadAsked" }
  | { readonly _tag: "ResizeAsked"; readonly minimum: number; readonly maximum: number }
  /** Given-up slots are tried again. */
  | { readonly _tag: "ResetAsked" }
  | { readonly _tag: "ShutdownAsked"; readonly withinMs: number }

/** Why a call fails without an answer. */
export type Failure =
  | { readonly _tag: "QueueFull" }
  | { readonly _tag: "WaitedTooLong"; readonly waitedMs: number }
  | { readonly _tag: "TimedOut"; readonly timeoutMs: number; readonly member: number }
  | { readonly _tag: "Died"; readonly member: number }
  | { readonly _tag: "GivenUp"; readonly crashes: number; readonly reason: string }
  | { readonly _tag: "Stopped" }

export type Action =
  | {
      readonly _tag: "Boot"
      readonly member: number
      readonly slot: number
      readonly replaces: number | null
      /** Why `replaces` is replaced. */
      readonly why: RecycleReason | null
    }
  | { readonly _tag: "Dispatch"; readonly call: number; readonly member: number }
  | { readonly _tag: "SendCancel"; readonly call: number; readonly member: number }
  | { readonly _tag: "Fail"; readonly call: number; readonly failure: Failure }
  | { readonly _tag: "Kill"; readonly member: number; readonly reason: string }
  /** Go down the stop ladder. */
  | { readonly _tag: "Stop"; readonly member: number }
  | {
      readonly _tag: "AskPolicy"
      readonly slot: number
      readonly member: number
      readonly exit: WorkerExit | null
      readonly uptimeMs: number
      readonly reason: string
    }
  /** The slot's policy forgets all crashes. */
  | { readonly _tag: "ForgetCrashes"; readonly slot: number }
  | { readonly _tag: "GaveUp"; readonly slot: number; readonly crashes: number; readonly reason: string }
  /** The replacement of a member would not boot; the member goes on. */
  | { readonly _tag: "RecycleAbandoned"; readonly slot: number; readonly crashes: number; readonly reason: string }
  | { readonly _tag: "Resized"; readonly size: number }

export interface Decision {
  readonly machine: Machine
  readonly actions: ReadonlyArray<Action>
  /** A `Tick` is wanted at this time at the latest, besides those wanted before. */
  readonly wakeAt: number
  /** Whether more than calls has changed. */
  readonly structural: boolean
}

/** A pool without workers: feed it a `Tick`, and it boots them. */
export const make = (settings: Settings): Machine => ({
  settings,
  slots: [],
  members: [],
  queue: Fifo.empty,
  generation: 0,
  nextMember: 1,
  dispatches: 0,
  closing: null
})

// --- what can be seen ------------------------------------------------------------------------------

const isOccupant = (member: Member): boolean =>
  member.stage === "booting" || member.stage === "ready" || member.stage === "lost"

/** All slots were given up: nothing will be served before a reset or a reload. */
export const isGivenUp = ({ slots }: Machine): boolean =>
  slots.length > 0 && slots.every((slot) => slot.pause?._tag === "GivenUp")

/** Every slot is served by a ready member of the present generation, and no older one is left. */
export const isReloaded = ({ generation, members, slots }: Machine): boolean =>
  members.every((member) => member.generation === generation) && slots.every((slot) => isServed(members, slot.slot))

const isServed = (members: ReadonlyArray<Member>, slot: number): boolean =>
  members.some((member) => member.slot === slot && member.stage === "ready")

/** As many members as `minimum` asks for are ready. */
export const isBooted = ({ members, settings, slots }: Machine): boolean =>
  slots.length >= settings.minimum && slots.filter((slot) => isServed(members, slot.slot)).length >= settings.minimum

/** The pool is closed and no process is left. */
export const isClosed = ({ closing, members }: Machine): boolean => closing !== null && members.length === 0

/** The next time at which something is due; `Infinity` when nothing is. */
export const alarm = (machine: Machine): number => {
  const { closing, members, settings, slots } = machine
  let at = closing === null || closing.cutOff ? Infinity : closing.by
  for (const { pause } of slots) if (pause?._tag === "Backoff") at = Math.min(at, pause.until)
  for (const waiting of Fifo.toArray(machine.queue)) at = Math.min(at, waiting.deadline)
  if (mayGrow(machine)) at = Math.min(at, growsAt(machine))
  for (const member of members) {
    if (member.stage === "going") continue
    for (const one of CallMap.values(member.running)) at = Math.min(at, one.deadline)
    at = Math.min(at, member.killBy)
    if (member.stage !== "ready" || closing !== null) continue
    if (member.due === null && !member.kept) at = Math.min(at, member.readyAt + settings.ttlMs)
    if (slots.length > settings.minimum && member.running.size === 0)
      at = Math.min(at, member.idleSince + settings.idleMs)
  }
  return at
}

const growsAt = ({ queue, settings, slots }: Machine): number =>
  slots.length === 0 ? 0 : (Fifo.peek(queue)?.since ?? Infinity) + settings.growAfterMs

/** Calls that the members on their way will take. */
const expected = ({ members, settings, slots }: Machine): number =>
  settings.concurrency * slots.filter(({ pause, slot }) => pause?._tag !== "GivenUp" && !isServed(members, slot)).length

const mayGrow = (machine: Machine): boolean =>
  machine.queue.size > 0 &&
  machine.slots.length < machine.settings.maximum &&
  machine.closing === null &&
  !isGivenUp(machine) &&
  machine.queue.size > expected(machine)

// --- decisions -------------------------------------------------------------------------------------

/** A machine in the making: the fields change, what they hold does not. */
interface Draft {
  settings: Settings
  slots: ReadonlyArray<Slot>
  members: ReadonlyArray<Member>
  queue: Fifo.Fifo<Waiting>
  generation: number
  nextMember: number
  dispatches: number
  closing: Machine["closing"]
  readonly actions: Array<Action>
  wakeAt: number
  /** More than calls has changed, so that slots and members must be looked through. */
  structural: boolean
}

/** Total: every input has its clause, and one that names what is no more changes nothing. */
export const decide = (machine: Machine, input: Input, now: number): Decision => {
  const draft: Draft = { ...machine, actions: [], wakeAt: Infinity, structural: false }
  take(draft, input, now)
  if (!draft.structural && mayGrow(draft)) {
    const at = growsAt(draft)
    if (at <= now) draft.structural = true
    else draft.wakeAt = Math.min(draft.wakeAt, at)
  }
  if (draft.structural) balance(draft, now)
  else dispatch(draft, now)
  const { actions, closing, dispatches, generation, members, nextMember, queue, settings, slots, structural } = draft
  const next: Machine = { settings, slots, members, queue, generation, nextMember, dispatches, closing }
  return { machine: next, actions, wakeAt: structural ? alarm(next) : draft.wakeAt, structural }
}

const take = (draft: Draft, input: Input, now: number): void => {
  switch (input._tag) {
    case "Submitted":
      return submitted(draft, input, now)
    case "Cancelled":
      return cancelled(draft, input.call, now)
    case "Ended":
      return ended(draft, input.call, now)
    case "Returned":
      return returned(draft, input.call)
    case "Extended":
      return extended(draft, input.call, input.deadline)
    case "Ready":
      return ready(draft, input.member, now)
    case "Lost":
      return lost(draft, input.member)
    case "Exited":
      return exited(draft, input)
    case "RespawnDecided":
      return pauseAfter(draft, input.member, (slot) =>
        setSlot(draft, { ...slot, pause: input.delayMs > 0 ? { _tag: "Backoff", until: now + input.delayMs } : null })
      )
    case "GiveUpDecided":
      return pauseAfter(draft, input.member, (slot) => gaveUp(draft, slot, input.reason))
    case "MemoryHigh":
      return change(draft, input.member, (member) =>
        member.stage === "ready" && !member.kept ? { ...member, due: member.due ?? "memory" } : member
      )
    case "Tick":
      return tick(draft, now)
    case "Stalled":
      return stalled(draft, input.forMs)
    case "ReloadAsked":
      return reload(draft)
    case "ResizeAsked":
      draft.structural = true
      draft.settings = { ...draft.settings, minimum: input.minimum, maximum: Math.max(input.minimum, input.maximum) }
      return
    case "ResetAsked":
      return reset(draft)
    case "ShutdownAsked":
      draft.structural = true
      draft.closing = {
        by: Math.min(draft.closing?.by ?? Infinity, now + input.withinMs),
        cutOff: draft.closing?.cutOff ?? false
      }
      return
  }
}

// --- calls -----------------------------------------------------------------------------------------

const fail = (draft: Draft, call: number, failure: Failure): void => {
  draft.actions.push({ _tag: "Fail", call, failure })
}

const submitted = (draft: Draft, input: Extract<Input, { readonly _tag: "Submitted" }>, now: number): void => {
  const { call, timeoutMs, waitMs } = input
  if (draft.closing !== null) return fail(draft, call, { _tag: "Stopped" })
  if (isGivenUp(draft)) return fail(draft, call, givenUpFailure(draft))
  const waiting: Waiting = { call, since: now, deadline: now + waitMs, timeoutMs }
  const member = draft.queue.size === 0 ? pick(draft) : undefined
  if (member !== undefined) return run(draft, waiting, member, now)
  if (draft.queue.size >= places(draft)) return fail(draft, call, { _tag: "QueueFull" })
  draft.queue = Fifo.append(draft.queue, waiting)
  draft.wakeAt = Math.min(draft.wakeAt, waiting.deadline)
}

/** How many may wait. While the pool may grow, one may: it is what makes the pool grow. */
const places = ({ settings, slots }: Draft): number =>
  slots.length < settings.maximum ? Math.max(1, settings.queue) : settings.queue

const givenUpFailure = ({ slots }: Draft): Failure => {
  const reasons = slots.flatMap(({ pause }) => (pause?._tag === "GivenUp" ? [pause.reason] : []))
  const crashes = slots.reduce((sum, slot) => sum + slot.crashes, 0)
  return { _tag: "GivenUp", crashes, reason: reasons.at(-1) ?? "unknown" }
}

/** The member with the fewest calls that has room: the one used longest ago, or the first slot of an elastic pool. */
const pick = ({ members, settings }: Draft): Member | undefined => {
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

const run = (draft: Draft, waiting: Waiting, member: Member, now: number): void => {
  const deadline = now + waiting.timeoutMs
  draft.dispatches += 1
  setMember(draft, {
    ...member,
    usedAt: draft.dispatches,
    running: CallMap.add<Running>(member.running, waiting.call, { waiting, state: "live", deadline })
  })
  draft.wakeAt = Math.min(draft.wakeAt, deadline)
  draft.actions.push({ _tag: "Dispatch", call: waiting.call, member: member.id })
}

const dispatch = (draft: Draft, now: number): void => {
  for (let next = Fifo.peek(draft.queue); next !== undefined; next = Fifo.peek(draft.queue)) {
    const member = pick(draft)
    if (member === undefined) return
    draft.queue = Fifo.rest(draft.queue)
    run(draft, next, member, now)
  }
}

const runner = ({ members }: Draft, call: number): Member | undefined =>
  members.find((member) => CallMap.get(member.running, call) !== undefined)

/** The member with a call that is live changed. */
const changeLive = (member: Member, call: number, f: (running: Running) => Running): Member => {
  const one = CallMap.get(member.running, call)
  return one?.state === "live" ? { ...member, running: CallMap.replace(member.running, call, f(one)) } : member
}

const cancelled = (draft: Draft, call: number, now: number): void => {
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
  draft.wakeAt = Math.min(draft.wakeAt, deadline)
  draft.structural ||= member.stage !== "ready"
  draft.actions.push({ _tag: "SendCancel", call, member: member.id })
}

const ended = (draft: Draft, call: number, now: number): void => {
  const member = runner(draft, call)
  if (member === undefined) return
  const { idleMs, maxJobs, maximum, minimum } = draft.settings
  const jobs = member.jobs + 1
  const worn = maxJobs > 0 && jobs >= maxJobs && member.stage === "ready" && !member.kept && member.due === null
  const running = CallMap.remove(member.running, call)
  setMember(draft, { ...member, jobs, idleSince: now, running, due: worn ? "jobs" : member.due })
  draft.structural ||= worn || member.stage !== "ready" || draft.closing !== null
  if (maximum > minimum && running.size === 0) draft.wakeAt = Math.min(draft.wakeAt, now + idleMs)
}

const returned = (draft: Draft, call: number): void => {
  const member = runner(draft, call)
  const one = member === undefined ? undefined : CallMap.get(member.running, call)
  if (member === undefined || one === undefined) return
  draft.structural = true
  setMember(draft, { ...member, running: CallMap.remove(member.running, call) })
  if (one.state !== "live") return
  const queue = Fifo.toArray(draft.queue)
  const place = queue.findIndex((waiting) => waiting.call > call)
  draft.queue = Fifo.fromArray(queue.toSpliced(place === -1 ? queue.length : place, 0, one.waiting))
}

const extended = (draft: Draft, call: number, deadline: number): void => {
  const member = runner(draft, call)
  if (member === undefined) return
  draft.wakeAt = Math.min(draft.wakeAt, deadline)
  setMember(
    draft,
    changeLive(member, call, (one) => ({ ...one, deadline }))
  )
}

const failQueue = (draft: Draft, failure: Failure): void => {
  for (const { call } of Fifo.toArray(draft.queue)) fail(draft, call, failure)
  draft.queue = Fifo.empty
}

// --- members ---------------------------------------------------------------------------------------

const setMember = (draft: Draft, member: Member): void => {
  const members = draft.members.slice()
  for (let at = 0; at < members.length; at++) {
    if (members[at]?.id === member.id) members[at] = member
  }
  draft.members = members
}

const change = (draft: Draft, id: number, f: (member: Member) => Member): void => {
  const member = draft.members.find((one) => one.id === id)
  if (member === undefined) return
  draft.structural = true
  setMember(draft, f(member))
}

const boot = (draft: Draft, slot: number, replaces: Member | null): void => {
  const id = draft.nextMember
  draft.nextMember += 1
  const member: Member = {
    id,
    slot,
    generation: draft.generation,
    stage: "booting",
    replaces: replaces?.id ?? null,
    due: null,
    kept: false,
    recycled: false,
    hurt: false,
    killBy: Infinity,
    readyAt: 0,
    idleSince: 0,
    jobs: 0,
    usedAt: 0,
    running: CallMap.empty
  }
  draft.members = [...draft.members, member]
  const why = replaces === null ? null : (replaces.due ?? "reload")
  draft.actions.push({ _tag: "Boot", member: id, slot, replaces: replaces?.id ?? null, why })
}

const ready = (draft: Draft, id: number, now: number): void =>
  change(draft, id, (member) => {
    if (member.stage !== "booting") return member
    const old = draft.members.find((one) => one.id === member.replaces)
    if (old?.stage === "ready") setMember(draft, { ...old, stage: "leaving", recycled: true })
    return { ...member, stage: "ready", replaces: null, readyAt: now, idleSince: now }
  })

const lost = (draft: Draft, id: number): void =>
  change(draft, id, (member) =>
    member.stage === "booting" || member.stage === "ready" ? { ...member, stage: "lost" } : member
  )

/** The slot is no longer this member's: whoever was to take over from it has the slot now. */
const succeed = (draft: Draft, id: number): boolean => {
  const successor = draft.members.find((one) => one.replaces === id && isOccupant(one))
  if (successor !== undefined) setMember(draft, { ...successor, replaces: null })
  return successor !== undefined
}

const exited = (draft: Draft, input: Extract<Input, { readonly _tag: "Exited" }>): void => {
  const member = draft.members.find((one) => one.id === input.member)
  if (member === undefined) return
  draft.structural = true
  draft.members = draft.members.filter((one) => one !== member)
  for (const one of CallMap.values(member.running)) {
    if (one.state === "live") fail(draft, one.waiting.call, { _tag: "Died", member: member.id })
  }
  const slot = draft.slots.find((one) => one.slot === member.slot)
  if (!isOccupant(member) || succeed(draft, member.id) || slot === undefined || draft.closing !== null) return
  setSlot(draft, { ...slot, crashes: slot.crashes + 1, pause: { _tag: "Asked", member: member.id } })
  const { exit, reason, uptimeMs } = input
  draft.actions.push({ _tag: "AskPolicy", slot: slot.slot, member: member.id, exit, uptimeMs, reason })
}

const kill = (draft: Draft, member: Member, reason: string): void => {
  draft.structural = true
  setMember(draft, { ...member, stage: "going", killBy: Infinity })
  draft.actions.push({ _tag: "Kill", member: member.id, reason })
}

const stop = (draft: Draft, member: Member): void => {
  setMember(draft, { ...member, stage: "going", killBy: Infinity })
  draft.actions.push({ _tag: "Stop", member: member.id })
}

// --- slots -----------------------------------------------------------------------------------------

const setSlot = (draft: Draft, slot: Slot): void => {
  draft.structural = true
  draft.slots = draft.slots.map((one) => (one.slot === slot.slot ? slot : one))
}

const pauseAfter = (draft: Draft, member: number, f: (slot: Slot) => void): void => {
  const slot = draft.slots.find(({ pause }) => pause?._tag === "Asked" && pause.member === member)
  if (slot !== undefined) f(slot)
}

const gaveUp = (draft: Draft, slot: Slot, reason: string): void => {
  const { crashes } = slot
  if (!isServed(draft.members, slot.slot)) {
    setSlot(draft, { ...slot, pause: { _tag: "GivenUp", reason } })
    draft.actions.push({ _tag: "GaveUp", slot: slot.slot, crashes, reason })
    return
  }
  // It was a replacement that would not boot. Others of a reload would not either: nobody is replaced in vain.
  setSlot(draft, { ...slot, pause: null })
  draft.members = draft.members.map((member) =>
    member.slot === slot.slot || member.generation < draft.generation ? { ...member, due: null, kept: true } : member
  )
  draft.actions.push({ _tag: "RecycleAbandoned", slot: slot.slot, crashes, reason })
}

const reset = (draft: Draft): void => {
  draft.structural = true
  for (const slot of draft.slots) {
    if (slot.pause?._tag !== "GivenUp") continue
    setSlot(draft, { ...slot, pause: null, crashes: 0 })
    draft.actions.push({ _tag: "ForgetCrashes", slot: slot.slot })
  }
}

const reload = (draft: Draft): void => {
  draft.structural = true
  if (draft.closing !== null) return
  reset(draft)
  draft.generation += 1
  draft.members = draft.members.map((member) => (member.kept ? { ...member, kept: false } : member))
}

const addSlot = (draft: Draft): void => {
  let slot = 0
  while (draft.slots.some((one) => one.slot === slot)) slot += 1
  draft.slots = [...draft.slots, { slot, pause: null, crashes: 0 }]
  draft.actions.push({ _tag: "Resized", size: draft.slots.length })
}

const removeSlot = (draft: Draft, slot: number): void => {
  draft.slots = draft.slots.filter((one) => one.slot !== slot)
  draft.actions.push({ _tag: "Resized", size: draft.slots.length })
  for (const member of draft.members) {
    if (member.slot !== slot) continue
    if (member.stage === "booting") stop(draft, member)
    if (member.stage === "ready") setMember(draft, { ...member, stage: "leaving" })
  }
}

/** The slot that is missed least: one that does not serve, else the one with the fewest calls, the last one first. */
const leastMissed = ({ members, slots }: Draft): number | undefined => {
  const load = (slot: number) =>
    members.reduce((sum, one) => (one.slot === slot && one.stage === "ready" ? sum + 1 + one.running.size : sum), 0)
  return slots
    .map(({ slot }) => ({ slot, load: load(slot) }))
    .toSorted((left, right) => left.load - right.load || right.slot - left.slot)[0]?.slot
}

// --- time ------------------------------------------------------------------------------------------

const tick = (draft: Draft, now: number): void => {
  draft.structural = true
  for (const slot of draft.slots) {
    if (slot.pause?._tag === "Backoff" && slot.pause.until <= now) setSlot(draft, { ...slot, pause: null })
  }
  waitedTooLong(draft, now)
  for (const { id } of draft.members) checkMember(draft, id, now)
  if (draft.queue.size === 0 && draft.closing === null) shrink(draft, now)
}

const waitedTooLong = (draft: Draft, now: number): void => {
  const queue = Fifo.toArray(draft.queue)
  if (!queue.some((waiting) => waiting.deadline <= now)) return
  for (const { call, deadline, since } of queue) {
    if (deadline <= now) fail(draft, call, { _tag: "WaitedTooLong", waitedMs: now - since })
  }
  draft.queue = Fifo.fromArray(queue.filter((waiting) => waiting.deadline > now))
}

const checkMember = (draft: Draft, id: number, now: number): void => {
  const member = draft.members.find((one) => one.id === id)
  if (member === undefined || member.stage === "going") return
  const { ttlMs } = draft.settings
  if (CallMap.values(member.running).some((one) => one.deadline <= now)) return overdue(draft, member, now)
  if (member.killBy <= now) return kill(draft, member, "it does not confirm that calls were cancelled")
  if (member.stage === "ready" && member.due === null && !member.kept && member.readyAt + ttlMs <= now) {
    setMember(draft, { ...member, due: "age" })
  }
}

/**
 * Some call of this member has run out of time. When no other call is at work there, the worker is
 * killed. Else the call is cancelled; a worker that does not confirm takes no more calls, and goes
 * when the others are over. One that is lost is dying already.
 */
const overdue = (draft: Draft, member: Member, now: number): void => {
  const { cancelMs, drainMs } = draft.settings
  const isLost = member.stage === "lost"
  const healthy = CallMap.values(member.running).some((one) => one.state === "live" && one.deadline > now)
  let unconfirmed = false
  const running = CallMap.map(member.running, (one): Running => {
    if (one.deadline > now) return one
    if (one.state === "live") {
      const { call, timeoutMs } = one.waiting
      fail(draft, call, { _tag: "TimedOut", timeoutMs, member: member.id })
      if (healthy) draft.actions.push({ _tag: "SendCancel", call, member: member.id })
      return { ...one, state: "cancelled", deadline: isLost ? Infinity : now + cancelMs }
    }
    unconfirmed = true
    return { ...one, state: "lost", deadline: Infinity }
  })
  const next = { ...member, running }
  if (isLost) return setMember(draft, next)
  if (!healthy) return kill(draft, next, "a call ran out of time")
  if (!unconfirmed || member.hurt) return setMember(draft, next)
  setMember(draft, { ...next, stage: "leaving", hurt: true, killBy: now + drainMs })
}

const shrink = (draft: Draft, now: number): void => {
  const { idleMs, minimum } = draft.settings
  const idle = draft.members
    .filter((one) => one.stage === "ready" && one.running.size === 0 && one.idleSince + idleMs <= now)
    .toSorted((left, right) => right.slot - left.slot)
  for (const { slot } of idle) if (draft.slots.length > minimum) removeSlot(draft, slot)
}

const stalled = (draft: Draft, forMs: number): void => {
  draft.structural = true
  const later = (one: Waiting): Waiting => ({ ...one, deadline: one.deadline + forMs })
  draft.queue = Fifo.fromArray(Fifo.toArray(draft.queue).map(later))
  draft.members = draft.members.map((member) => ({
    ...member,
    killBy: member.killBy + forMs,
    running: CallMap.map(member.running, (one) => ({ ...one, deadline: one.deadline + forMs }))
  }))
}

// --- balance: what must follow from any change -------------------------------------------------------

const balance = (draft: Draft, now: number): void => {
  if (draft.closing === null) {
    while (draft.slots.length < draft.settings.minimum) addSlot(draft)
    while (draft.slots.length > draft.settings.maximum) removeSlot(draft, leastMissed(draft) ?? 0)
    fill(draft)
    recycle(draft)
    dispatch(draft, now)
    grow(draft, now)
    if (isGivenUp(draft)) failQueue(draft, givenUpFailure(draft))
  } else {
    dispatch(draft, now)
    close(draft, draft.closing, now)
  }
  leave(draft)
}

const fill = (draft: Draft): void => {
  for (const { pause, slot } of draft.slots) {
    if (pause === null && !draft.members.some((one) => one.slot === slot && isOccupant(one))) boot(draft, slot, null)
  }
}

const isDue = (draft: Draft, member: Member): boolean =>
  member.stage === "ready" && !member.kept && (member.due !== null || member.generation < draft.generation)

/** One at a time: from the boot of the successor until the old one is gone. */
const recycle = (draft: Draft): void => {
  const underWay =
    draft.members.some((one) => (one.replaces !== null && isOccupant(one)) || one.recycled) ||
    draft.slots.some(({ pause, slot }) => pause !== null && isServed(draft.members, slot))
  const next = underWay ? undefined : draft.members.find((member) => isDue(draft, member))
  if (next !== undefined) boot(draft, next.slot, next)
}

const grow = (draft: Draft, now: number): void => {
  while (mayGrow(draft) && growsAt(draft) <= now) {
    addSlot(draft)
    fill(draft)
  }
}

const close = (draft: Draft, closing: { readonly by: number; readonly cutOff: boolean }, now: number): void => {
  const cutOff = closing.cutOff || closing.by <= now
  draft.closing = { ...closing, cutOff }
  const served = draft.members.some((one) => one.stage === "booting" || one.stage === "ready")
  if (cutOff || !served) failQueue(draft, { _tag: "Stopped" })
  for (const member of draft.members) {
    const needed = draft.queue.size > 0 && isOccupant(member)
    if (member.stage !== "going" && (cutOff || (!needed && member.running.size === 0))) stop(draft, member)
  }
}

const leave = (draft: Draft): void => {
  for (const member of draft.members) {
    if (member.stage !== "leaving") continue
    if (member.hurt && !CallMap.values(member.running).some((one) => one.state === "live")) {
      kill(draft, member, "it does not confirm that calls were cancelled")
    } else if (!member.hurt && member.running.size === 0) stop(draft, member)
  }
}
