import { assert, describe, it } from "@effect/vitest"
import * as WorkerExit from "@nerve/core/domain/WorkerExit"

const failed = { code: 1, signal: null }

describe("WorkerExit", () => {
  it("says what a process complained of last, beside its exit code", () => {
    const node = [
      "Warning: something else",
      "file:///app/a.ts:1",
      'throw new TypeError("x is not a function")',
      "^",
      "",
      "TypeError [ERR_X]: x is not a function",
      "    at file:///app/a.ts:1:7 {",
      "  [cause]: Error: deeper",
      "}",
      "",
      "Node.js v24.21.0",
      ""
    ].join("\n")
    assert.strictEqual(WorkerExit.explain(failed, node), "exit code 1 (stderr: TypeError [ERR_X]: x is not a function)")
    const python =
      'Traceback (most recent call last):\n  File "w.py", line 1\njson.decoder.JSONDecodeError: Expecting value\n'
    assert.strictEqual(
      WorkerExit.explain(failed, python),
      "exit code 1 (stderr: json.decoder.JSONDecodeError: Expecting value)"
    )
  })

  it("says the exit alone where nothing was said, nothing went wrong, or a signal ended it", () => {
    const said = "Error: no such table\n"
    assert.strictEqual(WorkerExit.explain(failed, "listening on 80\n"), "exit code 1")
    assert.strictEqual(WorkerExit.explain({ code: 0, signal: null }, said), "exit code 0")
    assert.strictEqual(WorkerExit.explain({ code: null, signal: "SIGKILL" }, said), "SIGKILL")
  })

  it("cuts a complaint that is long", () => {
    assert.isBelow(WorkerExit.explain(failed, `Error: ${"x".repeat(2000)}`).length, 400)
  })
})
