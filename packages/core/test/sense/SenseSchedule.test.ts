/**
 * The schedule of one sense, driven by hand and by random histories. Times are milliseconds.
 */
import { assert, describe, it } from "@effect/vitest"
import { SenseName } from "@nerve/core/domain/Ids"
import * as SenseSchedule from "@nerve/core/sense/SenseSchedule"
import * as Timing from "@nerve/core/sense/Timing"
import fc from "fast-check"
import { readFileSync } from "node:fs"

const name = SenseName.make("cpu")
const other = SenseName.make("disk")

type Options = Partial<Omit<SenseSchedule.Settings, "timing">> & { readonly intervalMs?: number | null }

const config = ({ intervalMs = null, ...options }: Options = {}): SenseSchedule.Settings => ({
  name,
  timing: intervalMs === null ? null : Timing.interval(intervalMs),
  catchUp: "once",
  throttleMs: null,
  boundMs: 35_000,
  ...options
})

const everyMs = ({ timing }: SenseSchedule.Settings): number | null =>
  timing?._tag === "Interval" ? timing.everyMs : null

/** Drives a schedule as the pool does: a Tick exactly when it asks for one, ends as told. */
class Driver {
  state: SenseSchedule.State
  now: number
  wakeAt: number | null = null
  readonly settings: SenseSchedule.Settings
  readonly first: number | null
  readonly starts: Array<{ readonly at: number; readonly cause: SenseSchedule.Cause }> = []
  readonly dues: Array<number> = []
  readonly drops: Array<Extract<SenseSchedule.Action, { readonly _tag: "Dropped" }>> = []
  readonly overruns: Array<number> = []

  constructor(settings: SenseSchedule.Settings, now = 0) {
    this.settings = settings
    this.now = now
    this.state = SenseSchedule.make(settings, now)
    this.first = SenseSchedule.nextTickAt(this.state)
  }

  feed(input: SenseSchedule.Input): ReadonlyArray<SenseSchedule.Action> {
    const decision = SenseSchedule.decide(this.state, input, this.now)
    this.state = decision.state
    this.wakeAt = decision.wakeAt
    for (const action of decision.actions) {
      switch (action._tag) {
        case "Run":
          this.starts.push({ at: this.now, cause: action.cause })
          this.dues.push(action.dueAt)
          break
        case "Overrun":
          this.overruns.push(this.now)
          break
        case "Dropped":
          this.drops.push(action)
      }
    }
    return decision.actions
  }

  trigger(cause: SenseSchedule.Cause = { _tag: "Manual" }) {
    return this.feed({ _tag: "Trigger", cause })
  }

  /** Lets time pass, waking at each time that was asked for. */
  advanceTo(end: number, onStep: () => void = () => {}) {
    while (this.wakeAt !== null && this.wakeAt <= end) {
      const before = this.wakeAt
      this.now = Math.max(this.now, this.wakeAt)
      this.feed({ _tag: "Tick" })
      onStep()
      if (this.wakeAt === before) throw new Error(`asks for the same time again: ${before}`)
    }
    this.now = end
  }

  get startTimes() {
    return this.starts.map((start) => start.at)
  }
}

const firstOf = (settings: SenseSchedule.Settings, now: number) =>
  SenseSchedule.nextTickAt(SenseSchedule.make(settings, now))

const ready = (settings: SenseSchedule.Settings): Driver => {
  const driver = new Driver(settings)
  driver.feed({ _tag: "GroupReady" })
  return driver
}

const firstTick = (driver: Driver): number => {
  assert.isNotNull(driver.first)
  return driver.first ?? 0
}

