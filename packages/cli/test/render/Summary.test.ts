/**
 * The last line of `nerve dev`.
 */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import * as Summary from "@nerve/cli/render/Summary"
import { assert, describe, it } from "@effect/vitest"

const entry = (
  source: LogEntry["source"],
  type: string,
  refId: string,
  payload: LogEntry["payload"] = null
): LogEntry => ({
  id: 1,
  source,
  type,
  refId,
  payload,
  round: null,
  timestamp: 0
})

describe("Summary", () => {
  it("counts signals by sense, ended threads by end, and crashes", () => {
    const summary = [
      entry("sense", "signal", "memory"),
      entry("sense", "signal", "cpu"),
      entry("sense", "signal", "cpu"),
      entry("sense", "error", "cpu"),
      entry("workflow", "started", "t1"),
      entry("workflow", "crashed", "t1", { reason: "SIGKILL", final: false }),
      entry("workflow", "completed", "t1"),
      entry("worker", "exited", "sense:a", { expected: false }),
      entry("worker", "exited", "sense:a", { expected: true })
    ].reduce(Summary.add, Summary.empty)
    assert.strictEqual(
      Summary.render(summary, 60_000),
      "ran 1 min: 3 signals (cpu 2, memory 1), 1 thread ended (completed 1), 1 worker crash"
    )
  })

  it("says so when nothing happened", () => {
    assert.strictEqual(Summary.render(Summary.empty, 1_000), "ran 1 s: 0 signals, 0 threads ended")
  })
})
