/**
 * The daemon lock against real second processes.
 */
import { assert, describe, it } from "@effect/vitest"
import * as DaemonLock from "@nerve/node/daemon/DaemonLock"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { Effect, Fiber } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const temporary = Effect.acquireRelease(
  Effect.sync(() => Workspace.make(realpathSync(mkdtempSync(join(tmpdir(), "nerve-lock-"))))),
  (workspace) => Effect.sync(() => rmSync(workspace.root, { recursive: true, force: true }))
)

const fixture = fileURLToPath(new URL("./holdLock.fixture.ts", import.meta.url))

const start = (workspace: Workspace.Workspace) =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, [fixture, workspace.root], { stdio: ["pipe", "pipe", "inherit"] })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** The first line that the process prints: `held`, or the error. */
const said = (child: ChildProcess) =>
  Effect.callback<string>((resume) => {
    child.stdout?.once("data", (data: Buffer) => resume(Effect.succeed(String(data).trim())))
  })

const exited = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    child.once("exit", () => resume(Effect.void))
  })

const version = { version: "1.2.3" }

describe("DaemonLock", () => {
  it.live("says who runs while it is held, and takes that back", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      yield* Effect.scoped(
        Effect.gen(function* () {
          const lock = yield* DaemonLock.acquire(workspace, version)
          const info = yield* DaemonLock.readInfo(workspace)
          assert.deepStrictEqual(info, lock.info)
          assert.strictEqual(info?.pid, process.pid)
          assert.strictEqual(info?.version, "1.2.3")
          assert.strictEqual(info?.socket, workspace.socket)
        })
      )
      assert.isFalse(existsSync(workspace.daemonFile))
    })
  )

  it.live("refuses a second daemon in the same process", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      yield* DaemonLock.acquire(workspace, version)
      const error = yield* Effect.flip(Effect.scoped(DaemonLock.acquire(workspace, version)))
      assert.strictEqual(error._tag, "DaemonAlreadyRunning")
      // The refused one must not have taken the file away.
      assert.strictEqual((yield* DaemonLock.readInfo(workspace))?.pid, process.pid)
    })
  )

  it.live("can be taken again after a release", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      yield* Effect.scoped(DaemonLock.acquire(workspace, version))
      yield* Effect.scoped(DaemonLock.acquire(workspace, version))
    })
  )

  it.live("refuses while another process holds it, naming its pid and how to stop it", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      const child = yield* start(workspace)
      assert.strictEqual(yield* said(child), "held")
      const error = yield* Effect.flip(Effect.scoped(DaemonLock.acquire(workspace, version)))
      assert.strictEqual(error._tag, "DaemonAlreadyRunning")
      assert.include(error.message, `pid ${child.pid}`)
      assert.include(error._tag === "DaemonAlreadyRunning" ? error.hint : "", `kill ${child.pid}`)
    })
  )

  it.live("is free at once after its holder was killed", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      const child = yield* start(workspace)
      assert.strictEqual(yield* said(child), "held")
      const gone = yield* Effect.forkChild(exited(child), { startImmediately: true })
      child.kill("SIGKILL")
      yield* Fiber.join(gone)
      // The dead holder's daemon.json is still there: it must not matter.
      assert.strictEqual((yield* DaemonLock.readInfo(workspace))?.pid, child.pid)
      const lock = yield* DaemonLock.acquire(workspace, version)
      assert.strictEqual(lock.info.pid, process.pid)
    })
  )

  it.live("lets exactly one of many that start at the same time win", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      const children = yield* Effect.replicateEffect(start(workspace), 5)
      const answers = yield* Effect.forEach(children, said, { concurrency: "unbounded" })
      const winner = children[answers.indexOf("held")]
      assert.strictEqual(answers.filter((answer) => answer === "held").length, 1)
      for (const answer of answers) {
        if (answer !== "held") assert.include(answer, `pid ${winner?.pid}`)
      }
    })
  )

  it.live("says so when the lock file is something else", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      yield* Workspace.prepareRunDir(workspace)
      writeFileSync(workspace.lockFile, "this is not a database, and longer than a hundred bytes. ".repeat(4))
      const error = yield* Effect.flip(Effect.scoped(DaemonLock.acquire(workspace, version)))
      assert.strictEqual(error._tag, "DaemonLockFailed")
      assert.include(error.message, workspace.lockFile)
    })
  )

  it.live("takes a damaged daemon.json for none", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      yield* Workspace.prepareRunDir(workspace)
      writeFileSync(workspace.daemonFile, '{"pid": "x"')
      assert.isNull(yield* DaemonLock.readInfo(workspace))
    })
  )
})