describe("interval", () => {
  it("computes within a second of the start, then on a fixed grid from start to start", () => {
    const driver = ready(config({ intervalMs: 10_000 }))
    const first = firstTick(driver)
    assert.isAtLeast(first, 0)
    assert.isBelow(first, Timing.spreadMs(2_000))
    for (let at = 0; at < 60_000; at += 500) {
      driver.advanceTo(at)
      // Each compute ends up to half a second after its start: that shifts nothing.
      driver.feed({ _tag: "ComputeEnded" })
    }
    assert.deepStrictEqual(
      driver.startTimes,
      [0, 1, 2, 3, 4, 5].map((n) => first + n * 10_000)
    )
    assert.isTrue(driver.starts.every((start) => start.cause._tag === "Interval"))
  })

  it("spreads senses of one interval by name, the same way each time", () => {
    const firsts = Array.from({ length: 100 }, (_, index) => {
      const settings = config({ name: SenseName.make(`sense-${index}`), intervalMs: 30_000 })
      assert.strictEqual(firstOf(settings, 5), firstOf(settings, 5))
      return firstOf(settings, 0)
    })
    assert.isAbove(new Set(firsts).size, 50)
  })

  it("keeps the first tick of a short interval within that interval", () => {
    const driver = new Driver(config({ intervalMs: 20 }))
    assert.isBelow(firstTick(driver), 20)
  })

  it("without an interval only triggers start a compute", () => {
    const driver = ready(config())
    assert.isNull(driver.wakeAt)
    driver.advanceTo(86_400_000)
    driver.feed({ _tag: "Tick" })
    assert.deepStrictEqual(driver.startTimes, [])
    driver.trigger()
    assert.deepStrictEqual(driver.starts, [{ at: 86_400_000, cause: { _tag: "Manual" } }])
  })

  it("collapses the ticks missed during a long compute into one, and is back on the grid after it", () => {
    const driver = ready(config({ intervalMs: 10_000 }))
    const first = firstTick(driver)
    driver.advanceTo(first + 34_000)
    driver.feed({ _tag: "ComputeEnded" })
    assert.deepStrictEqual(driver.startTimes, [first, first + 34_000])
    driver.advanceTo(first + 35_000)
    driver.feed({ _tag: "ComputeEnded" })
    driver.advanceTo(first + 45_000)
    assert.deepStrictEqual(driver.startTimes, [first, first + 34_000, first + 40_000])
  })

  it("a tick that comes hours late counts once and shifts nothing", () => {
    const driver = ready(config({ intervalMs: 10_000 }))
    const first = firstTick(driver)
    driver.now = first + 3_600_001
    driver.feed({ _tag: "Tick" })
    driver.feed({ _tag: "ComputeEnded" })
    assert.deepStrictEqual(driver.startTimes, [first + 3_600_001])
    assert.strictEqual(driver.wakeAt, first + 3_610_000)
  })

  it("a tick that comes early changes nothing", () => {
    const driver = ready(config({ intervalMs: 10_000 }))
    driver.now = firstTick(driver) - 0.4
    driver.feed({ _tag: "Tick" })
    assert.deepStrictEqual(driver.startTimes, [])
    assert.strictEqual(driver.wakeAt, driver.first)
  })

  it("a changed interval starts a new grid; an unchanged one keeps its own", () => {
    const driver = ready(config({ intervalMs: 10_000 }))
    const first = firstTick(driver)
    driver.advanceTo(first + 2_000)
    driver.feed({ _tag: "ComputeEnded" })
    driver.feed({ _tag: "Reconfigured", settings: config({ intervalMs: 10_000, throttleMs: 1 }) })
    assert.strictEqual(driver.wakeAt, first + 10_000)
    driver.feed({ _tag: "Reconfigured", settings: config({ intervalMs: 60_000 }) })
    assert.isNotNull(driver.wakeAt)
    assert.isAtLeast(driver.wakeAt ?? 0, first + 2_000)
    assert.isBelow(driver.wakeAt ?? 0, first + 2_000 + Timing.spreadMs(60_000))
    driver.feed({ _tag: "Reconfigured", settings: config() })
    assert.isNull(driver.wakeAt)
  })
})

