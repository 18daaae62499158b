/**
 * Tables and pages.
 */
import { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import type { WorkflowRun } from "@nerve/core/domain/Thread"
import { DaemonStatus } from "@nerve/core/wire/ControlRpcs"
import { plain } from "@nerve/cli/render/Style"
import * as Views from "@nerve/cli/render/Views"
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"

const now = 1_000_000
const look: Views.Look = { now, style: plain }

const daemon = Schema.decodeUnknownSync(DaemonStatus)({
  version: "0.1.0",
  pid: 42,
  hostname: "box",
  workspace: "/srv/watch",
  startedAt: 0,
  uptimeMs: 65_000,
  senses: [
    {
      name: "cpu-usage",
      group: "system",
      status: "ok",
      problem: null,
      intervalMs: 2_000,
      cron: null,
      on: [],
      nextAt: now + 1_500,
      lastAt: now - 500,
      computes: 30,
      signals: 12,
      errors: 0
    },
    {
      name: "disk",
      group: "disk",
      status: "failed",
      problem: { code: "module-missing", message: "there is no module", file: "senses/disk.ts", hint: "add the file" },
      intervalMs: null,
      cron: null,
      on: ["cpu-usage"],
      nextAt: null,
      lastAt: null,
      computes: 0,
      signals: 0,
      errors: 1
    }
  ],
  workflows: [
    {
      name: "investigate",
      concurrency: 1,
      overflow: "queue",
      maxQueue: 100,
      onChange: "finish-on-old",
      paused: null,
      waiting: 0,
      active: 1,
      queued: 3,
      roles: ["collector", "analyst"],
      problem: null
    }
  ],
  workers: [
    { key: "sense:system", state: "ready", pid: 43, incarnation: 2, crashes: 1 },
    { key: "workflow:investigate", state: "given-up", pid: null, incarnation: 6, crashes: 6 }
  ]
})

const run: WorkflowRun = {
  threadId: ThreadId.make("t-1"),
  workflow: WorkflowName.make("investigate"),
  status: "completed",
  exitCode: 0,
  reason: "",
  prompt: "The CPU is busy.\nWhy?",
  maxRounds: 20,
  dryRun: false,
  rounds: 2,
  crashes: 1,
  createdId: 7,
  createdAt: now - 60_000,
  startedAt: now - 59_000,
  endedAt: now - 49_000,
  phase: null,
  wait: null,
  paused: null,
  version: null,
  key: null,
  priority: 0,
  parent: null,
  origin: null,
  place: null
}

describe("Views", () => {
  it("shows the whole daemon, problems beneath their table", () => {
    assert.strictEqual(
      Views.status(daemon, look),
      `nerve 0.1.0  pid 42 on box, up 1 min 5 s
/srv/watch

SENSE      GROUP   STATUS  RUNS          LAST  NEXT    COMPUTES  SIGNALS  ERRORS
cpu-usage  system  ok      every 2 s     now   in 2 s        30       12       0
disk       disk    failed  on cpu-usage  -     -              0        0       1

disk: there is no module (senses/disk.ts)
  add the file

WORKFLOW     ACTIVE    QUEUED  WAITING  OVERFLOW  ROLES
investigate  1 of 1  3 of 100        0  queue     collector, analyst

WORKER                STATE     PID  STARTS  CRASHES
sense:system          ready      43       2        1
workflow:investigate  given-up    -       6        6`
    )
  })

  it("lists threads", () => {
    assert.strictEqual(
      Views.threads(
        [run, { ...run, threadId: ThreadId.make("t-22"), status: "started", exitCode: null, endedAt: null }],
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
      Views.thread({ run, messages }, look),
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
    const page = Views.thread({ run, messages }, look).split("\n")
    assert.include(page, "2 calls, 1200 tokens in, 80 out, $0.0125")
    assert.include(page, "1. collector  (0.4 s)")
    assert.include(page, "2. analyst  (2.3 s; 2 calls, 1200 tokens in, 80 out, $0.0125)")
  })

  it("lets no content write to the terminal", () => {
    const messages = [{ round: 1, role: "r", content: "\u001b[2Jgone", meta: null, timestamp: 0 }]
    assert.notInclude(Views.thread({ run, messages }, look), "\u001b")
  })
})
