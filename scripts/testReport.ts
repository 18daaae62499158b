/**
 * Reads vitest's JSON report. What vitest calls a failure but lists under no test (a file that does not
 * load, an unhandled error, a report that is missing) counts as one failed test, so that a red run never
 * reads as `0 failed`.
 */

/** Tests of one run. */
export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? { ...value } : {}

const list = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The failed tests and broken files of a report's text, one line each, with the first line of what went wrong. */
export const failedTests = (report: string): ReadonlyArray<string> =>
  list(record(parse(report))["testResults"])
    .map(record)
    .flatMap((file) => {
      const failed = list(file["assertionResults"])
        .map(record)
        .filter((test) => test["status"] === "failed")
      const name = String(file["name"])
      if (failed.length > 0) {
        return failed.map(
          (test) => `${name}: ${String(test["fullName"])}: ${firstLine(list(test["failureMessages"])[0])}`
        )
      }
      return file["status"] === "failed" ? [`${name}: ${firstLine(file["message"])}`] : []
    })

const firstLine = (text: unknown): string => String(text ?? "no message").split("\n")[0] ?? ""

/** The counts of a report's text; `exitCode` is vitest's own. */
export const countTests = (report: string, exitCode: number): Counts => {
  const files = list(record(parse(report))["testResults"]).map(record)
  const statuses = files.flatMap((file) => list(file["assertionResults"]).map((test) => record(test)["status"]))
  const brokenFiles = files.filter(
    (file) =>
      file["status"] === "failed" && !list(file["assertionResults"]).some((test) => record(test)["status"] === "failed")
  ).length
  const passed = statuses.filter((status) => status === "passed").length
  const failed = statuses.filter((status) => status === "failed").length + brokenFiles
  return {
    passed,
    failed: failed === 0 && (exitCode !== 0 || passed === 0) ? 1 : failed,
    skipped: statuses.length - passed - statuses.filter((status) => status === "failed").length
  }
}