describe("triggers", () => {
  it("during a compute collapse into one that follows it, with the cause of the first", () => {
    const driver = ready(config())
    driver.trigger()
    driver.now = 10
    driver.trigger({ _tag: "On", sense: other })
    driver.trigger()
    driver.trigger()
    assert.lengthOf(driver.starts, 1)
    driver.now = 50
    driver.feed({ _tag: "ComputeEnded" })
    assert.deepStrictEqual(driver.starts[1], { at: 50, cause: { _tag: "On", sense: other } })
    driver.feed({ _tag: "ComputeEnded" })
    assert.lengthOf(driver.starts, 2)
  })

  it("within the throttle's time are deferred to its end, all as one", () => {
    const driver = ready(config({ throttleMs: 60_000 }))
    driver.trigger()
    driver.now = 100
    driver.feed({ _tag: "ComputeEnded" })
    for (const at of [1_000, 30_000, 59_999]) {
      driver.advanceTo(at)
      driver.trigger()
    }
    assert.deepStrictEqual(driver.startTimes, [0])
    assert.strictEqual(driver.wakeAt, 60_000)
    driver.advanceTo(300_000)
    driver.feed({ _tag: "ComputeEnded" })
    assert.deepStrictEqual(driver.startTimes, [0, 60_000])
  })

  it("before the worker is ready wait as one", () => {
    const driver = new Driver(config())
    driver.trigger()
    driver.trigger()
    driver.now = 5_000
    assert.isNull(driver.wakeAt)
    driver.feed({ _tag: "GroupReady" })
    driver.feed({ _tag: "ComputeEnded" })
    assert.deepStrictEqual(driver.startTimes, [5_000])
  })

  it("while what follows from an answer is still being done, wait", () => {
    const driver = ready(config())
    driver.trigger()
    driver.feed({ _tag: "ComputeAnswered" })
    driver.trigger()
    assert.lengthOf(driver.starts, 1)
    driver.feed({ _tag: "ComputeEnded" })
    assert.lengthOf(driver.starts, 2)
  })
})

describe("bound", () => {
  it("says once that a compute has overrun its timeout and grace period", () => {
    const driver = ready(config({ boundMs: 35_000 }))
    driver.trigger()
    driver.advanceTo(200_000)
    assert.deepStrictEqual(driver.overruns, [35_000])
  })

  it("is off once the compute was answered", () => {
    const driver = ready(config({ boundMs: 35_000 }))
    driver.trigger()
    driver.feed({ _tag: "ComputeAnswered" })
    driver.advanceTo(200_000)
    driver.feed({ _tag: "Tick" })
    assert.deepStrictEqual(driver.overruns, [])
  })

  it("does not run while there is no worker, and starts anew with the next one", () => {
    const driver = ready(config({ boundMs: 35_000 }))
    driver.trigger()
    driver.now = 30_000
    driver.feed({ _tag: "GroupGone" })
    driver.advanceTo(100_000)
    driver.feed({ _tag: "Tick" })
    assert.deepStrictEqual(driver.overruns, [])
    driver.feed({ _tag: "GroupReady" })
    driver.advanceTo(300_000)
    assert.deepStrictEqual(driver.overruns, [135_000])
  })
})

describe("nextStartAt", () => {
  it("is the next tick, or the throttle's end when that is later, or unknown", () => {
    const driver = ready(config({ intervalMs: 10_000, throttleMs: 25_000 }))
    const first = firstTick(driver)
    assert.strictEqual(SenseSchedule.nextStartAt(driver.state), first)
    driver.advanceTo(first)
    driver.feed({ _tag: "ComputeEnded" })
    assert.strictEqual(SenseSchedule.nextStartAt(driver.state), first + 25_000)
    driver.feed({ _tag: "GroupGone" })
    assert.isNull(SenseSchedule.nextStartAt(driver.state))
    assert.isNull(SenseSchedule.nextStartAt(ready(config()).state))
  })
})

