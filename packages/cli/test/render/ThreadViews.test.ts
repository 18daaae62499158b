/**
 * Threads as a table and as pages.
 */
import type { Look } from "@nerve/cli/render/Look"
import { plain } from "@nerve/cli/render/Style"
import * as ThreadViews from "@nerve/cli/render/ThreadViews"
import { assert, describe, it } from "@effect/vitest"
import * as samples from "../../../core/test/domain/samples.ts"

const now = 1_000_000
const look: Look = { now, style: plain }

const ended = {
  status: "completed",
  exitCode: 0,
  prompt: "The CPU is busy.\nWhy?",
  rounds: 2,
  crashes: 1,
  createdAt: now - 60_000,
  startedAt: now - 59_000,
  endedAt: now - 49_000
} as const

const run = samples.run(ended)

describe("ThreadViews", () => {
  it("lists threads", () => {
    assert.strictEqual(
      ThreadViews.list(
        [run, samples.run({ ...ended, threadId: "t-22", status: "started", exitCode: null, endedAt: null })],
        look
      ),
      `THREAD  WORKFLOW     STATUS     EXIT  ROUNDS  CREATED    TOOK  PROMPT
t-1     investigate  completed     0       2  1 min ago  10 s  The CPU is busy. Why?
t-22    investigate  started       -       2  1 min ago  59 s  The CPU is busy. Why?`
    )
  })

  it("shows a thread with every round in full", () => {
    const messages = [
      { round: 1, role: "collector", content: "load 7\n\n  indented", meta: {}, timestamp: 0 },
      { round: 2, role: "analyst", content: "the compiler", meta: { severity: "low" }, timestamp: 0 }
    ]
    assert.strictEqual(
      ThreadViews.page({ run, messages }, look),
      `t-1  investigate  completed (exit code 0)
created 1 min ago, took 10 s, 2 rounds of at most 20, its worker died once

> The CPU is busy.
> Why?

1. collector
   load 7

     indented

2. analyst
   the compiler
   meta: {"severity":"low"}`
    )
  })

  it("shows what rounds took, where it is known", () => {
    const usage = { calls: 2, inputTokens: 1200, outputTokens: 80, costUsd: 0.0125 }
    const messages = [
      { round: 1, role: "collector", content: "load 7", meta: null, durationMs: 400, timestamp: 0 },
      { round: 2, role: "analyst", content: "busy", meta: null, durationMs: 2300, usage, timestamp: 0 }
    ]
    const page = ThreadViews.page({ run, messages }, look).split("\n")
    assert.include(page, "2 calls, 1200 tokens in, 80 out, $0.0125")
    assert.include(page, "1. collector  (0.4 s)")
    assert.include(page, "2. analyst  (2.3 s; 2 calls, 1200 tokens in, 80 out, $0.0125)")
  })

  it("lets no content write to the terminal", () => {
    const messages = [{ round: 1, role: "r", content: "\u001b[2Jgone", meta: null, timestamp: 0 }]
    assert.notInclude(ThreadViews.page({ run, messages }, look), "\u001b")
  })
})
