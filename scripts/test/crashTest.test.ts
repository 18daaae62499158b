/**
 * The crash test: its judge finds each fault that it is to find, and its short form passes.
 */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { type Entry, type Facts, judge } from "../crashTest/judge.ts"

const entry = (type: string, thread: string, round: number | null = null): Entry => ({
  id: 0,
  type,
  thread,
  round,
  workflow: type === "queued" || type === "started" ? "work" : null,
  final: false
})

const sound: Facts = {
  kills: 1,
  promised: ["a", "b"],
  entries: [
    entry("started", "a"),
    entry("queued", "b"),
    entry("message", "a", 1),
    entry("message", "a", 2),
    entry("completed", "a"),
    entry("started", "b"),
    entry("message", "b", 1),
    entry("completed", "b")
  ],
  effects: [
    { thread: "a", round: 1 },
    { thread: "a", round: 2 },
    { thread: "a", round: 2 },
    { thread: "b", round: 1 }
  ],
  occupied: 0,
  concurrency: 1
}

const faultsOf = (over: Partial<Facts>): string => judge({ ...sound, ...over }).faults.join("; ")

describe("the judge of the crash test", () => {
  it("finds nothing wrong where a round in flight was repeated", () => {
    expect(judge(sound)).toEqual({
      figures: {
        kills: 1,
        threads: 2,
        ended: 2,
        roundsRecorded: 3,
        roundsDoubled: 0,
        effectsLost: 0,
        effectsRepeated: 1,
        slotsLeaked: 0
      },
      faults: []
    })
  })

  it("finds each fault", () => {
    const { effects, entries } = sound
    expect(faultsOf({ promised: ["c"] })).toContain("c was promised and is lost")
    expect(faultsOf({ entries: entries.slice(0, -1) })).toContain("b ended 0 times")
    expect(faultsOf({ entries: [...entries, entry("completed", "b")] })).toContain("b ended 2 times")
    expect(faultsOf({ entries: [...entries.slice(0, -1), entry("failed", "b")] })).toContain("b ended as failed")
    expect(faultsOf({ entries: [...entries, entry("message", "b", 1)] })).toContain("1 rounds are recorded twice")
    expect(faultsOf({ effects: effects.slice(0, -1) })).toContain("round b 1 is recorded and left no line")
    expect(faultsOf({ effects: [...effects, { thread: "a", round: 1 }] })).toContain(
      "round 1 of a ran again after round 2"
    )
    expect(faultsOf({ occupied: 1 })).toContain("1 slots leaked")
    expect(faultsOf({ entries: [entry("started", "b"), ...entries] })).toContain("slots leaked")
    const overtaken = [entry("queued", "a"), entry("started", "b"), entry("completed", "b"), entry("started", "a")]
    expect(faultsOf({ entries: overtaken })).toContain("the queue of work was not kept: b was started before a")
  })
})

it("threads survive kills of daemon and workers", { timeout: 180_000 }, () => {
  const file = fileURLToPath(new URL("../crashTest/main.ts", import.meta.url))
  const { status, stderr, stdout } = spawnSync(process.execPath, [file, "--seconds", "6"], { encoding: "utf8" })
  expect(stderr).toBe("")
  expect(status).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ roundsDoubled: 0, effectsLost: 0, slotsLeaked: 0 })
})