describe("what comes to no compute of its own", () => {
  it("is told once, with its fate: collapsed into one that waits, or throttled", () => {
    const driver = ready(config({ throttleMs: 60_000 }))
    driver.trigger()
    driver.now = 10
    driver.trigger()
    driver.now = 20
    driver.trigger({ _tag: "On", sense: other })
    assert.deepStrictEqual(driver.drops, [
      { _tag: "Dropped", fate: "collapsed", cause: { _tag: "On", sense: other }, dueAt: 20, count: 1 }
    ])
    driver.feed({ _tag: "ComputeEnded" })
    driver.now = 30
    driver.trigger()
    assert.deepStrictEqual(driver.drops[1], {
      _tag: "Dropped",
      fate: "throttled",
      cause: { _tag: "Manual" },
      dueAt: 30,
      count: 1
    })
    driver.advanceTo(60_000)
    assert.deepStrictEqual(driver.dues, [0, 10])
  })

  it("ticks missed in one stretch are told as one, with their number", () => {
    const driver = ready(config({ intervalMs: 10_000 }))
    const first = firstTick(driver)
    driver.advanceTo(first)
    driver.feed({ _tag: "ComputeEnded" })
    driver.now = first + 8 * 3_600_000 + 1
    driver.feed({ _tag: "Tick" })
    assert.deepStrictEqual(driver.dues, [first, first + 10_000])
    assert.deepStrictEqual(driver.drops, [
      { _tag: "Dropped", fate: "collapsed", cause: { _tag: "Interval" }, dueAt: first + 20_000, count: 2_879 }
    ])
  })
})

describe("catch_up: skip", () => {
  const skipping = () => ready(config({ intervalMs: 10_000, catchUp: "skip" }))

  it("leaves out what passed while the machine slept, and goes on with the next tick", () => {
    const driver = skipping()
    const first = firstTick(driver)
    driver.advanceTo(first)
    driver.feed({ _tag: "ComputeEnded" })
    driver.now = first + 3_605_000
    driver.feed({ _tag: "Tick" })
    assert.deepStrictEqual(driver.startTimes, [first])
    assert.strictEqual(
      driver.drops.reduce((sum, drop) => sum + drop.count, 0),
      360
    )
    assert.isTrue(driver.drops.every((drop) => drop.fate === "missed"))
    driver.advanceTo(first + 3_610_000)
    assert.deepStrictEqual(driver.startTimes, [first, first + 3_610_000])
  })

  it("starts a tick that is a little late, as every busy machine's are", () => {
    const driver = skipping()
    const first = firstTick(driver)
    driver.now = first + SenseSchedule.LATE_MS
    driver.feed({ _tag: "Tick" })
    assert.deepStrictEqual(driver.startTimes, [driver.now])
  })

  it("leaves out a tick that falls into a long compute, but not a trigger", () => {
    const driver = skipping()
    const first = firstTick(driver)
    driver.advanceTo(first)
    driver.now = first + 15_000
    driver.feed({ _tag: "ComputeEnded" })
    assert.deepStrictEqual(driver.startTimes, [first])
    driver.advanceTo(first + 20_000)
    driver.now = first + 32_000
    driver.trigger()
    driver.now = first + 33_000
    driver.feed({ _tag: "ComputeEnded" })
    assert.deepStrictEqual(driver.startTimes, [first, first + 20_000, first + 33_000])
    assert.strictEqual(driver.starts[2]?.cause._tag, "Manual")
  })
})

