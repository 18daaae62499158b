/** The headless daemon as a service manager runs it: a process, its signals, its exit code. */
import { describe, expect, it } from "@effect/vitest"
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { Effect, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { makeWorkspace } from "../user/workspace.ts"

const entry = fileURLToPath(new URL("../../dist/daemon.mjs", import.meta.url))

const start = (workspace: string) =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, [entry, workspace], { stdio: ["ignore", "ignore", "pipe"] })),
    (child) => Effect.sync(() => child.exitCode === null && child.kill("SIGKILL"))
  )

/** Exit code and all of stderr. */
const ended = (child: ChildProcess) =>
  Effect.promise(async () => {
    let stderr = ""
    child.stderr?.on("data", (chunk) => (stderr += String(chunk)))
    if (child.exitCode === null) await once(child, "close")
    return { code: child.exitCode, stderr }
  })

const awaitRunning = (workspace: Workspace.Workspace) =>
  ControlClient.use(workspace, (client) => client.GetStatus()).pipe(
    Effect.retry({ schedule: Schedule.spaced("20 millis"), times: 500 })
  )

describe("daemon main", () => {
  it.live.each(["SIGTERM", "SIGINT"] as const)("%s stops it gracefully with exit code 0", (signal) =>
    Effect.gen(function* () {
      const workspace = Workspace.make(yield* makeWorkspace({ "nerve.yaml": "{}\n" }))
      const daemon = yield* start(workspace.root)
      const status = yield* awaitRunning(workspace)
      expect(status.pid).toBe(daemon.pid)
      const end = ended(daemon)
      daemon.kill(signal)
      expect(yield* end).toEqual({ code: 0, stderr: "" })
      expect(existsSync(workspace.socket)).toBe(false)
    })
  )

  it.live("stops when it is asked to over the control socket", () =>
    Effect.gen(function* () {
      const workspace = Workspace.make(yield* makeWorkspace({ "nerve.yaml": "{}\n" }))
      const daemon = yield* start(workspace.root)
      yield* awaitRunning(workspace)
      yield* ControlClient.use(workspace, (client) => client.StopDaemon())
      expect(yield* ended(daemon)).toEqual({ code: 0, stderr: "" })
    })
  )

  it.live("refuses a broken nerve.yaml with its places and exit code 1, without a stack trace", () =>
    Effect.gen(function* () {
      const root = yield* makeWorkspace({ "nerve.yaml": "senses:\n  a: { intervall: 5s }\n" })
      const { code, stderr } = yield* ended(yield* start(root))
      expect(code).toBe(1)
      expect(stderr).toContain("nerve.yaml:2:8")
      expect(stderr).not.toMatch(/\n\s+at /)
    })
  )
})
