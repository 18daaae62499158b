/**
 * The daemon as a page.
 */
import * as DaemonViews from "@nerve/cli/render/DaemonViews"
import { plain } from "@nerve/cli/render/Style"
import { assert, describe, it } from "@effect/vitest"
import { daemonStatus, senseView, workflowView } from "../../../core/test/wire/samples.ts"

const now = 1_000_000

const daemon = daemonStatus({
  senses: [
    senseView("cpu-usage", {
      group: "system",
      intervalMs: 2_000,
      nextAt: now + 1_500,
      lastAt: now - 500,
      computes: 30,
      signals: 12
    }),
    senseView("disk", {
      group: "disk",
      status: "failed",
      problem: { code: "module-missing", message: "there is no module", file: "senses/disk.ts", hint: "add the file" },
      on: ["cpu-usage"],
      errors: 1
    })
  ],
  workflows: [workflowView("investigate", { overflow: "queue", queued: 3, roles: ["collector", "analyst"] })],
  workers: [
    { key: "sense:system", state: "ready", pid: 43, incarnation: 2, crashes: 1 },
    { key: "workflow:investigate", state: "given-up", pid: null, incarnation: 6, crashes: 6 }
  ]
})

describe("DaemonViews", () => {
  it("shows the whole daemon, problems beneath their table", () => {
    assert.strictEqual(
      DaemonViews.status(daemon, { now, style: plain }),
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
})