describe("catch_up: all", () => {
  const all = (options: Options = {}) => ready(config({ intervalMs: 10_000, catchUp: "all", ...options }))
  const endUntilIdle = (driver: Driver) => {
    while (SenseSchedule.isRunning(driver.state)) driver.feed({ _tag: "ComputeEnded" })
  }

  it("makes up for each tick that passed, one after the other, the oldest first", () => {
    const driver = all()
    const first = firstTick(driver)
    driver.now = first + 45_000
    driver.feed({ _tag: "Tick" })
    endUntilIdle(driver)
    assert.deepStrictEqual(
      driver.dues,
      [0, 1, 2, 3, 4].map((nth) => first + nth * 10_000)
    )
    assert.deepStrictEqual(driver.drops, [])
    driver.advanceTo(first + 50_000)
    assert.strictEqual(driver.dues.at(-1), first + 50_000)
  })

  it("of more than a hundred that wait, the oldest collapse", () => {
    const driver = all()
    const first = firstTick(driver)
    driver.now = first + 1_000 * 10_000
    driver.feed({ _tag: "Tick" })
    endUntilIdle(driver)
    assert.isAtMost(driver.starts.length, SenseSchedule.MAX_BACKLOG + 1)
    assert.strictEqual(driver.dues.at(-1), driver.now)
    assert.strictEqual(driver.starts.length + driver.drops.reduce((sum, drop) => sum + drop.count, 0), 1_001)
  })

  it("keeps to the throttle while it catches up", () => {
    const driver = all({ throttleMs: 3_000 })
    driver.now = firstTick(driver) + 20_000
    driver.feed({ _tag: "Tick" })
    endUntilIdle(driver)
    driver.advanceTo(driver.now + 9_000, () => endUntilIdle(driver))
    const gaps = driver.startTimes.slice(1).map((at, index) => at - (driver.startTimes[index] ?? 0))
    assert.isAtLeast(gaps.length, 2)
    assert.isTrue(gaps.every((gap) => gap >= 3_000))
  })
})

describe("the timeline of docs/senses.md", () => {
  const chapter = readFileSync(new URL("../../../../docs/senses.md", import.meta.url), "utf8")

  it.each(["once", "skip", "all"] as const)("of a machine that slept from 15 to 45, with catch_up: %s", (catchUp) => {
    const driver = ready(config({ intervalMs: 10_000, catchUp }))
    const zero = firstTick(driver)
    const columns = Array.from({ length: 64 }, () => " ")
    let shown = 0
    for (let second = 0; second < 64; second++) {
      if (second > 15 && second < 45) continue
      driver.now = zero + second * 1_000
      // Each compute takes a second.
      if (SenseSchedule.isRunning(driver.state)) driver.feed({ _tag: "ComputeEnded" })
      else driver.feed({ _tag: "Tick" })
      if (driver.starts.length > shown) columns[second] = String((shown = driver.starts.length))
    }
    assert.include(chapter, `\n${`${catchUp.padEnd(12)}${columns.join("")}`.trimEnd()}\n`)
  })
})

