/**
 * What a pool decides: by example, and for random sequences of what may happen to it, with every rule
 * checked after each step against what was handed in and what was asked for.
 */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as PoolMachine from "@nerve/core/supervision/PoolMachine"
import * as CallMap from "../../src/supervision/internal/callMap.ts"
import * as Fifo from "../../src/supervision/internal/fifo.ts"

const settings = (over: Partial<PoolMachine.Settings> = {}): PoolMachine.Settings => ({
  minimum: 2,
  maximum: 2,
  queue: 3,
  concurrency: 1,
  maxJobs: 0,
  ttlMs: Infinity,
  growAfterMs: 50,
  idleMs: 1000,
  cancelMs: 100,
  drainMs: 500,
  ...over
})

/** A machine with its clock, what it asked for so far, and shorthands for inputs. */
const drive = (over: Partial<PoolMachine.Settings> = {}) => {
  let machine = PoolMachine.make(settings(over))
  let now = 0
  let calls = 0
  let log: Array<PoolMachine.Action> = []
  const feed = (input: PoolMachine.Input) => {
    const decision = PoolMachine.decide(machine, input, now)
    machine = decision.machine
    log.push(...decision.actions)
    return decision
  }
  const self = {
    feed,
    machine: () => machine,
    now: () => now,
    /** Time passes, with a tick whenever one is due. */
    pass: (ms: number) => {
      const end = now + ms
      for (let at = PoolMachine.alarm(machine); at <= end; at = PoolMachine.alarm(machine)) {
        now = Math.max(now, at)
        feed({ _tag: "Tick" })
      }
      now = end
    },
    submit: (timeoutMs = Infinity, waitMs = Infinity) => {
      calls += 1
      feed({ _tag: "Submitted", call: calls, timeoutMs, waitMs })
      return calls
    },
    ready: (...members: ReadonlyArray<number>) => {
      for (const member of members) feed({ _tag: "Ready", member })
    },
    crash: (member: number) =>
      feed({ _tag: "Exited", member, exit: { code: 1, signal: null }, uptimeMs: 10, reason: "exit code 1" }),
    end: (call: number) => feed({ _tag: "Ended", call }),
    /** What was asked for since the last look, as short texts. */
    asked: () => {
      const seen = log.map(text)
      log = []
      return seen
    },
    running: () => machine.members.map((one) => one.running.size)
  }
  feed({ _tag: "Tick" })
  return self
}

const text = (action: PoolMachine.Action): string => {
  switch (action._tag) {
    case "Boot":
      return `boot ${action.member} in ${action.slot}${action.replaces === null ? "" : ` for ${action.replaces} (${action.why})`}`
    case "Dispatch":
      return `call ${action.call} to ${action.member}`
    case "SendCancel":
      return `cancel ${action.call} in ${action.member}`
    case "Fail":
      return `fail ${action.call} ${action.failure._tag}`
    case "Kill":
      return `kill ${action.member}`
    case "Stop":
      return `stop ${action.member}`
    case "AskPolicy":
      return `ask for ${action.slot}`
    case "ForgetCrashes":
      return `forget ${action.slot}`
    case "GaveUp":
      return `gave up ${action.slot}`
    case "RecycleAbandoned":
      return `keep ${action.slot}`
    case "Resized":
      return `size ${action.size}`
  }
}

/** Two ready workers, 1 and 2. */
const twoReady = (over: Partial<PoolMachine.Settings> = {}) => {
  const pool = drive(over)
  pool.ready(1, 2)
  pool.asked()
  return pool
}

