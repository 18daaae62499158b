/**
 * Log entries as lines for people.
 */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import * as Event from "@nerve/cli/render/Event"
import { colored } from "@nerve/cli/render/Style"
import { assert, describe, it } from "@effect/vitest"
import { LogEntry as LogEntrySchema } from "@nerve/core/domain/LogEntry"

const entry = (fields: Partial<LogEntry>): LogEntry => ({
  id: 1,
  source: "sense",
  type: "signal",
  refId: "cpu-usage",
  payload: null,
  round: null,
  timestamp: Date.UTC(2026, 1, 28, 14, 3, 9),
  ...fields
})

const line = (fields: Partial<LogEntry>, names: Event.Names = Event.noNames): string =>
  Event.render(entry(fields), { names, timeZone: "UTC" })

/** What stands after time, source and name. */
const words = (fields: Partial<LogEntry>, names?: Event.Names): string => line(fields, names).slice(48)

describe("Event", () => {
  it("has time, source, name and what happened", () => {
    assert.strictEqual(
      line({ payload: { value: { usage: 0.87654, cores: 8 } } }),
      "14:03:09  sense     cpu-usage                   signal: usage 0.8765, cores 8"
    )
  })

  it("shows a signal whose payload is the value itself", () => {
    assert.strictEqual(words({ payload: { usage: 0.5 } }), "signal: usage 0.5")
  })

  it("keeps the sense's name in front of what it launches", () => {
    assert.strictEqual(
      line({ type: "launch", payload: { workflow: "investigate" } }),
      "14:03:09  sense     cpu-usage                   launches investigate"
    )
  })

  it("names the workflow of a thread once it has been told", () => {
    const started = entry({
      source: "workflow",
      type: "started",
      refId: "t-1",
      payload: { workflow: "investigate", prompt: "The CPU\nis busy", maxRounds: 5, dryRun: false, cause: "cpu-usage" }
    })
    const names = Event.learn(Event.noNames, started)
    assert.strictEqual(
      Event.render(started, { timeZone: "UTC" }),
      "14:03:09  workflow  investigate                 thread t-1 started by cpu-usage: The CPU is busy"
    )
    const round = { source: "workflow", refId: "t-1", type: "message", round: 2 } as const
    const payload = { role: "analyst", content: "It is\nthe compiler.", meta: null }
    assert.strictEqual(
      line({ ...round, payload }, names),
      "14:03:09  workflow  investigate                 round 2, analyst: It is the compiler."
    )
    // Without the names, the thread's id stands there.
    assert.include(line({ ...round, payload }), "  t-1  ")
  })

  it.each([
    ["completed", { exitCode: 0, reason: "" }, "completed"],
    ["failed", { exitCode: 2, reason: "max rounds reached" }, "failed (exit code 2): max rounds reached"],
    ["killed", { exitCode: 137, reason: "" }, "killed"],
    ["crashed", { reason: "SIGKILL", final: false }, "crashed: SIGKILL"],
    ["started", { workflow: "w", prompt: "p", cause: "manual" }, "thread t-1 started by hand: p"]
  ])("says how a thread %s", (type, payload, text) => {
    assert.strictEqual(words({ source: "workflow", type, refId: "t-1", payload }), text)
  })

  it.each([
    ["started", { pid: 42, incarnation: 1 }, "started, pid 42"],
    ["started", { pid: 43, incarnation: 2 }, "started again (2), pid 43"],
    ["exited", { expected: false, reason: "SIGKILL", uptimeMs: 12_000 }, "died after 12 s: SIGKILL"],
    ["exited", { expected: true, reason: "stopped", uptimeMs: 500 }, "stopped after 0.5 s: stopped"],
    ["given-up", { crashes: 6, reason: "exit code 1" }, "given up: exit code 1"],
    ["output", { stream: "stderr", line: "oops", fields: null }, "stderr: oops"],
    ["output", { stream: "log", line: "read", fields: { rows: 3 } }, "log: read (rows 3)"]
  ])("says of a worker that it %s", (type, payload, text) => {
    assert.strictEqual(words({ source: "worker", type, refId: "sense:system", payload }), text)
  })

  it("gives a line that a sense has logged to the sense", () => {
    const payload = { stream: "log", line: "read", fields: { level: "Warn", sense: "disk", rows: 3 } }
    const shown = line({ source: "worker", type: "output", refId: "sense:system", payload })
    assert.match(shown, /  sense     disk +warn: read \(rows 3\)$/)
  })

  it("says where an error comes from", () => {
    const payload = { message: "boom", stack: "at senses/disk/index.ts:3:9\nat run (x.ts:1:1)" }
    assert.strictEqual(words({ source: "sense", type: "error", payload }), "error: boom (at senses/disk/index.ts:3:9)")
  })

  it.each([
    ["started", { version: "0.1.0", pid: 42, hostname: "box", workspace: "/srv" }, "started, pid 42"],
    [
      "draining",
      { reason: "waiting up to 30s for 1 thread to finish", threads: 1 },
      "draining: waiting up to 30s for 1 thread to finish"
    ],
    ["stopped", { pid: 42 }, "stopped"]
  ])("says of the kernel that it is %s", (type, payload, text) => {
    assert.strictEqual(words({ source: "kernel", type, refId: null, payload }), text)
  })

  it("lets no payload write to the terminal", () => {
    assert.notInclude(line({ type: "error", payload: { message: "\u001b[2Jgone" } }), "\u001b")
    assert.notInclude(line({ refId: "\u001b]0;title\u0007" }), "\u001b")
  })

  it("colours only what it is told to", () => {
    const died = entry({ source: "worker", type: "exited", payload: { expected: false, reason: "SIGKILL" } })
    assert.include(Event.render(died, { style: colored }), "\u001b[31m")
    assert.notInclude(Event.render(died), "\u001b")
  })

  it.prop("renders every entry as one line", [LogEntrySchema], ([any]) => {
    const shown = Event.render(any, { names: Event.learn(Event.noNames, any) })
    for (const forbidden of ["\n", "\r", "\u001b"]) assert.notInclude(shown, forbidden)
  })

  it("forgets the oldest names when there are too many", () => {
    const names = Array.from({ length: 1_200 }, (_, index) =>
      entry({
        source: "workflow",
        type: "started",
        refId: `t-${index}`,
        payload: { workflow: "w" }
      })
    ).reduce(Event.learn, Event.noNames)
    assert.strictEqual(names.size, 1_000)
    assert.isFalse(names.has("t-0"))
    assert.isTrue(names.has("t-1199"))
  })

  it("knows the ends of a thread", () => {
    const ends = (type: string, payload: LogEntry["payload"] = null) =>
      Event.isThreadEnd(entry({ source: "workflow", type, payload }))
    for (const type of ["completed", "failed", "dropped", "interrupted", "killed"]) assert.isTrue(ends(type), type)
    assert.isTrue(ends("crashed", { reason: "", final: true }))
    assert.isFalse(ends("crashed", { reason: "", final: false }))
    for (const type of ["queued", "started", "message"]) assert.isFalse(ends(type), type)
  })
})