describe("cron", () => {
  const at = (text: string) => Date.parse(text)
  const cron = (expression: string, timeZone = "UTC", options: Options = {}): SenseSchedule.Settings => ({
    ...config(options),
    timing: Timing.ofConfig({ intervalMs: null, cron: { expression, timeZone } })
  })

  /** A schedule on a clock that began at `wall`. */
  const begun = (settings: SenseSchedule.Settings, wall: string) => {
    const driver = new Driver(settings)
    driver.state = SenseSchedule.make(settings, 0, at(wall))
    driver.feed({ _tag: "GroupReady" })
    return driver
  }

  it("computes at its times, to the second, with its own cause", () => {
    const driver = begun(cron("30 3 * * 1-5"), "2026-03-06T03:00:00Z")
    driver.advanceTo(4 * 86_400_000, () => driver.feed({ _tag: "ComputeEnded" }))
    assert.deepStrictEqual(
      driver.startTimes.map((time) => new Date(at("2026-03-06T03:00:00Z") + time).toISOString()),
      ["2026-03-06T03:30:00.000Z", "2026-03-09T03:30:00.000Z"]
    )
    assert.isTrue(driver.starts.every((start) => start.cause._tag === "Cron"))
  })

  it("what passed while the machine slept becomes one compute, at once", () => {
    const driver = begun(cron("0 * * * *"), "2026-03-06T03:30:00Z")
    driver.now = 8 * 3_600_000
    driver.feed({ _tag: "Tick" })
    assert.deepStrictEqual(driver.startTimes, [8 * 3_600_000])
    assert.deepStrictEqual(driver.dues, [1_800_000])
    assert.strictEqual(driver.drops[0]?.count, 7)
    driver.feed({ _tag: "ComputeEnded" })
    assert.strictEqual(driver.wakeAt, 8 * 3_600_000 + 1_800_000)
  })

  it("follows the system's time when that is set", () => {
    const driver = begun(cron("0 * * * *"), "2026-03-06T03:30:00Z")
    assert.strictEqual(driver.wakeAt, 1_800_000)
    // Ten minutes on: the tick comes ten minutes earlier by the clock that is used here.
    driver.feed({ _tag: "ClockSet", wallOffset: at("2026-03-06T03:40:00Z") })
    assert.strictEqual(driver.wakeAt, 1_200_000)
    driver.advanceTo(1_200_000)
    driver.feed({ _tag: "ComputeEnded" })
    // Back by ten minutes: the hour that comes again has been computed already.
    driver.feed({ _tag: "ClockSet", wallOffset: at("2026-03-06T03:30:00Z") })
    driver.advanceTo(1_200_000 + 3_600_000 + 599_999)
    assert.deepStrictEqual(driver.startTimes, [1_200_000])
    driver.advanceTo(1_200_000 + 3_600_000 + 600_000)
    assert.lengthOf(driver.startTimes, 2)
    // Back by a year is a correction.
    driver.feed({ _tag: "ComputeEnded" })
    driver.feed({ _tag: "ClockSet", wallOffset: at("2025-03-06T03:30:00Z") })
    assert.isBelow((driver.wakeAt ?? Infinity) - driver.now, 3_600_001)
  })

  it("keeps its hour of the day when the clocks change", () => {
    const driver = begun(cron("30 2 * * *", "Europe/Berlin"), "2026-03-28T00:00:00Z")
    driver.advanceTo(3 * 86_400_000, () => driver.feed({ _tag: "ComputeEnded" }))
    assert.deepStrictEqual(
      driver.startTimes.map((time) => new Date(at("2026-03-28T00:00:00Z") + time).toISOString()),
      ["2026-03-28T01:30:00.000Z", "2026-03-29T01:30:00.000Z", "2026-03-30T00:30:00.000Z"]
    )
  })
})

// --- random histories

type Step =
  | { readonly _tag: "Advance"; readonly ms: number }
  | { readonly _tag: "Feed"; readonly input: SenseSchedule.Input }

const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 0, max: 4_000 }).map((ms): Step => ({ _tag: "Advance", ms })) },
    {
      weight: 6,
      arbitrary: fc
        .constantFrom<SenseSchedule.Input>(
          { _tag: "Trigger", cause: { _tag: "Manual" } },
          { _tag: "Trigger", cause: { _tag: "On", sense: other } },
          { _tag: "ComputeAnswered" },
          { _tag: "ComputeEnded" },
          { _tag: "ComputeEnded" },
          { _tag: "GroupReady" },
          { _tag: "GroupReady" },
          { _tag: "GroupGone" },
          { _tag: "Tick" }
        )
        .map((input): Step => ({ _tag: "Feed", input }))
    }
  ),
  { maxLength: 120 }
)

const anySettings: fc.Arbitrary<SenseSchedule.Settings> = fc
  .record({
    name: fc.constantFrom("cpu", "memory", "disk", "net").map((text) => SenseName.make(text)),
    intervalMs: fc.option(fc.integer({ min: 1, max: 5_000 })),
    throttleMs: fc.option(fc.integer({ min: 1, max: 9_000 })),
    boundMs: fc.integer({ min: 1, max: 5_000 })
  })
  .map(config)

