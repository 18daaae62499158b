/**
 * Stands in for a command-line coding agent, so that the example runs without one: it reads the
 * conversation from stdin and edits files in the current folder, like a real one. It knows one task.
 * Its first try has a fault that the tests find; when a reviewer has spoken it mends that.
 */
import { readFileSync, writeFileSync } from "node:fs"

const conversation = readFileSync(0, "utf8")
const reviewed = conversation.includes("# reviewer said")

const order = reviewed ? "values.toSorted((a, b) => a - b)" : "values.toSorted()"
writeFileSync(
  "src/median.js",
  `/** The median of numbers: the middle one, or the mean of the two in the middle. */
export const median = (values) => {
  const sorted = ${order}
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
`
)
writeFileSync(
  "test/median.test.js",
  `import assert from "node:assert/strict"
import { test } from "node:test"
import { median } from "../src/median.js"

test("the one in the middle", () => assert.equal(median([3, 1, 2]), 2))
test("the mean of the two in the middle", () => assert.equal(median([1, 2, 3, 4]), 2.5))
test("numbers of several digits", () => assert.equal(median([10, 9, 1, 2]), 5.5))
`
)
console.log(
  reviewed
    ? "(stand-in for a coding agent) Sorted the values as numbers."
    : "(stand-in for a coding agent) An even number of values has the mean of the two in the middle as its median."
)
