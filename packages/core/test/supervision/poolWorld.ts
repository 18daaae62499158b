/**
 * Whatever may happen to a pool, in random order, with every rule checked after each step against what was handed in
 * and what was asked for.
 */
import * as PoolMachine from "@nerve/core/supervision/PoolMachine"
import * as PoolState from "@nerve/core/supervision/PoolState"
import * as fc from "fast-check"
import { isDeepStrictEqual } from "node:util"
import * as CallMap from "../../src/supervision/internal/callMap.ts"
import * as Fifo from "../../src/supervision/internal/fifo.ts"
import { alarm } from "../../src/supervision/internal/poolDeadlines.ts"

export type Happening =
  | { readonly _tag: "Submit"; readonly timeoutMs: number; readonly waitMs: number }
  | {
      readonly _tag: "End" | "Cancel" | "Return" | "Ready" | "Lose" | "Exit" | "Respawn" | "GiveUp" | "Memory"
      /** Which of those that it may happen to. */
      readonly which: number
    }
  | { readonly _tag: "Pass"; readonly ms: number }
  | { readonly _tag: "Resize"; readonly minimum: number; readonly more: number }
  | { readonly _tag: "Reload" | "Reset" }
  | { readonly _tag: "Shutdown" }

const which = fc.nat({ max: 1000 })
const about = (tag: Extract<Happening, { readonly which: number }>["_tag"]) =>
  fc.record({ _tag: fc.constant(tag), which }) as fc.Arbitrary<Happening>
const maybeNever = (max: number) => fc.oneof(fc.integer({ min: 1, max }), fc.constant(Infinity))

export const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({ _tag: fc.constant("Submit" as const), timeoutMs: maybeNever(500), waitMs: maybeNever(500) })
  },
  { weight: 8, arbitrary: about("End") },
  { weight: 3, arbitrary: about("Cancel") },
  { weight: 1, arbitrary: about("Return") },
  { weight: 6, arbitrary: about("Ready") },
  { weight: 2, arbitrary: about("Lose") },
  { weight: 4, arbitrary: about("Exit") },
  { weight: 4, arbitrary: about("Respawn") },
  { weight: 1, arbitrary: about("GiveUp") },
  { weight: 1, arbitrary: about("Memory") },
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("Pass" as const), ms: fc.integer({ min: 0, max: 400 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      _tag: fc.constant("Resize" as const),
      minimum: fc.nat({ max: 4 }),
      more: fc.nat({ max: 3 })
    })
  },
  { weight: 1, arbitrary: fc.constantFrom<Happening>({ _tag: "Reload" }, { _tag: "Reset" }) }
)

export const anySettings = fc
  .record({
    minimum: fc.nat({ max: 3 }),
    more: fc.nat({ max: 3 }),
    queue: fc.nat({ max: 6 }),
    concurrency: fc.integer({ min: 1, max: 3 }),
    maxJobs: fc.nat({ max: 4 }),
    ttlMs: maybeNever(1000),
    growAfterMs: fc.nat({ max: 100 }),
    idleMs: maybeNever(500),
    cancelMs: fc.integer({ min: 0, max: 200 }),
    drainMs: fc.integer({ min: 0, max: 500 })
  })
  .map(({ more, ...rest }): PoolState.Settings => ({ ...rest, maximum: Math.max(1, rest.minimum + more) }))

/** Where a call is, as the outside knows it. */
type Place = "waiting" | "running" | "over"