const anyCatchUp: fc.Arbitrary<SenseSchedule.Settings> = fc
  .tuple(anySettings, fc.constantFrom("once", "skip", "all"))
  .map(([settings, catchUp]) => ({ ...settings, catchUp }))

/**
 * What must hold, kept apart from the machine: whether a compute runs, the worker is there, and a
 * compute is owed (a trigger or a tick of the grid since the last start).
 */
class Model {
  running = false
  ready = false
  lastStart: number | null = null
  owedSince: number | null = null
  seen = 0
  ticks = 0
  readonly driver: Driver
  constructor(driver: Driver) {
    this.driver = driver
  }

  /** Grid ticks up to now, whenever they are noticed. */
  private passTicks(now: number) {
    const { first, settings } = this.driver
    const every = everyMs(settings)
    if (first === null || every === null) return
    for (; first + this.ticks * every <= now; this.ticks++) {
      this.owedSince ??= first + this.ticks * every
    }
  }

  note(input: SenseSchedule.Input | null) {
    const { driver } = this
    this.passTicks(driver.now)
    if (input?._tag === "Trigger") this.owedSince ??= driver.now
    if (input?._tag === "GroupReady") this.ready = true
    if (input?._tag === "GroupGone") this.ready = false
    if (input?._tag === "ComputeEnded") this.running = false
    const fresh = driver.starts.slice(this.seen)
    this.seen = driver.starts.length
    assert.isAtMost(fresh.length, 1, "at most one start per decision")
    for (const start of fresh) {
      assert.isFalse(this.running, "computes overlap")
      assert.isTrue(this.ready, "started without a worker")
      assert.isNotNull(this.owedSince, "started though nothing was owed")
      if (this.lastStart !== null && driver.settings.throttleMs !== null) {
        assert.isAtLeast(start.at - this.lastStart, driver.settings.throttleMs, "throttle")
      }
      this.running = true
      this.lastStart = start.at
      this.owedSince = null
    }
    const throttledUntil =
      this.lastStart === null || driver.settings.throttleMs === null
        ? -Infinity
        : this.lastStart + driver.settings.throttleMs
    assert.isFalse(
      this.owedSince !== null && this.ready && !this.running && driver.now >= throttledUntil,
      "a compute that is owed and could start has not started"
    )
    assert.strictEqual(SenseSchedule.isRunning(driver.state), this.running)
  }
}

const play = (settings: SenseSchedule.Settings, history: ReadonlyArray<Step>): Model => {
  const driver = new Driver(settings)
  const model = new Model(driver)
  for (const step of history) {
    if (step._tag === "Advance") {
      driver.advanceTo(driver.now + step.ms, () => model.note(null))
    } else {
      driver.feed(step.input)
      model.note(step.input)
    }
  }
  return model
}

