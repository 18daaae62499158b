/**
 * The senses' own code: what they read from the system's texts, and what they decide from their rows.
 */
import { it } from "@effect/vitest"
import { SenseTest } from "@nerve/node"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect } from "vitest"
import { fromOs, parseStat, readCores, usageBetween } from "../senses/cpu-usage/cores.ts"
import cpuUsage from "../senses/cpu-usage/index.ts"
import disk from "../senses/disk/index.ts"
import { spaceOf } from "../senses/disk/space.ts"
import memory from "../senses/memory/index.ts"
import { parseMeminfo } from "../senses/memory/meminfo.ts"

const workspace = new URL("..", import.meta.url).pathname

const stat = `cpu  30 0 30 140 0 0 0 0 0 0
cpu0 10 0 20 60 5 3 2 0 7 0
cpu1 20 0 10 70 0 0 0 0 0 0
intr 12345 0 0
ctxt 99
`

describe("cpu-usage", () => {
  it("reads each core of /proc/stat, with iowait as idle and guest time counted once", () => {
    expect(parseStat(stat)).toEqual([
      { name: "cpu0", busy: 35, total: 100 },
      { name: "cpu1", busy: 30, total: 100 }
    ])
  })

  it("reads the cores of os.cpus()", () => {
    expect(fromOs([{ times: { user: 1, nice: 2, sys: 3, idle: 10, irq: 4 } }])).toEqual([
      { name: "cpu0", busy: 10, total: 20 }
    ])
  })

  it("computes usage over all cores and of the busiest one", () => {
    const after = [
      { name: "cpu0", busy: 85, total: 200 },
      { name: "cpu1", busy: 40, total: 200 }
    ]
    expect(usageBetween(parseStat(stat), after)).toEqual({ usage: 0.3, busiest: 0.5 })
  })

  it("computes nothing when no time has passed, and nothing across a reboot", () => {
    const before = parseStat(stat)
    expect(usageBetween(before, before)).toBeUndefined()
    expect(usageBetween(before, [{ name: "cpu0", busy: 1, total: 2 }])).toBeUndefined()
    expect(usageBetween([], before)).toBeUndefined()
  })

  it("stays within 0 and 1 when iowait runs backwards", () => {
    expect(usageBetween([{ name: "cpu0", busy: 10, total: 20 }], [{ name: "cpu0", busy: 21, total: 30 }])).toEqual({
      usage: 1,
      busiest: 1
    })
  })

  it.effect("launches at most one investigation in 30 s, decided from its rows", () =>
    Effect.gen(function* () {
      const test = yield* SenseTest.open(cpuUsage, { workspace, name: "cpu-usage" })
      const insert = test.db.prepare("INSERT INTO readings (at, cores) VALUES (?, ?)")
      const idle = (yield* Effect.promise(readCores)).map((core) => ({ ...core, busy: 0, total: 0 }))
      // As if all of the machine's uptime lay between the reading before and this one.
      const compute = Effect.gen(function* () {
        insert.run(yield* Effect.clockWith((clock) => clock.currentTimeMillis), JSON.stringify(idle))
        return yield* test.compute
      })
      yield* TestClock.adjust("1 day")

      expect((yield* test.compute)._tag).toBe("NoSignal")
      const launches: Array<number> = []
      for (let second = 0; second < 65; second += 5) {
        const outcome = yield* compute
        if (outcome._tag === "NoSignal") throw new Error("no signal")
        for (const launch of outcome.launches) {
          expect(launch.workflow).toBe("investigate-load")
          launches.push(second)
        }
        yield* TestClock.adjust("5 seconds")
      }
      expect(launches).toEqual([0, 30, 60])
    })
  )
})

describe("memory", () => {
  it("reads /proc/meminfo in bytes", () => {
    expect(parseMeminfo("MemTotal:       2000 kB\nMemFree:         100 kB\nMemAvailable:    500 kB\n")).toEqual({
      total: 2_048_000,
      available: 512_000
    })
  })

  it("reads nothing from a text that lacks a figure", () => {
    expect(parseMeminfo("MemTotal:       2000 kB\n")).toBeUndefined()
  })

  it.effect("signals this machine's figures and stores them", () =>
    Effect.gen(function* () {
      const test = yield* SenseTest.open(memory, { workspace, name: "memory" })
      const outcome = yield* test.compute
      if (outcome._tag === "NoSignal") throw new Error("no signal")
      expect(outcome.value.total).toBeGreaterThan(outcome.value.available)
      expect(outcome.value.usage).toBeCloseTo(1 - outcome.value.available / outcome.value.total)
      expect(outcome.value.growth).toBe(0)
      expect(test.db.prepare("SELECT total, available FROM readings").all()).toEqual([
        { total: outcome.value.total, available: outcome.value.available }
      ])
    })
  )
})

describe("disk", () => {
  it("computes usage as df does: of what a user could ever have", () => {
    expect(spaceOf({ bsize: 10, blocks: 100, bfree: 40, bavail: 20 })).toEqual({
      total: 1000,
      available: 200,
      usage: 0.75
    })
  })

  it("reads a file system without blocks as empty", () => {
    expect(spaceOf({ bsize: 4096, blocks: 0, bfree: 0, bavail: 0 }).usage).toBe(0)
  })

  it("signals this disk's figures and stores them, as a plain function", async () => {
    await SenseTest.run(disk, { workspace, name: "disk" }, async ({ compute, db }) => {
      const outcome = await compute()
      if (outcome._tag !== "Signal") throw new Error("no signal")
      expect(outcome.value.total).toBeGreaterThan(0)
      expect(db.prepare("SELECT total, available, usage FROM readings").all()).toEqual([{ ...outcome.value }])
    })
  })
})
