/**
 * The counts that CI prints must never look better than the run was.
 */
import { describe, expect, it } from "vitest"
import { countTests } from "../testReport.ts"

const file = (status: string, ...tests: ReadonlyArray<string>) => ({
  status,
  assertionResults: tests.map((test) => ({ status: test }))
})

const report = (...testResults: ReadonlyArray<unknown>): string => JSON.stringify({ testResults })

describe("countTests", () => {
  it("counts each test of each file", () => {
    const text = report(file("passed", "passed", "passed", "skipped"), file("failed", "passed", "failed", "todo"))
    expect(countTests(text, 1)).toEqual({ passed: 3, failed: 1, skipped: 2 })
  })

  it("counts a file that does not load as a failure", () => {
    expect(countTests(report(file("passed", "passed"), file("failed")), 1)).toEqual({
      passed: 1,
      failed: 1,
      skipped: 0
    })
  })

  it("counts an unhandled error beside passing tests as a failure", () => {
    expect(countTests(report(file("passed", "passed")), 1)).toEqual({ passed: 1, failed: 1, skipped: 0 })
  })

  it.each(["", "no json", "{}"])("counts a run without a usable report (%j) as failed", (text) => {
    expect(countTests(text, 0)).toEqual({ passed: 0, failed: 1, skipped: 0 })
  })
})
