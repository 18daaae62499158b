/**
 * The daemon as its Layer graph, opened in this process on real workspaces: real workers, real files,
 * the control socket; and what it does where something is in its way.
 */
import { describe, expect, it } from "@effect/vitest"
import * as ConfigParser from "@nerve/core/config/ConfigParser"
import type { LogQuery } from "@nerve/core/domain/LogEntry"
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Daemon from "@nerve/node/daemon/Daemon"
import * as DaemonLock from "@nerve/node/daemon/DaemonLock"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { type Duration, Effect, Exit, Logger, Queue, Result, Scope, Stream } from "effect"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"

const folder = Effect.acquireRelease(
  Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "nerve-daemon-")))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

type Files = Readonly<Record<string, string>>

/** A workspace of these files in a folder of its own, or in the one given. */
const workspaceOf = Effect.fnUntraced(function* (files: Files, root?: string) {
  const path = root ?? (yield* folder)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), text)
  }
  return yield* Workspace.find(path)
})

const open = Effect.fnUntraced(function* (workspace: Workspace.Workspace, drainBound: Duration.Input = "10 seconds") {
  const config = Result.getOrThrow(ConfigParser.parse(readFileSync(workspace.configFile, "utf8")))
  return yield* Daemon.open({ workspace, config, version: "1.2.3", drainBound })
})

/** The first entry that matches, of the past or still to come. */
const logged = (daemon: Daemon.Daemon, query: LogQuery) =>
  daemon.log.follow({ cursor: 0, ...query }).pipe(
    Stream.take(1),
    Stream.runCollect,
    Effect.map(([entry]) => {
      if (entry === undefined) throw new Error(`the log ended without ${JSON.stringify(query)}`)
      return entry
    })
  )

/** What the daemon says to whoever runs it. */
const listening = Effect.gen(function* () {
  const said = yield* Queue.unbounded<string>()
  const logger = Logger.map(Logger.formatLogFmt, (line) => void Queue.offerUnsafe(said, line))
  const heard = (text: string) =>
    Stream.fromQueue(said).pipe(
      Stream.filter((line) => line.includes(text)),
      Stream.take(1),
      Stream.runDrain
    )
  return { layer: Logger.layer([logger]), heard }
})

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const imports = `import { Role, Sense, Workflow } from "@nerve/core"\nimport { Schema } from "effect"\n`

const files: Files = {
  "nerve.yaml": `
senses:
  beat: { interval: 100ms, group: one }
  echo: { on: [beat], group: two }
workflows:
  note: { overflow: drop }
env: [NERVE_TEST_SHOWN]
`,
  "senses/beat/index.ts": `${imports}
export default Sense.make({
  signal: Schema.Struct({ rows: Schema.Finite, shown: Schema.String, hidden: Schema.Boolean }),
  compute: ({ db, workspace }) => {
    db.prepare("INSERT INTO beats (workspace) VALUES (?)").run(workspace)
    const rows = Number(db.prepare("SELECT count(*) AS n FROM beats").get()?.n)
    return Sense.signal(
      { rows, shown: process.env.NERVE_TEST_SHOWN ?? "", hidden: process.env.NERVE_TEST_HIDDEN === undefined },
      rows === 1 ? { launch: { workflow: "note", prompt: "first" } } : {}
    )
  }
})`,
  "senses/beat/migrations/0001_init.sql": "CREATE TABLE beats (workspace TEXT NOT NULL)",
  "senses/echo/index.ts": `${imports}
export default Sense.make({
  signal: Schema.Struct({ rows: Schema.Finite }),
  compute: ({ peer }) =>
    Sense.signal({ rows: Number(peer("beat").prepare("SELECT count(*) AS n FROM beats").get()?.n) })
})`,
  "workflows/note/index.ts": `${imports}
import { appendFileSync } from "node:fs"
import { join } from "node:path"
const write = Role.make(({ start, threadId }, { workspace }) => {
  appendFileSync(join(workspace, "notes.txt"), threadId + " " + start.prompt + "\\n")
  return "written"
})
export default Workflow.make({ roles: { write }, moderator: Workflow.sequence("write") })`
}

