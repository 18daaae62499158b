/**
 * When senses compute, and what became of their ticks, as tables.
 */
import type { Tick } from "@nerve/core/domain/Tick"
import * as SenseViews from "@nerve/cli/render/SenseViews"
import { plain } from "@nerve/cli/render/Style"
import { moment } from "@nerve/cli/render/Time"
import type { Look } from "@nerve/cli/render/Look"
import { assert, describe, it } from "@effect/vitest"
import * as samples from "../../../core/test/domain/samples.ts"
import { senseView } from "../../../core/test/wire/samples.ts"

const now = Date.UTC(2026, 1, 28, 14, 0, 0)
const look: Look = { now, style: plain }
const lines = (text: string) => text.split("\n").map((line) => line.split(/ {2,}/))

const tick = (id: number, over: Partial<Tick>): Tick =>
  samples.tick(id, "cpu", { dueAt: now - 10_000, startedAt: now - 9_997, ...over })

describe("sense list", () => {
  it("has who computes next first, with how long that is, and who waits for a trigger last", () => {
    const table = lines(
      SenseViews.timers(
        [
          senseView("alarm", { on: ["cpu"], lastAt: now - 90_000 }),
          senseView("backup", { cron: "30 3 * * *", nextAt: now + 3 * 86_400_000 }),
          senseView("cpu", { intervalMs: 10_000, nextAt: now + 4_400, lastAt: now - 5_600, status: "running" })
        ],
        look
      )
    )
    assert.deepStrictEqual(table, [
      ["SENSE", "GROUP", "STATUS", "RUNS", "NEXT", "LEFT", "LAST", "PASSED"],
      ["cpu", "main", "running", "every 10 s", moment(now + 4_400, now), "4 s", moment(now - 5_600, now), "6 s"],
      ["backup", "main", "ok", "cron 30 3 * * *", moment(now + 3 * 86_400_000, now), "3 d", "-", "-"],
      ["alarm", "main", "ok", "on cpu", "-", "-", moment(now - 90_000, now), "1 min 30 s"]
    ])
  })

  it("says beneath why a sense does not load", () => {
    const problem = { code: "module-missing", message: "there is no module", file: "senses/cpu.ts", hint: "add it" }
    const text = SenseViews.timers([senseView("cpu", { status: "failed", problem })], look)
    assert.include(text, "\n\ncpu: there is no module (senses/cpu.ts)\n  add it")
  })
})

describe("sense ticks", () => {
  it("has a line for each tick, with what came of it, and what it logged beneath", () => {
    const text = SenseViews.ticks(
      [
        tick(3, {
          outcome: "signal",
          signal: 31,
          threads: ["t-1", "t-2"],
          lines: Array.from({ length: 7 }, (_, nth) => ({ level: "Info", message: `line ${nth}`, fields: { nth } })),
          linesLeftOut: 4
        }),
        tick(2, { outcome: "collapsed", count: 7, startedAt: null, durationMs: null }),
        tick(1, { cause: "on:disk", outcome: "error", detail: "no\nsuch file \u001b[31m", durationMs: 61_000 })
      ],
      look
    )
    const due = moment(now - 10_000, now)
    assert.deepStrictEqual(lines(text), [
      ["DUE", "CAUSE", "OUTCOME", "LATE", "TOOK", "WHAT"],
      [due, "interval", "signal", "3 ms", "12 ms", "entry 31; launched t-1, t-2"],
      ...[0, 1, 2, 3, 4].map((nth) => ["", `info: line ${nth} {"nth":${nth}}`]),
      ["", "6 more lines"],
      [due, "interval", "collapsed", "-", "-", "7 ticks"],
      [due, "on:disk", "error", "3 ms", "1 min 1 s", "no such file \ufffd[31m"]
    ])
  })
})
