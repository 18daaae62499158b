/**
 * The workflow's own code: what it reads from `ps` and `df`, how its rules judge, what the report says;
 * and the collector on this machine's real commands.
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { it } from "@effect/vitest"
import { Role } from "@nerve/core"
import { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import type { ThreadMessage } from "@nerve/core/domain/Thread"
import { Effect, Layer, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { describe, expect, vi } from "vitest"
import { judge, judgedByCode } from "../workflows/investigate-load/analyst.ts"
import { Findings, parseDisk, parseProcesses, Verdict } from "../workflows/investigate-load/findings.ts"
import workflow from "../workflows/investigate-load/index.ts"
import { render } from "../workflows/investigate-load/reporter.ts"

// The workflow chooses its analyst when it is loaded.
vi.hoisted(() => {
  delete process.env["OPENAI_API_KEY"]
  delete process.env["OPENAI_BASE_URL"]
})

const contextOf = (steps: ReadonlyArray<ThreadMessage>): Role.Context => ({
  threadId: "t-1",
  start: {
    threadId: ThreadId.make("t-1"),
    workflow: WorkflowName.make("investigate-load"),
    prompt: "why?",
    maxRounds: 10,
    dryRun: false
  },
  steps
})

const findings: Findings = {
  processes: [
    { pid: 7, cpu: 20, memory: 1.5, command: "a|b" },
    { pid: 8, cpu: 3, memory: 0, command: "c" }
  ],
  disk: { mount: "/", total: 10 * 1024 ** 3, available: 4 * 1024 ** 3, used: 60 },
  problems: ["df: no such command"]
}

describe("parseProcesses", () => {
  it("lists the busiest first, ps itself left out", () => {
    const text =
      "    1  0.0  0.1 /sbin/init splash\n  42 99.5  2.0 [kworker/0:1]\n  43 50.0  0.0 ps -eo pid=\n 100  7.0 10.0 node\n"
    expect(parseProcesses(text, 2)).toEqual([
      { pid: 42, cpu: 99.5, memory: 2, command: "[kworker/0:1]" },
      { pid: 100, cpu: 7, memory: 10, command: "node" }
    ])
  })

  it("names the program alone: its arguments may hold secrets", () => {
    expect(parseProcesses(" 7 1.0 0.5 /usr/bin/curl -u me:secret https://example.org/a\n", 1)).toEqual([
      { pid: 7, cpu: 1, memory: 0.5, command: "curl" }
    ])
  })
})

describe("parseDisk", () => {
  it("reads df's line, blanks in the mount's name included", () => {
    const text =
      "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/disk 1000 600 400 60% /Volumes/My Disk\n"
    expect(parseDisk(text)).toEqual({ mount: "/Volumes/My Disk", total: 1_024_000, available: 409_600, used: 60 })
  })

  it("reads nothing from what is no answer of df", () => {
    expect(parseDisk("")).toBeNull()
  })
})

describe("the analyst's rules", () => {
  it("find nothing in a calm machine", () => {
    expect(judge(findings).severity).toBe("calm")
    expect(judge({ processes: [], disk: null, problems: [] }).severity).toBe("calm")
  })

  it("name the process that keeps a machine busy", () => {
    const verdict = judge({ ...findings, processes: [{ pid: 9, cpu: 50, memory: 0, command: "spin" }] })
    expect(verdict).toMatchObject({ severity: "busy", summary: "spin (pid 9) uses 50 % of a core." })
  })

  it("hold a full disk to be worse than a busy process", () => {
    const disk = { mount: "/data", total: 100, available: 5, used: 95 }
    expect(judge({ ...findings, disk })).toMatchObject({ severity: "critical", advice: "Make room on /data." })
  })
})

describe("the report", () => {
  it("tells the verdict, who judged, the processes, the disk and the problems", () => {
    const analyst = { round: 2, role: "analyst", content: judgedByCode, meta: null, timestamp: 0 }
    const text = render(contextOf([analyst]), findings, judge(findings))
    expect(text).toContain("# Load report: calm")
    expect(text).toContain("- Judged: 1970-01-01T00:00:00.000Z")
    expect(text).toContain(judgedByCode)
    expect(text).toContain("| 7 | 20 | 1.5 | a\\|b |")
    expect(text).toContain("/: 60 % used, 4.0 GiB of 10.0 GiB available.")
    expect(text).toContain("- df: no such command")
  })
})

describe("the workflow", () => {
  it.live("collects real figures, judges them and writes the report at once as a whole", () =>
    Effect.gen(function* () {
      const workspace = yield* Effect.acquireRelease(
        Effect.promise(() => mkdtemp(join(tmpdir(), "nerve-report-"))),
        (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
      )
      const worker = Layer.mergeAll(
        NodeServices.layer,
        FetchHttpClient.layer,
        Layer.succeed(Role.Info, { workflow: "investigate-load", workspace, agents: [], extract: null })
      )
      const steps: Array<ThreadMessage> = []
      for (;;) {
        const next = workflow.moderator(contextOf(steps))
        if (next === "~end") break
        const answer = yield* workflow.roles[next].run(contextOf(steps), { role: next }).pipe(Effect.provide(worker))
        steps.push({
          round: steps.length + 1,
          role: next,
          content: answer.content,
          meta: answer.meta ?? null,
          timestamp: 1
        })
      }
      expect(steps.map((step) => step.role)).toEqual(["collector", "analyst", "reporter"])
      const found = yield* Schema.decodeUnknownEffect(Findings)(steps[0]?.meta)
      expect(found.problems).toEqual([])
      expect(found.processes.length).toBeGreaterThan(0)
      expect(found.disk?.total).toBeGreaterThan(0)
      expect(yield* Schema.decodeUnknownEffect(Verdict)(steps[1]?.meta)).toEqual(judge(found))
      expect(yield* Effect.promise(() => readdir(join(workspace, "data/reports")))).toEqual(["t-1.md"])
      expect(yield* Effect.promise(() => readFile(join(workspace, "data/reports/t-1.md"), "utf8"))).toContain(
        judgedByCode
      )
    })
  )
})
