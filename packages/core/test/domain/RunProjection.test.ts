/**
 * The run status machine: what a run is after any sequence of entries (M6).
 */
import { describe, expect, it } from "@effect/vitest"
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import * as RunProjection from "@nerve/core/domain/RunProjection"
import { isActive, type WorkflowRun } from "@nerve/core/domain/Thread"
import * as fc from "fast-check"

const opened = { workflow: "talk", prompt: "p", maxRounds: 20, dryRun: false, cause: "manual" }

const sleep = { _tag: "Sleep", until: 5 }

const payloads: Readonly<Record<string, ReadonlyArray<LogEntry["payload"]>>> = {
  queued: [opened, { ...opened, priority: 3, key: "k" }],
  started: [opened],
  message: [
    { role: "r", content: "c", meta: null },
    { role: "r", content: "c", meta: null, version: "v2" }
  ],
  waiting: [
    { round: 1, role: "r", wait: sleep, version: "v1" },
    { round: 3, role: "r", wait: sleep }
  ],
  paused: [
    { by: "request", reason: "x" },
    { by: "code", reason: "y" }
  ],
  resumed: [
    { newCode: false, reason: "" },
    { newCode: true, reason: "" }
  ],
  retried: [{ maxRounds: 30, reason: "" }],
  crashed: [
    { reason: "x", final: false },
    { reason: "x", final: true }
  ],
  completed: [{ exitCode: 0, reason: "" }],
  failed: [{ exitCode: 1, reason: "no" }],
  dropped: [
    { exitCode: 1, reason: "full" },
    { ...opened, reason: "full" }
  ],
  interrupted: [{ exitCode: 1, reason: "gone" }],
  killed: [{ exitCode: 137, reason: "killed" }],
  unheard: [{}]
}

const entry = fc
  .record({
    type: fc.constantFrom(...Object.keys(payloads)),
    nth: fc.nat(1),
    malformed: fc.nat(9).map((n) => n === 0),
    round: fc.integer({ min: 1, max: 5 })
  })
  .map(({ malformed, nth, round, type }) => {
    const options = payloads[type] ?? []
    return {
      source: "workflow",
      type,
      refId: "t",
      payload: malformed ? { wrong: true } : (options[nth % options.length] ?? {}),
      round: type === "message" ? round : null
    } as const
  })

const fold = (entries: ReadonlyArray<Omit<LogEntry, "id" | "timestamp">>): ReadonlyArray<WorkflowRun | undefined> => {
  const runs: Array<WorkflowRun | undefined> = [undefined]
  entries.forEach((one, index) =>
    runs.push(RunProjection.apply(runs.at(-1), { ...one, id: index + 1, timestamp: 1000 + index }))
  )
  return runs
}

describe("the run status machine", () => {
  it("never leaves a run half ended, half waiting or out of an end but by a retry, for any sequence", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 40 }), (entries) => {
        const runs = fold(entries)
        for (const [index, one] of entries.entries()) {
          const before = runs[index]
          const after = runs[index + 1]
          if (after === undefined) {
            expect(before).toBeUndefined()
            continue
          }
          const active = isActive(after.status)
          expect(after.exitCode === null).toBe(active)
          expect(after.endedAt === null).toBe(active)
          // The phase is what the wait and the pause say, and an end has neither.
          expect(after.phase).toBe(after.paused !== null ? "paused" : after.wait !== null ? "waiting" : null)
          if (!active) expect([after.phase, after.place]).toEqual([null, null])
          // A place is of who is queued; a retried run gets it with the next entry.
          if (after.place !== null) expect(after.status).toBe("queued")
          if (before === undefined) continue
          expect(after.rounds).toBeGreaterThanOrEqual(before.rounds)
          expect(after.createdId).toBe(before.createdId)
          expect([after.key, after.priority, after.prompt]).toEqual([before.key, before.priority, before.prompt])
          // But for a round that was finished while the thread was being ended.
          const isFinal = !isActive(before.status) && (one.type !== "retried" || before.status === "completed")
          if (isFinal) expect({ ...after, rounds: before.rounds }).toEqual(before)
        }
      }),
      { numRuns: 1000 }
    )
  })

  it("ends a wait with the message of its round, and no other", () => {
    const waits = {
      source: "workflow",
      type: "waiting",
      refId: "t",
      payload: payloads["waiting"]?.[1] ?? {},
      round: null
    } as const
    const said = (round: number) =>
      ({
        source: "workflow",
        type: "message",
        refId: "t",
        payload: { role: "r", content: "", meta: null },
        round
      }) as const
    const start = { source: "workflow", type: "started", refId: "t", payload: opened, round: null } as const
    expect(fold([start, waits, said(2)]).at(-1)).toMatchObject({ phase: "waiting", wait: { round: 3 } })
    expect(fold([start, waits, said(3)]).at(-1)).toMatchObject({ phase: null, wait: null, rounds: 3 })
  })

  it("pins the version of the first round, until it is resumed on new code or retried", () => {
    const of = (type: string, payload: LogEntry["payload"], round: number | null = null) =>
      ({ source: "workflow", type, refId: "t", payload, round }) as const
    const said = (round: number, version: string) =>
      of("message", { role: "r", content: "", meta: null, version }, round)
    const begun = [of("started", opened), said(1, "v1"), said(2, "v2")]
    expect(fold(begun).at(-1)?.version).toBe("v1")
    const resumed = [...begun, of("paused", { by: "code", reason: "" }), of("resumed", { newCode: true, reason: "" })]
    expect(fold(resumed).at(-1)?.version).toBeNull()
    expect(fold([...resumed, said(3, "v3")]).at(-1)?.version).toBe("v3")
  })
})