describe("PoolMachine", () => {
  it("boots all slots side by side (P1)", () => {
    expect(drive({ minimum: 3, maximum: 3 }).asked()).toEqual([
      "size 1",
      "size 2",
      "size 3",
      "boot 1 in 0",
      "boot 2 in 1",
      "boot 3 in 2"
    ])
  })

  it("gives work to idle workers first, then to whoever is free first, in the order of the calls (P3)", () => {
    const pool = twoReady()
    for (let i = 0; i < 4; i++) pool.submit()
    expect(pool.asked()).toEqual(["call 1 to 1", "call 2 to 2"])
    pool.end(2)
    pool.end(3)
    expect(pool.asked()).toEqual(["call 3 to 2", "call 4 to 2"])
  })

  it("takes turns among idle workers, and among equally busy ones (P3)", () => {
    const pool = twoReady({ concurrency: 2 })
    const first = pool.submit()
    pool.end(first)
    pool.end(pool.submit())
    for (let i = 0; i < 4; i++) pool.submit()
    expect(pool.asked()).toEqual([
      "call 1 to 1",
      "call 2 to 2",
      "call 3 to 1",
      "call 4 to 2",
      "call 5 to 1",
      "call 6 to 2"
    ])
  })

  it("prefers an idle worker to one that was used longer ago and is at work (P3)", () => {
    const pool = twoReady({ concurrency: 2 })
    pool.submit()
    pool.end(pool.submit())
    pool.asked()
    pool.submit()
    expect(pool.asked()).toEqual(["call 3 to 2"])
  })

  it("turns away who finds the queue full, and nobody else (P2)", () => {
    const pool = twoReady({ queue: 1 })
    for (let i = 0; i < 4; i++) pool.submit()
    expect(pool.asked()).toEqual(["call 1 to 1", "call 2 to 2", "fail 4 QueueFull"])
    pool.end(1)
    expect(pool.asked()).toEqual(["call 3 to 1"])
  })

  it("takes calls without a queue while a worker is free", () => {
    const pool = twoReady({ queue: 0 })
    for (let i = 0; i < 3; i++) pool.submit()
    expect(pool.asked()).toEqual(["call 1 to 1", "call 2 to 2", "fail 3 QueueFull"])
  })

  it("kills and replaces a worker whose only call ran out of time (P4)", () => {
    const pool = twoReady()
    pool.submit(200)
    pool.pass(199)
    expect(pool.asked()).toEqual(["call 1 to 1"])
    pool.pass(1)
    expect(pool.asked()).toEqual(["fail 1 TimedOut", "kill 1", "boot 3 in 0"])
  })

  it("counts a call's time from its dispatch: queue time is not run time", () => {
    const pool = drive()
    pool.submit(100)
    pool.asked()
    pool.pass(5000)
    expect(pool.asked()).toEqual([])
    pool.ready(1)
    pool.pass(99)
    expect(pool.asked()).toEqual(["call 1 to 1"])
    pool.pass(1)
    expect(pool.asked()).toContain("fail 1 TimedOut")
  })

  it("bounds waiting by itself", () => {
    const pool = drive()
    pool.submit(Infinity, 100)
    pool.submit()
    pool.asked()
    pool.pass(100)
    expect(pool.asked()).toEqual(["fail 1 WaitedTooLong"])
    pool.ready(1)
    expect(pool.asked()).toEqual(["call 2 to 1"])
  })

  it("cancels a call without harm to its neighbours when the worker confirms", () => {
    const pool = twoReady({ minimum: 1, maximum: 1, concurrency: 2 })
    pool.submit()
    pool.submit()
    pool.feed({ _tag: "Cancelled", call: 1 })
    pool.end(1)
    pool.pass(10_000)
    expect(pool.asked()).toEqual(["call 1 to 1", "call 2 to 1", "cancel 1 in 1"])
  })

  it("keeps the place of a cancelled call until the worker has confirmed, and kills a lone one that does not", () => {
    const pool = twoReady({ minimum: 1, maximum: 1 })
    pool.submit()
    pool.submit()
    pool.feed({ _tag: "Cancelled", call: 1 })
    expect(pool.asked()).toEqual(["call 1 to 1", "cancel 1 in 1"])
    pool.pass(100)
    expect(pool.asked()).toEqual(["kill 1", "boot 2 in 0"])
  })

  it("lets the neighbours of a call that is not confirmed end, replaces the worker meanwhile, then kills it", () => {
    const pool = drive({ minimum: 1, maximum: 1, concurrency: 2 })
    pool.ready(1)
    pool.submit()
    pool.submit()
    pool.feed({ _tag: "Cancelled", call: 1 })
    pool.asked()
    pool.pass(100)
    expect(pool.asked()).toEqual(["boot 2 in 0"])
    pool.submit()
    pool.ready(2)
    expect(pool.asked()).toEqual(["call 3 to 2"])
    pool.end(2)
    expect(pool.asked()).toEqual(["kill 1"])
  })

  it("gives neighbours of a hanging call no longer than the drain bound", () => {
    const pool = drive({ minimum: 1, maximum: 1, concurrency: 2 })
    pool.ready(1)
    pool.submit()
    pool.submit()
    pool.feed({ _tag: "Cancelled", call: 1 })
    pool.pass(599)
    expect(pool.asked()).not.toContain("kill 1")
    pool.pass(1)
    expect(pool.asked()).toContain("kill 1")
  })

  it("cancels a call that ran out of time beside others, and lets them be", () => {
    const pool = drive({ minimum: 1, maximum: 1, concurrency: 2 })
    pool.ready(1)
    pool.submit(100)
    pool.submit(1000)
    pool.asked()
    pool.pass(100)
    expect(pool.asked()).toEqual(["fail 1 TimedOut", "cancel 1 in 1"])
    pool.end(1)
    pool.pass(899)
    expect(pool.asked()).toEqual([])
  })

  it("asks the policy after a crash, waits as told, boots again; who waits goes on", () => {
    const pool = drive({ minimum: 1, maximum: 1 })
    pool.ready(1)
    pool.submit()
    pool.submit()
    pool.end(1)
    pool.end(2)
    pool.asked()
    pool.crash(1)
    pool.submit()
    expect(pool.asked()).toEqual(["ask for 0"])
    pool.feed({ _tag: "RespawnDecided", member: 1, delayMs: 250 })
    pool.pass(249)
    expect(pool.asked()).toEqual([])
    pool.pass(1)
    expect(pool.asked()).toEqual(["boot 2 in 0"])
    pool.ready(2)
    expect(pool.asked()).toEqual(["call 3 to 2"])
  })

  it("fails what waits, and what comes, when every slot was given up; a reset tries again", () => {
    const pool = drive()
    pool.submit()
    pool.crash(1)
    pool.feed({ _tag: "GiveUpDecided", member: 1, reason: "no" })
    pool.asked()
    pool.crash(2)
    pool.feed({ _tag: "GiveUpDecided", member: 2, reason: "no" })
    expect(pool.asked()).toEqual(["ask for 1", "gave up 1", "fail 1 GivenUp"])
    pool.submit()
    expect(pool.asked()).toEqual(["fail 2 GivenUp"])
    pool.feed({ _tag: "ResetAsked" })
    expect(pool.asked()).toEqual(["forget 0", "forget 1", "boot 3 in 0", "boot 4 in 1"])
  })

  it("replaces after the last call of many, by one that is ready before the old one goes (P5)", () => {
    const pool = twoReady({ maxJobs: 2 })
    pool.submit()
    pool.submit()
    pool.end(1)
    pool.submit()
    pool.asked()
    pool.end(3)
    expect(pool.asked()).toEqual(["boot 3 in 0 for 1 (jobs)"])
    pool.submit()
    expect(pool.asked()).toEqual(["call 4 to 1"])
    pool.ready(3)
    expect(pool.asked()).toEqual([])
    pool.end(4)
    expect(pool.asked()).toEqual(["stop 1"])
  })

  it("never replaces by number of calls when that is 0", () => {
    const pool = twoReady({ maxJobs: 0 })
    for (let i = 0; i < 100; i++) pool.end(pool.submit())
    expect(pool.asked().filter((one) => one.startsWith("boot"))).toEqual([])
  })

  it("replaces idle workers by age, one after the other (P5)", () => {
    const pool = twoReady({ ttlMs: 1000 })
    pool.pass(1000)
    expect(pool.asked()).toEqual(["boot 3 in 0 for 1 (age)"])
    pool.ready(3)
    expect(pool.asked()).toEqual(["stop 1"])
    pool.crash(1)
    expect(pool.asked()).toEqual(["boot 4 in 1 for 2 (age)"])
  })

  it("keeps the old worker when its replacement will not boot, and leaves it be until a reload", () => {
    const pool = drive({ minimum: 1, maximum: 1, ttlMs: 1000 })
    pool.ready(1)
    pool.pass(1000)
    pool.crash(2)
    pool.feed({ _tag: "RespawnDecided", member: 2, delayMs: 0 })
    pool.asked()
    pool.crash(3)
    pool.feed({ _tag: "GiveUpDecided", member: 3, reason: "no" })
    expect(pool.asked()).toEqual(["ask for 0", "keep 0"])
    pool.pass(100_000)
    pool.submit()
    expect(pool.asked()).toEqual(["call 1 to 1"])
    pool.feed({ _tag: "ReloadAsked" })
    expect(pool.asked()).toEqual(["boot 4 in 0 for 1 (reload)"])
  })

  it("lets a replacement take over at once when the old one crashes meanwhile", () => {
    const pool = drive({ minimum: 1, maximum: 1, ttlMs: 1000 })
    pool.ready(1)
    pool.pass(1000)
    pool.asked()
    pool.crash(1)
    pool.submit()
    pool.ready(2)
    expect(pool.asked()).toEqual(["call 1 to 2"])
  })

  it("reloads one worker after the other, without a moment in which fewer serve (P6)", () => {
    const pool = twoReady()
    pool.feed({ _tag: "ReloadAsked" })
    expect(pool.asked()).toEqual(["boot 3 in 0 for 1 (reload)"])
    pool.ready(3)
    pool.crash(1)
    expect(PoolMachine.isReloaded(pool.machine())).toBe(false)
    expect(pool.asked()).toEqual(["stop 1", "boot 4 in 1 for 2 (reload)"])
    pool.ready(4)
    pool.crash(2)
    expect(PoolMachine.isReloaded(pool.machine())).toBe(true)
  })

  it("grows when calls have waited, shrinks when workers have been idle, the last slots first", () => {
    const pool = drive({ minimum: 1, maximum: 3, queue: 10 })
    pool.ready(1)
    for (let i = 0; i < 5; i++) pool.submit()
    pool.asked()
    pool.pass(49)
    expect(pool.asked()).toEqual([])
    pool.pass(1)
    expect(pool.asked()).toEqual(["size 2", "boot 2 in 1", "size 3", "boot 3 in 2"])
    pool.ready(2, 3)
    for (let call = 1; call <= 5; call++) pool.end(call)
    pool.asked()
    pool.pass(500)
    pool.end(pool.submit())
    pool.pass(500)
    expect(pool.asked()).toEqual(["call 6 to 1", "size 2", "size 1", "stop 2", "stop 3"])
    pool.pass(100_000)
    expect(pool.asked()).toEqual([])
  })

  it("starts its first worker at the first call when none is the minimum", () => {
    const pool = drive({ minimum: 0, maximum: 2 })
    expect(pool.asked()).toEqual([])
    pool.submit()
    expect(pool.asked()).toEqual(["size 1", "boot 1 in 0"])
  })

  it("adds no worker for calls that those on their way will take", () => {
    const pool = drive({ minimum: 0, maximum: 3 })
    pool.submit()
    pool.asked()
    pool.pass(10_000)
    expect(pool.asked()).toEqual([])
    pool.submit()
    expect(pool.asked()).toEqual(["size 2", "boot 2 in 1"])
  })

  it("removes nobody who was idle for a shorter time than told", () => {
    const pool = drive({ minimum: 1, maximum: 2 })
    pool.ready(1)
    pool.submit()
    pool.submit()
    pool.pass(50)
    pool.ready(2)
    pool.end(1)
    pool.pass(500)
    pool.end(2)
    pool.asked()
    pool.pass(500)
    expect(pool.asked()).toEqual(["size 1", "stop 1"])
  })

  it("grows also when no call may wait", () => {
    const pool = drive({ minimum: 0, maximum: 2, queue: 0 })
    pool.submit()
    pool.submit()
    expect(pool.asked()).toEqual(["size 1", "boot 1 in 0", "fail 2 QueueFull"])
    pool.ready(1)
    pool.submit()
    pool.submit()
    pool.pass(50)
    expect(pool.asked()).toEqual(["call 1 to 1", "fail 4 QueueFull", "size 2", "boot 2 in 1"])
  })

  it("lets surplus workers end their calls when it is made smaller", () => {
    const pool = twoReady()
    pool.submit()
    pool.submit()
    pool.asked()
    pool.feed({ _tag: "ResizeAsked", minimum: 1, maximum: 1 })
    expect(pool.asked()).toEqual(["size 1"])
    pool.end(2)
    expect(pool.asked()).toEqual(["stop 2"])
  })

  it("ends its calls when it is shut down, takes no more, and cuts off at the bound (P6)", () => {
    const pool = twoReady()
    for (let i = 0; i < 3; i++) pool.submit()
    pool.asked()
    pool.feed({ _tag: "ShutdownAsked", withinMs: 1000 })
    pool.submit()
    pool.end(1)
    expect(pool.asked()).toEqual(["fail 4 Stopped", "call 3 to 1"])
    pool.end(2)
    expect(pool.asked()).toEqual(["stop 2"])
    pool.pass(1000)
    expect(pool.asked()).toEqual(["stop 1"])
    expect(PoolMachine.isClosed(pool.machine())).toBe(false)
    pool.crash(1)
    pool.crash(2)
    expect(PoolMachine.isClosed(pool.machine())).toBe(true)
  })

  it("is shut down by the nearer of two bounds", () => {
    for (const [first, second] of [
      [1000, 200],
      [200, 1000]
    ] as const) {
      const pool = twoReady()
      pool.submit()
      pool.feed({ _tag: "ShutdownAsked", withinMs: first })
      pool.feed({ _tag: "ShutdownAsked", withinMs: second })
      pool.asked()
      pool.pass(199)
      expect(pool.asked()).toEqual([])
      pool.pass(1)
      expect(pool.asked()).toEqual(["stop 1"])
    }
  })

  it("stops trying to boot when it is shut down (P1)", () => {
    const pool = drive({ minimum: 1, maximum: 1 })
    pool.submit()
    pool.crash(1)
    pool.feed({ _tag: "RespawnDecided", member: 1, delayMs: 100 })
    pool.asked()
    pool.feed({ _tag: "ShutdownAsked", withinMs: 60_000 })
    expect(pool.asked()).toEqual(["fail 1 Stopped"])
    pool.pass(1000)
    expect(pool.asked()).toEqual([])
    expect(PoolMachine.isClosed(pool.machine())).toBe(true)
  })

  it("gives a call back its place when it never left for its worker", () => {
    const pool = twoReady()
    for (let i = 0; i < 4; i++) pool.submit()
    pool.asked()
    pool.feed({ _tag: "Lost", member: 1 })
    pool.feed({ _tag: "Returned", call: 1 })
    pool.end(2)
    expect(pool.asked()).toEqual(["call 1 to 2"])
  })

  it("blames nobody for the time in which this process stood still", () => {
    const pool = twoReady()
    pool.submit(100)
    pool.asked()
    pool.feed({ _tag: "Stalled", forMs: 5000 })
    pool.pass(5099)
    expect(pool.asked()).toEqual([])
    pool.pass(1)
    expect(pool.asked()).toContain("fail 1 TimedOut")
  })

  it("blames no call for waiting through such a time, either", () => {
    const pool = drive()
    pool.submit(Infinity, 100)
    pool.asked()
    pool.feed({ _tag: "Stalled", forMs: 5000 })
    pool.pass(5099)
    expect(pool.asked()).toEqual([])
    pool.pass(1)
    expect(pool.asked()).toEqual(["fail 1 WaitedTooLong"])
  })

  it("leaves the end of a worker that is lost to its exit, and the rest to the policy", () => {
    const pool = twoReady()
    pool.submit(100)
    pool.feed({ _tag: "Lost", member: 1 })
    pool.asked()
    pool.pass(100)
    expect(pool.asked()).toEqual(["fail 1 TimedOut"])
    pool.crash(1)
    expect(pool.asked()).toEqual(["ask for 0"])
  })
})

