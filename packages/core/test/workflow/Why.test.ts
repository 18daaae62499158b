/** Why a thread is where it is, in words. */
import { describe, expect, it } from "@effect/vitest"
import { ThreadId } from "@nerve/core/domain/Ids"
import type { WorkflowRun } from "@nerve/core/domain/Thread"
import * as Why from "@nerve/core/workflow/Why"
import * as samples from "../domain/samples.ts"

const now = 1_000_000_000

const run = (over: Partial<WorkflowRun>): WorkflowRun =>
  samples.run({
    threadId: "release-1",
    workflow: "release",
    maxRounds: 10,
    rounds: 2,
    createdAt: now - 60_000,
    startedAt: now - 60_000,
    ...over
  })

const situation: Why.Situation = {
  hold: "none",
  holdReason: "",
  active: 1,
  concurrency: 1,
  ahead: -1,
  stopping: false,
  atWork: true
}

const explain = (over: Partial<WorkflowRun>, where: Partial<Why.Situation> = {}) =>
  Why.explain(run(over), { ...situation, ...where }, now)

const approval = (schema: null | {}): NonNullable<WorkflowRun["wait"]> => ({
  round: 3,
  role: "gate",
  since: now - 12_000,
  wait: { _tag: "Approval", question: "Publish?", schema, until: now + 47.9 * 3_600_000 }
})

describe("explain", () => {
  it("says what is at work, queued, and behind whom", () => {
    expect(explain({})).toEqual(["at work on round 3 of at most 10"])
    expect(explain({ status: "queued" }, { ahead: 0 })).toEqual(["next in the queue: 1 of 1 slot taken"])
    expect(explain({ status: "queued", priority: 5 }, { ahead: 2, hold: "paused", holdReason: "lunch" })).toEqual([
      "queued behind 2 threads, with priority 5: the workflow is paused: lunch"
    ])
    expect(explain({}, { stopping: true })).toEqual(["its end is recorded; its role is being stopped"])
    expect(Why.explain(run({}), null, now)).toEqual(["started when the daemon stopped; goes on at its next start"])
  })

  it("says what is waited for, since when, until when, and how to answer", () => {
    expect(explain({ wait: approval(null) })).toEqual([
      "waits for an answer to gate, asked 12s ago: Publish?",
      "counts as timed out in 47h",
      "answer with: nerve thread answer release-1 --approve (or --reject)"
    ])
    expect(explain({ wait: approval({}) }).at(-1)).toContain("--approve --answer JSON (or --reject)")
    const sleep = { round: 3, role: "nap", since: now, wait: { _tag: "Sleep", until: now + 90_000 } } as const
    expect(explain({ wait: sleep })).toEqual(["sleeps (nap), goes on in 90s"])
  })

  it("says why it is paused and how it goes on, and what it waits for besides", () => {
    const paused = { by: "code", reason: "other code", since: now - 500 } as const
    expect(explain({ paused, wait: approval(null) }, { atWork: false })).toEqual([
      "paused just now, because its code has changed: other code",
      "go on with the new code with: nerve thread resume release-1",
      "waits for an answer to gate, asked 12s ago: Publish?",
      "counts as timed out in 47h",
      "answer with: nerve thread answer release-1 --approve (or --reject)"
    ])
    expect(explain({ paused: { ...paused, by: "request", reason: "" } })[0]).toBe(
      "pauses after the round in flight, on request"
    )
  })

  it("says how it ended, where it comes from, and how to take it up", () => {
    const ended = { status: "failed", exitCode: 1, reason: "no", endedAt: now - 3_600_000 } as const
    expect(explain({ ...ended, crashes: 2, parent: ThreadId.make("p"), rounds: 0 })).toEqual([
      "failed 1h ago: no",
      "run it again with: nerve thread retry release-1",
      "its worker died under it 2 times",
      "started by p, which waited for it"
    ])
    expect(explain({ ...ended, origin: { threadId: ThreadId.make("o"), round: 1 } })).toEqual([
      "failed 1h ago: no",
      "take it up after round 2 with: nerve thread retry release-1",
      "forked from o after round 1"
    ])
    expect(explain({ ...ended, status: "completed", reason: "", exitCode: 0 })).toEqual(["completed 1h ago"])
  })
})