/** A sense that signals each time. */
const simple = `${imports}
export default Sense.make({ signal: Schema.Finite, compute: () => Sense.signal(1) })`

/** Opens a daemon, waits until all of the workspace has worked, asks for its health, and closes it. */
const live = Effect.fnUntraced(function* (workspace: Workspace.Workspace) {
  const scope = yield* Scope.make()
  const daemon = yield* Scope.provide(open(workspace), scope)
  const signal = yield* logged(daemon, { type: "signal", refId: "beat" })
  const echo = yield* logged(daemon, { type: "signal", refId: "echo" })
  const completed = yield* logged(daemon, { type: "completed" })
  const status = yield* ControlClient.use(workspace, (client) => client.GetStatus())
  yield* Scope.close(scope, Exit.void)
  return { signal, echo, completed, status }
})

/** Nothing of a daemon is left but its data. */
const expectGone = (workspace: Workspace.Workspace, pids: ReadonlyArray<number | null>) => {
  expect(pids.filter((pid) => pid !== null && isAlive(pid))).toEqual([])
  expect(existsSync(workspace.socket)).toBe(false)
  expect(existsSync(workspace.daemonFile)).toBe(false)
  expect(existsSync(`${workspace.logFile}-wal`)).toBe(false)
}

describe("Daemon", () => {
  it.live("opens, senses, launches, answers on its socket, closes, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const workspace = yield* workspaceOf(files)
      const { completed, echo, signal, status } = yield* live(workspace)
      expect(signal.payload).toMatchObject({ group: "one", cause: "interval" })
      expect(echo.payload).toMatchObject({ group: "two", cause: "on:beat" })
      expect(status).toMatchObject({ version: "1.2.3", pid: process.pid, workspace: workspace.root })
      expect(status.senses.map((sense) => [sense.name, sense.problem])).toEqual([
        ["beat", null],
        ["echo", null]
      ])
      expect(status.workers.map((worker) => worker.key)).toEqual(["sense:one", "sense:two", "workflow:note"])
      expect(readFileSync(join(workspace.root, "notes.txt"), "utf8")).toBe(`${completed.refId} first\n`)
      expectGone(
        workspace,
        status.workers.map((worker) => worker.pid)
      )
    })
  )

  it.live("opens again on what it left, and goes on counting", () =>
    Effect.gen(function* () {
      const workspace = yield* workspaceOf(files)
      const first = yield* live(workspace)
      const daemon = yield* open(workspace)
      const started = yield* daemon.log.query({ source: "kernel", type: "started", limit: 10 })
      expect(started).toHaveLength(2)
      const again = yield* logged(daemon, { type: "signal", refId: "beat", cursor: started[1]?.id ?? 0 })
      expect(again.id).toBeGreaterThan(first.signal.id)
      expect(again.payload).toMatchObject({ value: { rows: expect.any(Number) } })
      expect((yield* daemon.log.runs({})).map((run) => run.threadId)).toEqual([first.completed.refId])
    })
  )

  it.live("works where the path has spaces, other alphabets, # and %, and is reached by a link", () =>
    Effect.gen(function* () {
      const parent = yield* folder
      const real = join(parent, "mein Büro #1 100%25 観察 ?a='b'")
      mkdirSync(real)
      symlinkSync(real, join(parent, "link"))
      yield* workspaceOf(files, real)
      const workspace = yield* Workspace.find(join(parent, "link"))
      expect(workspace.root).toBe(real)
      const { signal, status } = yield* live(workspace)
      expect(signal.payload).toMatchObject({ value: { rows: 1 } })
      expect(readFileSync(join(real, "notes.txt"), "utf8")).toContain("first")
      expectGone(
        workspace,
        status.workers.map((worker) => worker.pid)
      )
    })
  )

  it.live("works at the end of a long path, and refuses one that is too long for SQLite in words", () =>
    Effect.gen(function* () {
      const long = (length: number, path: string): string =>
        path.length >= length ? path : long(length, join(path, "x".repeat(Math.min(100, length - path.length - 1))))
      const parent = yield* folder
      const root = long(Workspace.maxRoot, parent)
      expect(root).toHaveLength(Workspace.maxRoot)
      const name = "s".repeat(64)
      const workspace = yield* workspaceOf(
        { "nerve.yaml": `senses: { ${name}: { interval: 100ms } }`, [`senses/${name}.ts`]: simple },
        root
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const daemon = yield* open(workspace)
          yield* logged(daemon, { type: "signal", refId: name })
          yield* ControlClient.use(workspace, (client) => client.GetStatus())
        })
      )
      expectGone(workspace, [])
      expect(existsSync(dirname(workspace.socket))).toBe(false)
      const longer = yield* workspaceOf(files, long(Workspace.maxRoot + 50, parent))
      const error = yield* Effect.flip(open(longer))
      expect(error._tag).toBe("RunDirUnusable")
      expect(error.message).toContain(`has ${Workspace.maxRoot + 50} bytes; SQLite's limit leaves ${Workspace.maxRoot}`)
    })
  )

  it.live("shows workers the variables that nerve.yaml names, no others, and writes none of them down", () =>
    Effect.gen(function* () {
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          process.env["NERVE_TEST_SHOWN"] = "to be seen"
          process.env["NERVE_TEST_HIDDEN"] = "a-secret-that-nobody-logs"
        }),
        () =>
          Effect.sync(() => {
            delete process.env["NERVE_TEST_SHOWN"]
            delete process.env["NERVE_TEST_HIDDEN"]
          })
      )
      const workspace = yield* workspaceOf(files)
      const { signal } = yield* live(workspace)
      expect(signal.payload).toMatchObject({ value: { shown: "to be seen", hidden: true } })
      expect(readFileSync(workspace.logFile).includes("a-secret-that-nobody-logs")).toBe(false)
    })
  )

  it.live("refuses a second daemon, which harms nothing of the first", () =>
    Effect.gen(function* () {
      const workspace = yield* workspaceOf(files)
      const daemon = yield* open(workspace)
      const error = yield* Effect.flip(Effect.scoped(open(workspace)))
      expect(error).toMatchObject({ _tag: "DaemonAlreadyRunning", pid: process.pid })
      expect((yield* ControlClient.use(workspace, (client) => client.GetStatus())).pid).toBe(process.pid)
      expect((yield* DaemonLock.readInfo(workspace))?.pid).toBe(process.pid)
      yield* logged(daemon, { type: "completed" })
    })
  )

  it.live("does not start when its log does not open, and leaves nothing behind; starts once that is mended", () =>
    Effect.gen(function* () {
      const workspace = yield* workspaceOf({ ...files, data: "a file where a folder should be" })
      const error = yield* Effect.flip(Effect.scoped(open(workspace)))
      expect(error._tag).toBe("StoreOpenFailed")
      expect(error.message).toContain(workspace.logFile)
      expectGone(workspace, [])
      rmSync(join(workspace.root, "data"))
      yield* live(workspace)
    })
  )

  it.live("runs on when the folder of the senses' databases cannot be used, and says which sense it is about", () =>
    Effect.gen(function* () {
      const workspace = yield* workspaceOf({ ...files, "data/senses": "a file where a folder should be" })
      const daemon = yield* open(workspace)
      const broken = yield* logged(daemon, { type: "broken", refId: "beat" })
      expect(broken.payload).toMatchObject({ code: "database-unusable", file: "data/senses/beat.db" })
      yield* daemon.kernel.workflows.trigger({ workflow: "note", prompt: "still here", cause: "manual" })
      yield* logged(daemon, { type: "completed" })
    })
  )

  it.live("runs on and says so when its log is taken away, and takes nothing for recorded", () =>
    Effect.gen(function* () {
      const workspace = yield* workspaceOf(files)
      const { heard, layer } = yield* listening
      const daemon = yield* Effect.provide(open(workspace), layer)
      yield* logged(daemon, { type: "completed" })
      rmSync(workspace.logFile)
      yield* heard("is not in the log, nor is what comes until it can be written")
      const error = yield* Effect.flip(
        ControlClient.use(workspace, (client) => client.TriggerWorkflow({ workflow: "note", prompt: "again" }))
      )
      expect(error).toMatchObject({ _tag: "StoreUnavailable" })
      expect(error.message).toContain("was deleted or replaced")
      expect((yield* ControlClient.use(workspace, (client) => client.GetStatus())).pid).toBe(process.pid)
      expect(readFileSync(join(workspace.root, "notes.txt"), "utf8").trim().split("\n")).toHaveLength(1)
    })
  )

  describe("on a damaged log", () => {
    /** A thread that is started, with one round recorded; then this is done to the log; then a daemon opens. */
    const resumed = Effect.fnUntraced(function* (damage: string) {
      const workspace = yield* workspaceOf({
        "nerve.yaml": "workflows: { two: {} }",
        "workflows/two/index.ts": `${imports}
import { existsSync } from "node:fs"
import { join } from "node:path"
const one = Role.make(() => "one")
const two = Role.make(async (_, { workspace, signal }) => {
  if (!existsSync(join(workspace, "go"))) await new Promise((_, no) => signal.addEventListener("abort", no))
  return "two"
})
export default Workflow.make({ roles: { one, two }, moderator: Workflow.sequence("one", "two") })`
      })
      const threadId = yield* Effect.scoped(
        Effect.gen(function* () {
          const daemon = yield* open(workspace, "0 millis")
          const { threadId } = yield* daemon.kernel.workflows.trigger({ workflow: "two", prompt: "p", cause: "manual" })
          yield* logged(daemon, { type: "message" })
          return threadId
        })
      )
      writeFileSync(join(workspace.root, "go"), "")
      const database = new DatabaseSync(workspace.logFile)
      database.exec(damage)
      database.close()
      const daemon = yield* open(workspace)
      return { daemon, threadId }
    })

    it.live("computes a damaged run anew, and resumes the thread", () =>
      Effect.gen(function* () {
        const { daemon, threadId } = yield* resumed("UPDATE workflow_runs SET rounds = 'many'")
        yield* logged(daemon, { type: "completed" })
        const messages = yield* daemon.log.messages(threadId)
        expect(messages.map(({ content, round }) => [round, content])).toEqual([
          [1, "one"],
          [2, "two"]
        ])
      })
    )

    it.live("resumes a thread whose first entry is damaged", () =>
      Effect.gen(function* () {
        const { daemon, threadId } = yield* resumed(
          "UPDATE logs SET payload = '{' WHERE type = 'started' AND round IS NULL AND source = 'workflow'"
        )
        yield* logged(daemon, { type: "completed" })
        expect((yield* daemon.log.messages(threadId)).map((message) => message.content)).toEqual(["one", "two"])
      })
    )

    it.live("fails a thread whose round is damaged, names the entry, and goes on with others", () =>
      Effect.gen(function* () {
        const { daemon, threadId } = yield* resumed("UPDATE logs SET payload = '{' WHERE type = 'message'")
        yield* logged(daemon, { type: "failed", refId: threadId })
        const run = yield* daemon.log.run(threadId)
        expect(run?.reason).toMatch(/^the log: entry \d+ of the log is damaged$/)
        const next = yield* daemon.kernel.workflows.trigger({ workflow: "two", prompt: "p", cause: "manual" })
        yield* logged(daemon, { type: "completed", refId: next.threadId })
      })
    )
  })
})