// --- whatever may happen -----------------------------------------------------------------------------

type Happening =
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

const happening: fc.Arbitrary<Happening> = fc.oneof(
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

const anySettings = fc
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
  .map(({ more, ...rest }): PoolMachine.Settings => ({ ...rest, maximum: Math.max(1, rest.minimum + more) }))

/** Where a call is, as the outside knows it. */
type Place = "waiting" | "running" | "over"

/** A pool in a world that does to it what the test says, and sees to it that its rules hold. */
const world = (initial: PoolMachine.Settings) => {
  let machine = PoolMachine.make(initial)
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
    if (!condition) throw new Error(`${rule}\n${JSON.stringify(machine, null, 1)}`)
  }

  const feed = (input: PoolMachine.Input) => {
    const before = machine
    const decision = PoolMachine.decide(machine, input, now)
    machine = decision.machine
    wakeAt = Math.min(wakeAt, decision.wakeAt)
    for (const action of decision.actions) apply(action, before)
    rules(before)
  }

  const apply = (action: PoolMachine.Action, before: PoolMachine.Machine) => {
    switch (action._tag) {
      case "Dispatch": {
        check(places.get(action.call) === "waiting", `call ${action.call} is dispatched although it does not wait`)
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

  const rules = (before: PoolMachine.Machine) => {
    const { members, queue, settings: current, slots } = machine
    const waiting = Fifo.toArray(queue).map((one) => one.call)
    check(waiting.length === queue.size, "the queue's size is wrong")
    check(
      waiting.every((call, at) => at === 0 || call > (waiting[at - 1] ?? 0)),
      "the queue is out of order"
    )
    const live = members.flatMap((one) =>
      CallMap.values(one.running)
        .filter((run) => run.state === "live")
        .map((run) => run.waiting.call)
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
        (run) => earlier === undefined || CallMap.get(earlier.running, run.waiting.call) === undefined
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
    if (machine.closing === null) {
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
    check(wakeAt <= PoolMachine.alarm(machine), "no tick was asked for in time")
  }

  const pick = <A>(items: ReadonlyArray<A>, at: number): A | undefined =>
    items.length === 0 ? undefined : items[at % items.length]

  const calls = () => machine.members.flatMap((one) => CallMap.values(one.running))

  const asked = () => machine.slots.flatMap(({ pause }) => (pause?._tag === "Asked" ? [pause.member] : []))

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
        places.set(run.waiting.call, "over")
        return feed({ _tag: "Ended", call: run.waiting.call })
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
        const { call } = run.waiting
        returned.add(call)
        // Nobody waits for one that was cancelled.
        if (run.state === "live") places.set(call, "waiting")
        return feed({ _tag: "Returned", call })
      }
      case "Ready": {
        const member = pick(
          machine.members.filter((all) => all.stage === "booting"),
          one.which
        )
        return member === undefined ? undefined : feed({ _tag: "Ready", member: member.id })
      }
      case "Lose": {
        const member = pick(machine.members, one.which)
        return member === undefined ? undefined : feed({ _tag: "Lost", member: member.id })
      }
      case "Exit": {
        const member = pick(machine.members, one.which)
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
        const member = pick(machine.members, one.which)
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
    machine: () => machine,
    /** From now on all goes well: what boots gets ready, what runs ends, what is asked is granted. */
    goWell: () => {
      for (let round = 0; round < 200; round++) {
        for (const member of asked()) feed({ _tag: "RespawnDecided", member, delayMs: 0 })
        for (const member of machine.members.filter((all) => all.stage === "lost" || all.stage === "going"))
          exit(member.id)
        for (const member of machine.members.filter((all) => all.stage === "booting"))
          feed({ _tag: "Ready", member: member.id })
        for (const run of calls()) {
          places.set(run.waiting.call, "over")
          feed({ _tag: "Ended", call: run.waiting.call })
        }
        pass(20)
      }
    }
  }
}

describe("PoolMachine, whatever happens", () => {
  it("keeps its rules, and answers every call once things go well", () => {
    fc.assert(
      fc.property(anySettings, fc.array(happening, { maxLength: 120, size: "max" }), (initial, happenings) => {
        const pool = world({ ...initial, ttlMs: Infinity })
        for (const one of happenings) pool.happen(one)
        pool.goWell()
        expect([...pool.places].filter(([, place]) => place !== "over")).toEqual([])
        expect(pool.machine().queue.size).toBe(0)
        expect(pool.machine().members.filter((one) => one.stage !== "ready" && one.stage !== "booting")).toEqual([])
      }),
      { numRuns: 2000 }
    )
  })

  it("keeps its rules while workers age and the pool is shut down in the midst, and ends", () => {
    fc.assert(
      fc.property(
        anySettings,
        fc.array(happening, { maxLength: 60, size: "max" }),
        fc.array(happening, { maxLength: 20, size: "max" }),
        (initial, before, after) => {
          const pool = world(initial)
          for (const one of before) pool.happen(one)
          pool.happen({ _tag: "Shutdown" })
          for (const one of after) pool.happen(one)
          pool.goWell()
          expect([...pool.places].filter(([, place]) => place !== "over")).toEqual([])
          expect(PoolMachine.isClosed(pool.machine())).toBe(true)
        }
      ),
      { numRuns: 2000 }
    )
  })
})