describe("whatever happens", () => {
  it("computes never overlap, respect the throttle, and start as soon as one is owed and can start", () => {
    fc.assert(
      fc.property(anySettings, steps, (settings, history) => void play(settings, history)),
      { numRuns: 500 }
    )
  })

  it("every trigger is followed by a compute that starts no earlier than it", () => {
    fc.assert(
      fc.property(anySettings, steps, (settings, history) => {
        const model = play(settings, history)
        const { driver } = model
        const triggeredAt = driver.now
        const inputs: ReadonlyArray<SenseSchedule.Input> = [
          { _tag: "Trigger", cause: { _tag: "Manual" } },
          { _tag: "GroupReady" },
          { _tag: "ComputeEnded" }
        ]
        for (const input of inputs) {
          driver.feed(input)
          model.note(input)
        }
        driver.advanceTo(triggeredAt + (settings.throttleMs ?? 0), () => model.note(null))
        assert.isAtLeast(driver.startTimes.at(-1) ?? -1, triggeredAt)
      }),
      { numRuns: 300 }
    )
  })

  it("an undisturbed sense meets every tick of its grid to the millisecond", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100_000 }), fc.nat(1_000_000), (intervalMs, startedAt) => {
        const driver = new Driver(config({ intervalMs }), startedAt)
        driver.feed({ _tag: "GroupReady" })
        driver.feed({ _tag: "ComputeEnded" })
        driver.advanceTo(startedAt + Timing.spreadMs(2_000) + 50 * intervalMs, () => {
          driver.feed({ _tag: "ComputeEnded" })
        })
        const first = firstTick(driver)
        assert.isAtLeast(driver.starts.length, 50)
        driver.startTimes.forEach((at, index) => assert.strictEqual(at, first + index * intervalMs))
      }),
      { numRuns: 100 }
    )
  })

  it("a kill is asked for only while a compute runs, and once at most for it and its worker", () => {
    fc.assert(
      fc.property(anySettings, steps, (settings, history) => {
        const { driver } = play(settings, history)
        const readies = history.filter((step) => step._tag === "Feed" && step.input._tag === "GroupReady").length
        assert.isAtMost(driver.overruns.length, driver.starts.length + readies)
        for (const at of driver.overruns) {
          const start = driver.startTimes.filter((start) => start <= at).at(-1)
          assert.isDefined(start)
          assert.isAtLeast(at - (start ?? 0), settings.boundMs)
        }
      }),
      { numRuns: 300 }
    )
  })

  it("every tick and every trigger starts a compute or is told as dropped, exactly once, by each way to catch up", () => {
    fc.assert(
      fc.property(anyCatchUp, steps, (settings, history) => {
        const driver = new Driver(settings)
        let triggers = 0
        let wasRunning = false
        const check = () => {
          const every = everyMs(settings)
          const ticks =
            driver.first === null || every === null || driver.now < driver.first
              ? 0
              : Math.floor((driver.now - driver.first) / every) + 1
          const dropped = driver.drops.reduce((sum, drop) => sum + drop.count, 0)
          const waiting = (driver.state.pending === null ? 0 : 1) + driver.state.backlog.length
          // A decision between two ticks of the clock has not looked at what passed since.
          const { ticks: come } = driver.state
          const counted =
            come === null || every === null || driver.first === null
              ? 0
              : Math.round((Timing.nextAt(come, 0) - driver.first) / every)
          assert.isAtMost(counted, ticks)
          assert.strictEqual(driver.starts.length + dropped + waiting, counted + triggers)
          assert.isAtMost(driver.state.backlog.length, SenseSchedule.MAX_BACKLOG)
          if (settings.catchUp !== "all") assert.lengthOf(driver.state.backlog, 0)
        }
        for (const step of history) {
          if (step._tag === "Advance") {
            driver.advanceTo(driver.now + step.ms, check)
          } else {
            if (step.input._tag === "Trigger") triggers++
            const before = driver.starts.length
            driver.feed(step.input)
            if (step.input._tag === "ComputeEnded") wasRunning = false
            assert.isFalse(wasRunning && driver.starts.length > before, "computes overlap")
          }
          wasRunning = SenseSchedule.isRunning(driver.state)
          check()
        }
      }),
      { numRuns: 500 }
    )
  })

  it("catch_up: skip never starts a tick late", () => {
    fc.assert(
      fc.property(anyCatchUp, steps, (settings, history) => {
        const driver = new Driver({ ...settings, catchUp: "skip" })
        for (const step of history) {
          if (step._tag === "Advance") driver.advanceTo(driver.now + step.ms)
          else driver.feed(step.input)
        }
        driver.starts.forEach((start, index) => {
          if (start.cause._tag === "Interval") {
            assert.isAtMost(start.at - (driver.dues[index] ?? 0), SenseSchedule.LATE_MS)
          }
        })
      }),
      { numRuns: 300 }
    )
  })
})