/** A pool in a world that does to it what the test says, and sees to it that its rules hold. */
export const world = (initial: PoolState.Settings) => {
  let state = PoolState.make(initial)
  let now = 0
  let lastCall = 0
  const places = new Map<number, Place>()
  const dispatched = new Map<number, number>()
  /** Calls that were given back once. */
  const returned = new Set<number>()
  /** Members that were asked to go: their exits may come. */
  const asking = new Map<number, number>()
  let wakeAt = Infinity

  const check = (condition: boolean, rule: string) => {
    if (!condition) throw new Error(`${rule}\n${JSON.stringify(state, null, 1)}`)
  }

  /** What is decided without looking further is what looking further would come to. */
  const agree = (short: PoolMachine.Decision, long: PoolMachine.Decision) => {
    check(isDeepStrictEqual(short.state, long.state), "the usual decision makes another state")
    check(isDeepStrictEqual(short.actions, long.actions), "the usual decision asks for something else")
    check(short.structural === long.structural, "the usual decision is of another kind")
  }

  /** Where the time is said to be of no use, an earlier one asks for the same. */
  const timeless = (input: PoolMachine.Input, decision: PoolMachine.Decision) => {
    if (PoolMachine.isTimed(state, input)) return
    const { actions, structural, wakeAt } = PoolMachine.decide(state, input, 0)
    check(isDeepStrictEqual(actions, decision.actions), "the time matters for what is asked for")
    check(structural === decision.structural && wakeAt === decision.wakeAt, "the time matters")
  }

  const feed = (input: PoolMachine.Input) => {
    const before = state
    const decision = PoolMachine.decide(state, input, now)
    agree(decision, PoolMachine.decideAtLength(state, input, now))
    timeless(input, decision)
    state = decision.state
    wakeAt = Math.min(wakeAt, decision.wakeAt)
    for (const action of decision.actions) apply(action, before)
    rules(before)
  }

  const apply = (action: PoolMachine.Action, before: PoolState.PoolState) => {
    switch (action._tag) {
      case "Dispatch": {
        check(places.get(action.call) === "waiting", `call ${action.call} is dispatched although it does not wait`)
        const { since } = Fifo.toArray(before.queue).find(({ call }) => call === action.call) ?? { since: now }
        check(returned.has(action.call) || action.waitedMs === now - since, "a call did not wait as long as is said")
        const times = (dispatched.get(action.call) ?? 0) + 1
        dispatched.set(action.call, times)
        check(times === 1 || returned.has(action.call), `call ${action.call} runs twice`)
        places.set(action.call, "running")
        for (const [other, place] of places) {
          check(place !== "waiting" || other > action.call, `call ${action.call} overtakes call ${other}`)
        }
        return
      }
      case "Fail":
        // One that ran out of time has its caller told, while the worker may still be at it.
        check(places.get(action.call) !== "over", `call ${action.call} is told twice how it ended`)
        places.set(action.call, "over")
        return
      case "AskPolicy":
        asking.set(action.member, action.slot)
        return
      case "Boot":
        check(
          action.replaces === null || before.members.some((one) => one.id === action.replaces),
          `member ${action.member} replaces nobody`
        )
        return
      default:
    }
  }

  const rules = (before: PoolState.PoolState) => {
    const { members, queue, settings: current, slots } = state
    const waiting = Fifo.toArray(queue).map((one) => one.call)
    check(waiting.length === queue.size, "the queue's size is wrong")
    check(
      waiting.every((call, at) => at === 0 || call > (waiting[at - 1] ?? 0)),
      "the queue is out of order"
    )
    const live = members.flatMap((one) =>
      CallMap.values(one.running)
        .filter((run) => run.state === "live")
        .map((run) => run.call)
    )
    const known = [...places]
    check(new Set([...waiting, ...live]).size === waiting.length + live.length, "a call is in two places")
    for (const [call, place] of known) {
      check((place === "waiting") === waiting.includes(call), `call ${call} is ${place}, but the pool thinks otherwise`)
      check(place !== "running" || live.includes(call), `call ${call} is lost`)
    }
    for (const member of members) {
      check(member.running.size <= current.concurrency, `member ${member.id} runs too many calls`)
      const earlier = before.members.find((one) => one.id === member.id)
      const added = CallMap.values(member.running).some(
        (run) => earlier === undefined || CallMap.get(earlier.running, run.call) === undefined
      )
      check(!added || member.stage === "ready", `member ${member.id} gets calls although it is ${member.stage}`)
    }
    const free = members.some((one) => one.stage === "ready" && one.running.size < current.concurrency)
    check(queue.size === 0 || !free, "a call waits although a worker is free")
    const occupied = (slot: number) =>
      members.some((one) => one.slot === slot && ["booting", "ready", "lost"].includes(one.stage))
    const alive = slots.some(
      ({ pause, slot }) => occupied(slot) || pause?._tag === "Asked" || pause?._tag === "Backoff"
    )
    check(queue.size === 0 || alive, "calls wait, and no worker is live or scheduled")
    if (state.closing === null) {
      check(slots.length >= current.minimum && slots.length <= current.maximum, "the size is out of bounds")
      check(
        slots.every(({ pause, slot }) => occupied(slot) || pause !== null),
        "a slot is neither served nor scheduled nor given up"
      )
    }
    const replacing = members.filter((one) => one.recycled || (one.replaces !== null && one.stage !== "going"))
    const takingOver = new Set(replacing.map((one) => one.slot))
    check(takingOver.size <= 1, "more than one worker is replaced at a time")
    check(new Set(slots.map(({ slot }) => slot)).size === slots.length, "two slots have one number")
    check(wakeAt <= alarm(state), "no tick was asked for in time")
  }

  const pick = <A>(items: ReadonlyArray<A>, at: number): A | undefined =>
    items.length === 0 ? undefined : items[at % items.length]

  const calls = () =>
    state.members.flatMap((one) => CallMap.values(one.running).map((run) => ({ ...run, member: one.id })))

  const asked = () => state.slots.flatMap(({ pause }) => (pause?._tag === "Asked" ? [pause.member] : []))

  const exit = (member: number) =>
    feed({ _tag: "Exited", member, exit: { code: 1, signal: null }, uptimeMs: 5, reason: "exit code 1" })

  const happen = (one: Happening) => {
    switch (one._tag) {
      case "Submit":
        lastCall += 1
        places.set(lastCall, "waiting")
        return feed({ _tag: "Submitted", call: lastCall, timeoutMs: one.timeoutMs, waitMs: one.waitMs })
      case "End": {
        const run = pick(calls(), one.which)
        if (run === undefined) return
        places.set(run.call, "over")
        return feed({ _tag: "Ended", call: run.call, member: run.member })
      }
      case "Cancel": {
        const open = [...places].filter(([, place]) => place !== "over").map(([call]) => call)
        const call = pick(open, one.which)
        if (call === undefined) return
        places.set(call, "over")
        return feed({ _tag: "Cancelled", call })
      }
      case "Return": {
        const run = pick(calls(), one.which)
        if (run === undefined) return
        const { call } = run
        returned.add(call)
        // Nobody waits for one that was cancelled.
        if (run.state === "live") places.set(call, "waiting")
        return feed({ _tag: "Returned", call })
      }
      case "Ready": {
        const member = pick(
          state.members.filter((all) => all.stage === "booting"),
          one.which
        )
        return member === undefined ? undefined : feed({ _tag: "Ready", member: member.id })
      }
      case "Lose": {
        const member = pick(state.members, one.which)
        return member === undefined ? undefined : feed({ _tag: "Lost", member: member.id })
      }
      case "Exit": {
        const member = pick(state.members, one.which)
        return member === undefined ? undefined : exit(member.id)
      }
      case "Respawn": {
        const member = pick(asked(), one.which)
        return member === undefined ? undefined : feed({ _tag: "RespawnDecided", member, delayMs: one.which % 200 })
      }
      case "GiveUp": {
        const member = pick(asked(), one.which)
        return member === undefined ? undefined : feed({ _tag: "GiveUpDecided", member, reason: "no" })
      }
      case "Memory": {
        const member = pick(state.members, one.which)
        return member === undefined ? undefined : feed({ _tag: "MemoryHigh", member: member.id })
      }
      case "Pass":
        return pass(one.ms)
      case "Resize":
        return feed({ _tag: "ResizeAsked", minimum: one.minimum, maximum: Math.max(1, one.minimum + one.more) })
      case "Reload":
        return feed({ _tag: "ReloadAsked" })
      case "Reset":
        return feed({ _tag: "ResetAsked" })
      case "Shutdown":
        return feed({ _tag: "ShutdownAsked", withinMs: 300 })
    }
  }

  /** Ticks come when they were asked for; a tick leaves nothing due. */
  const pass = (ms: number) => {
    const end = now + ms
    for (let ticks = 0; wakeAt <= end; ticks++) {
      check(ticks < 10_000, "ticks without end")
      now = Math.max(now, wakeAt)
      wakeAt = Infinity
      feed({ _tag: "Tick" })
    }
    now = end
  }

  feed({ _tag: "Tick" })
  return {
    happen,
    pass,
    places,
    state: () => state,
    /** From now on all goes well: what boots gets ready, what runs ends, what is asked is granted. */
    goWell: () => {
      for (let round = 0; round < 200; round++) {
        for (const member of asked()) feed({ _tag: "RespawnDecided", member, delayMs: 0 })
        for (const member of state.members.filter((all) => all.stage === "lost" || all.stage === "going"))
          exit(member.id)
        for (const member of state.members.filter((all) => all.stage === "booting"))
          feed({ _tag: "Ready", member: member.id })
        for (const run of calls()) {
          places.set(run.call, "over")
          feed({ _tag: "Ended", call: run.call, member: run.member })
        }
        pass(20)
      }
    }
  }
}
