/** Laws of the heartbeat, tried on any sequence of beats and answers. */
import * as Heartbeat from "@nerve/core/supervision/Heartbeat"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const settings: fc.Arbitrary<Heartbeat.Settings> = fc.record({
  intervalMs: fc.integer({ min: 1, max: 10_000 }),
  timeoutMs: fc.integer({ min: 1, max: 60_000 }),
  while: fc.constant("always" as const)
})

/** By how much a beat is late: a little, or by as much as it takes to have stood still. */
const lateness = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: Heartbeat.stallMs }) },
  { weight: 1, arbitrary: fc.integer({ min: Heartbeat.stallMs + 1, max: 600_000 }) }
)

interface Beat {
  readonly late: number
  readonly heard: boolean
  readonly excused: boolean
  readonly answers: boolean
}

const beats = fc.array(
  fc.record({ late: lateness, heard: fc.boolean(), excused: fc.boolean(), answers: fc.boolean() }),
  { maxLength: 60 }
)

interface Seen extends Beat {
  readonly at: number
  readonly verdict: Heartbeat.Verdict
}

/** Runs the beats until one says that it hangs. A worker that answers does so at once, before the next beat. */
const run = (chosen: Heartbeat.Settings, list: ReadonlyArray<Beat>): ReadonlyArray<Seen> => {
  let state = Heartbeat.start(0)
  let now = 0
  let answered = false
  const seen: Array<Seen> = []
  for (const one of list) {
    now += chosen.intervalMs + one.late
    const observed = { now, heard: one.heard || answered, excused: one.excused }
    const result = Heartbeat.beat(state, observed, chosen)
    state = result.state
    answered = false
    if (result.verdict._tag === "Ask" && one.answers) {
      state = Heartbeat.pong(state, result.verdict.ping, now).state
      answered = true
    }
    seen.push({ ...one, at: now, verdict: result.verdict })
    if (result.verdict._tag === "Hung") break
  }
  return seen
}

describe("Heartbeat", () => {
  it("never takes a worker for hung that answers what it is asked", () => {
    fc.assert(
      fc.property(settings, beats, (chosen, list) => {
        const seen = run(
          chosen,
          list.map((one) => ({ ...one, answers: true }))
        )
        expect(seen.map((one) => one.verdict._tag)).not.toContain("Hung")
      })
    )
  })

  it("takes one that says nothing for hung after its timeout, and two beats more at most", () => {
    fc.assert(
      fc.property(settings, fc.integer({ min: 0, max: Heartbeat.stallMs }), (chosen, late) => {
        const silent = { late, heard: false, excused: false, answers: false }
        const needed = Math.ceil(chosen.timeoutMs / chosen.intervalMs) + 2
        const seen = run(
          chosen,
          Array.from({ length: needed }, () => silent)
        )
        const last = seen.at(-1)
        expect(last?.verdict._tag).toBe("Hung")
        expect(last?.at).toBeGreaterThanOrEqual(chosen.timeoutMs)
        expect(last?.at).toBeLessThanOrEqual(chosen.timeoutMs + 2 * (chosen.intervalMs + late))
      })
    )
  })

  it("never on a beat of a daemon that stood still, nor before a whole timeout after it", () => {
    fc.assert(
      fc.property(settings, beats, (chosen, list) => {
        const seen = run(chosen, list)
        const last = seen.at(-1)
        if (last?.verdict._tag !== "Hung") return
        const restarts = seen.filter((one) => one.late > Heartbeat.stallMs || one.heard || one.excused)
        expect(restarts).not.toContain(last)
        expect(last.at - (restarts.at(-1)?.at ?? 0)).toBeGreaterThanOrEqual(chosen.timeoutMs)
      })
    )
  })

  it("asks again only when it was answered, by numbers that count up", () => {
    fc.assert(
      fc.property(settings, beats, (chosen, list) => {
        const asked = run(chosen, list).filter((one) => one.verdict._tag === "Ask")
        expect(asked.map((one) => one.verdict._tag === "Ask" && one.verdict.ping)).toEqual(asked.map((_, i) => i + 1))
        expect(asked.slice(0, -1).every((one) => one.answers)).toBe(true)
      })
    )
  })

  it("counts only the answer to what was asked, and its time", () => {
    const asked = Heartbeat.beat(
      Heartbeat.start(0),
      { now: 100, heard: false, excused: false },
      { intervalMs: 100, timeoutMs: 1000, while: "always" }
    )
    expect(Heartbeat.pong(asked.state, 2, 150)).toEqual({ state: asked.state, tookMs: null })
    const answered = Heartbeat.pong(asked.state, 1, 150)
    expect(answered.tookMs).toBe(50)
    expect(Heartbeat.pong(answered.state, 1, 160).tookMs).toBeNull()
  })
})
