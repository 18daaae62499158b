/**
 * Control server and client over a real Unix socket: answers, typed errors, streams, interruption,
 * and every way in which a daemon can be gone.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { Effect, Exit, Fiber, Layer, Queue, Scope, Stream } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import * as FakeDaemon from "./fakeDaemon.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => Workspace.make(realpathSync(mkdtempSync(join(tmpdir(), "nerve-control-"))))),
  (workspace) => Effect.sync(() => rmSync(workspace.root, { recursive: true, force: true }))
)

const served = Effect.gen(function* () {
  const workspace = yield* temporary
  const watch = yield* Queue.unbounded<FakeDaemon.Watched>()
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  yield* Layer.buildWithScope(FakeDaemon.layer(workspace, watch), scope)
  return { workspace, watch, stop: Scope.close(scope, Exit.void) }
})

describe("Control socket", () => {
  it.live("answers requests, with defaults and optional fields left out", () =>
    Effect.gen(function* () {
      const { workspace } = yield* served
      const status = yield* ControlClient.use(workspace, (client) => client.GetStatus())
      assert.deepStrictEqual(status, FakeDaemon.status(workspace.root))
      const logs = yield* ControlClient.use(workspace, (client) => client.QueryLogs({ limit: 2 }))
      assert.deepStrictEqual(logs, [FakeDaemon.entry(1), FakeDaemon.entry(2)])
    })
  )

  it.live("hands a handler's typed error on as it is", () =>
    Effect.gen(function* () {
      const { workspace } = yield* served
      const error = yield* Effect.flip(ControlClient.use(workspace, (client) => client.TriggerSense({ sense: "cqu" })))
      assert.strictEqual(error._tag, "UnknownSense")
      assert.strictEqual(error._tag === "UnknownSense" && error.sense, "cqu")
    })
  )

  it.live("survives a handler's defect: only that call dies", () =>
    Effect.gen(function* () {
      const { workspace } = yield* served
      yield* ControlClient.use(workspace, (client) =>
        Effect.gen(function* () {
          const tail = yield* Stream.runForEach(client.TailLogs({}), () => Effect.void).pipe(
            Effect.forkChild({ startImmediately: true })
          )
          const exit = yield* Effect.exit(client.ListThreads({}))
          assert.isTrue(Exit.isFailure(exit) && Exit.hasDies(exit))
          assert.isUndefined(tail.pollUnsafe())
          assert.strictEqual((yield* client.GetStatus()).pid, process.pid)
        })
      )
    })
  )

  it.live("streams live entries, and the daemon hears when the reader is done", () =>
    Effect.gen(function* () {
      const { watch, workspace } = yield* served
      const entries = yield* ControlClient.use(workspace, (client) =>
        Stream.runCollect(Stream.take(client.TailLogs({}), 3))
      )
      assert.deepStrictEqual(
        entries.map((entry) => entry.id),
        [1, 2, 3]
      )
      assert.strictEqual(yield* Queue.take(watch), "tail started")
      assert.strictEqual(yield* Queue.take(watch), "tail interrupted")
    })
  )

  it.live("interrupts the handler when its caller is interrupted", () =>
    Effect.gen(function* () {
      const { watch, workspace } = yield* served
      const fiber = yield* ControlClient.use(workspace, (client) => client.KillThread({ threadId: "t" })).pipe(
        Effect.forkChild
      )
      assert.strictEqual(yield* Queue.take(watch), "kill started")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* Queue.take(watch), "kill interrupted")
    })
  )

  it.live("lets only the owner in", () =>
    Effect.gen(function* () {
      const { workspace } = yield* served
      assert.strictEqual(statSync(workspace.socket).mode & 0o777, 0o600)
      assert.strictEqual(statSync(dirname(workspace.socket)).mode & 0o777, 0o700)
    })
  )

  it.live("works in a workspace whose path is too long for a socket", () =>
    Effect.gen(function* () {
      const base = yield* temporary
      const root = join(base.root, "x".repeat(120))
      mkdirSync(root)
      const workspace = Workspace.make(root)
      const watch = yield* Queue.unbounded<FakeDaemon.Watched>()
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => rmSync(dirname(workspace.socket), { recursive: true, force: true }))
      )
      yield* Layer.build(FakeDaemon.layer(workspace, watch))
      assert.strictEqual(statSync(dirname(workspace.socket)).mode & 0o777, 0o700)
      assert.strictEqual((yield* ControlClient.use(workspace, (client) => client.GetStatus())).workspace, root)
    })
  )

  it.live("takes its socket away when it stops", () =>
    Effect.gen(function* () {
      const { stop, workspace } = yield* served
      assert.isTrue(existsSync(workspace.socket))
      yield* stop
      assert.isFalse(existsSync(workspace.socket))
    })
  )

  it.live("replaces a stale socket file", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      yield* Workspace.prepareRunDir(workspace)
      writeFileSync(workspace.socket, "")
      const watch = yield* Queue.unbounded<FakeDaemon.Watched>()
      yield* Layer.build(FakeDaemon.layer(workspace, watch))
      assert.strictEqual((yield* ControlClient.use(workspace, (client) => client.GetStatus())).pid, process.pid)
    })
  )

  it.live("does not touch the socket of a daemon that runs", () =>
    Effect.gen(function* () {
      const { watch, workspace } = yield* served
      const error = yield* Effect.flip(Effect.scoped(Layer.build(FakeDaemon.layer(workspace, watch))))
      assert.strictEqual(error._tag, "DaemonAlreadyRunning")
      assert.strictEqual((yield* ControlClient.use(workspace, (client) => client.GetStatus())).pid, process.pid)
    })
  )
})

const fixture = fileURLToPath(new URL("./fakeDaemon.fixture.ts", import.meta.url))

const daemon = (workspace: Workspace.Workspace) =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(process.execPath, [fixture, workspace.root], { stdio: ["ignore", "pipe", "inherit"] })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  ).pipe(Effect.tap((child) => printed(child, "ready")))

const printed = (child: ChildProcess, text: string) =>
  Effect.callback<void>((resume) => {
    const listen = (data: Buffer) => {
      if (!String(data).includes(text)) return
      child.stdout?.off("data", listen)
      resume(Effect.void)
    }
    child.stdout?.on("data", listen)
  })

const getStatus = (workspace: Workspace.Workspace) => ControlClient.use(workspace, (client) => client.GetStatus())

describe("Control client without its daemon", () => {
  it.live("says that none runs when there never was one", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      const error = yield* Effect.flip(getStatus(workspace))
      assert.strictEqual(error._tag, "DaemonNotRunning")
      assert.include(error.message, workspace.root)
      assert.include(error._tag === "DaemonNotRunning" ? error.hint : "", "nerve dev")
    })
  )

  it.live("says so too when a killed daemon has left its socket", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      const child = yield* daemon(workspace)
      assert.strictEqual((yield* getStatus(workspace)).pid, child.pid)
      const gone = yield* Effect.forkChild(
        Effect.callback<void>((resume) => {
          child.once("exit", () => resume(Effect.void))
        }),
        { startImmediately: true }
      )
      child.kill("SIGKILL")
      yield* Fiber.join(gone)
      assert.isTrue(existsSync(workspace.socket))
      assert.strictEqual((yield* Effect.flip(getStatus(workspace)))._tag, "DaemonNotRunning")
    })
  )

  it.live("fails a call in flight when the daemon is killed", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      const child = yield* daemon(workspace)
      const started = yield* Effect.forkChild(printed(child, "kill started"), { startImmediately: true })
      const call = yield* Effect.forkChild(
        Effect.flip(ControlClient.use(workspace, (client) => client.KillThread({ threadId: "t" })))
      )
      yield* Fiber.join(started)
      child.kill("SIGKILL")
      assert.strictEqual((yield* Fiber.join(call))._tag, "DaemonLost")
    })
  )

  it.live("ends a stream with an error when the daemon is killed", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      const child = yield* daemon(workspace)
      const seen = yield* Queue.unbounded<number>()
      const tail = yield* Effect.forkChild(
        Effect.flip(
          ControlClient.use(workspace, (client) =>
            Stream.runForEach(client.TailLogs({}), (entry) => Queue.offer(seen, entry.id))
          )
        )
      )
      yield* Queue.takeN(seen, 3)
      child.kill("SIGKILL")
      assert.strictEqual((yield* Fiber.join(tail))._tag, "DaemonLost")
    })
  )

  it.live("ends calls and streams with an error when the daemon stops gracefully", () =>
    Effect.gen(function* () {
      const { stop, watch, workspace } = yield* served
      const tail = yield* Effect.forkChild(
        Effect.flip(ControlClient.use(workspace, (client) => Stream.runForEach(client.TailLogs({}), () => Effect.void)))
      )
      assert.strictEqual(yield* Queue.take(watch), "tail started")
      const call = yield* Effect.forkChild(
        Effect.flip(ControlClient.use(workspace, (client) => client.KillThread({ threadId: "t" })))
      )
      assert.strictEqual(yield* Queue.take(watch), "kill started")
      yield* stop
      assert.strictEqual((yield* Fiber.join(tail))._tag, "DaemonLost")
      assert.strictEqual((yield* Fiber.join(call))._tag, "DaemonLost")
    })
  )

  it.live("does not hang on a daemon that is stopped and never answers", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      const child = yield* daemon(workspace)
      child.kill("SIGSTOP")
      const error = yield* Effect.flip(getStatus(workspace))
      assert.strictEqual(error._tag, "DaemonLost")
      assert.include(error.message, "does not answer")
    })
  )

  it.live("does not take a server that speaks something else for the daemon", () =>
    Effect.gen(function* () {
      const workspace = yield* temporary
      yield* Workspace.prepareRunDir(workspace)
      yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof createServer>>((resume) => {
          const server = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"))
          server.listen(workspace.socket, () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      assert.strictEqual((yield* Effect.flip(getStatus(workspace)))._tag, "DaemonLost")
    })
  )
})

describe("Control server", () => {
  it.live("stops within its bound although a client has stopped reading", () =>
    Effect.gen(function* () {
      const { stop, watch, workspace } = yield* served
      // Asks for far more than socket buffers hold, and never reads the answer.
      const deaf = yield* Effect.acquireRelease(
        Effect.sync(() =>
          spawn(
            process.execPath,
            [
              "-e",
              `
            setInterval(() => {}, 1000)
            const socket = require("node:net").connect(${JSON.stringify(workspace.socket)}, () => {
              socket.pause()
              const line = (message) => socket.write(JSON.stringify(message) + "\\n")
              line({ _tag: "Request", id: "1", tag: "QueryLogs", payload: { limit: 100000 }, headers: [] })
              line({ _tag: "Request", id: "2", tag: "TailLogs", payload: {}, headers: [] })
            })
          `
            ],
            { stdio: "ignore" }
          )
        ),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      assert.strictEqual(yield* Queue.take(watch), "tail started")
      yield* stop
      assert.isTrue(process.kill(deaf.pid ?? 0, 0))
      assert.isFalse(existsSync(workspace.socket))
    })
  )
})
