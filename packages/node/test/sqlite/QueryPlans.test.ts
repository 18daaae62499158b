/**
 * What the command line and the daemon's start ask of a log uses an index, however large it is (D2): no
 * statement walks all of `logs` or `workflow_runs`, but for pages in order of id.
 */
import { DatabaseSync } from "node:sqlite"
import { expect, it } from "@effect/vitest"
import { Effect, Tracer } from "effect"
import { ended, message, opened, signal } from "../../../runtime/test/log/LogStoreSuite.ts"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore } from "@nerve/runtime/log/LogStore"
import { StoreMaintenance } from "@nerve/runtime/log/StoreMaintenance"
import { TickHistory } from "@nerve/runtime/sense/TickHistory"
import { RunStatus } from "@nerve/core/domain/Thread"
import { newFile } from "./support.ts"

/** Collects the text of each statement that is run. */
const collecting = (texts: Set<string>): Tracer.Tracer =>
  Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      const attribute = span.attribute.bind(span)
      span.attribute = (key, value) => {
        if (key === "db.query.text" && typeof value === "string") texts.add(value)
        attribute(key, value)
      }
      return span
    }
  })

/** What is sorted is little however large the log is: the active runs, and a sense's ring of ticks. */
const isBounded = (text: string): boolean =>
  text.includes("status IN ('queued', 'started')") || text.includes("FROM sense_ticks")

it.effect("no query of the command line or of a start scans the log", () =>
  Effect.gen(function* () {
    const file = yield* newFile
    const texts = new Set<string>()
    yield* Effect.gen(function* () {
      const store = yield* LogStore
      const maintenance = yield* StoreMaintenance
      const ticks = yield* TickHistory
      yield* store.appendAll([opened("started", "t"), message("t", 1), signal("cpu"), opened("queued", "u")])
      yield* store.append(ended("completed", "t", 0))
      yield* Effect.gen(function* () {
        yield* store.query({ order: "desc", limit: 100 })
        yield* store.query({ order: "desc", limit: 100, cursor: 4 })
        for (const order of ["asc", "desc"] as const) {
          yield* store.query({ order, source: "sense" })
          yield* store.query({ order, type: "signal" })
          yield* store.query({ order, refId: "cpu" })
          yield* store.query({ order, source: "sense", type: "signal", refId: "cpu", limit: 1 })
          yield* store.query({ order, source: "workflow", type: "paused", refId: "t", archived: false })
          yield* store.query({ order, type: "error", refId: "cpu" })
          yield* store.query({ order, since: 1 })
          yield* store.query({ order, until: 1 })
          yield* store.query({ order, since: 0, until: 10, source: "sense", type: "error" })
          yield* store.query({ order, since: 0, refId: "cpu" })
        }
        yield* store.run("t")
        yield* store.activeRuns
        yield* store.runs({ limit: 20 })
        yield* store.runs({ workflow: "report", limit: 20 })
        yield* store.runs({ workflow: "report", status: "queued", limit: 20 })
        yield* store.runs({ workflow: "report", key: "once", limit: 1 })
        for (const status of RunStatus.literals) yield* store.runs({ status, limit: 20 })
        yield* store.runs({ phase: "waiting", limit: 20 })
        yield* maintenance.stats
        yield* ticks.query({ sense: "cpu", limit: 20 })
        yield* ticks.query({ sense: "cpu", outcome: "error", limit: 20 })
        yield* store.messages("t")
      }).pipe(Effect.withTracer(collecting(texts)))
    }).pipe(Effect.provide(LogStoreSqlite.layerWithTicks(file)))
    const db = new DatabaseSync(file, { readOnly: true })
    const plans = [...texts].map((text) => {
      const steps = db
        .prepare(`EXPLAIN QUERY PLAN ${text}`)
        .all(...Array.from({ length: text.split("?").length - 1 }, () => 1))
      return { text, plan: steps.map((step) => String(step["detail"])).join("; ") }
    })
    db.close()
    expect(plans.length).toBeGreaterThan(8)
    // Without a filter a page is the rows in order of id, up to its limit; with one it must be found by an index.
    // One that sorts has read everything first. Numbers of the whole count an index from end to end.
    const slow = plans.filter(
      ({ plan, text }) =>
        (plan.includes("TEMP B-TREE") && !isBounded(text)) ||
        (/SCAN (logs|workflow_runs|sense_ticks)\b/.test(plan) &&
          !text.includes("1=1") &&
          !(text.includes("COUNT(*)") && /SCAN \w+ USING COVERING INDEX/.test(plan)))
    )
    expect(slow).toEqual([])
  })
)
