/**
 * The counts that CI prints must never look better than the run was.
 */
import { describe, expect, it } from "vitest"
import { countTests, failedTests } from "../testReport.ts"

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

describe("failedTests", () => {
  it("names each failed test and each broken file with the first line of its message", () => {
    const text = report(
      {
        name: "a.test.ts",
        status: "failed",
        assertionResults: [
          { status: "passed", fullName: "works" },
          { status: "failed", fullName: "breaks", failureMessages: ["expected 1\nat a.test.ts:3"] }
        ]
      },
      { name: "b.test.ts", status: "failed", message: "does not load\nat b", assertionResults: [] }
    )
    expect(failedTests(text)).toEqual(["a.test.ts: breaks: expected 1", "b.test.ts: does not load"])
  })
})
