/**
 * The real daemon as a process, in a workspace of its own, watched by what it prints: a test awaits an
 * entry of the log, kills or freezes what it likes, and looks at what is left.
 *
 * Everything that a daemon starts works in its workspace, so a process is found by its working folder,
 * however it was started. That takes Linux's /proc; elsewhere these tests are skipped.
 */
import { LogEntry } from "@nerve/core/domain/LogEntry"
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { Effect, Schedule, Schema } from "effect"
import { spawn } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"

/** What users start. `scripts/vitestSetup.ts` has built it. */
const nerve = fileURLToPath(new URL("../../dist/nerve.mjs", import.meta.url))

/** In the package, so that `@nerve/core` and `effect` resolve; not in git. */
const temporary = fileURLToPath(new URL("../.tmp/", import.meta.url))

/** Whether these tests can look at processes. */
export const canLook = existsSync("/proc/self/cwd")

/** A machine under load is slow; a test that waits longer than this for one thing waits in vain. */
const patience = "60 seconds"

/** Dies, and says what was waited for, when it takes too long. `told` adds what is known by then. */
export const within = <A, E, R>(
  what: string,
  effect: Effect.Effect<A, E, R>,
  told: () => string = () => ""
): Effect.Effect<A, E, R> =>
  Effect.timeoutOrElse(effect, {
    duration: patience,
    orElse: () => Effect.die(new Error(`${patience} without ${what}\n${told()}`))
  })

const textOf = (file: string): string => (existsSync(file) ? readFileSync(file, "utf8") : "")

/** Files by name, with `nerve.yaml` among them. */
export type Files = Readonly<Record<string, string>>

/** Adds to a workspace, or changes it. */
export const write = (root: string, files: Files): void => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
}

/** The lines of a file in the workspace; none when there is no such file. */
export const linesOf = (root: string, name: string): ReadonlyArray<string> =>
  textOf(join(root, name))
    .split("\n")
    .filter((line) => line !== "")

// --- processes ---------------------------------------------------------------------------------------

/** The processes that work in a workspace, zombies aside. */
export const processesIn = (root: string): ReadonlyArray<number> =>
  readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const folder = readlinkSync(`/proc/${name}/cwd`)
      return folder === root || folder.startsWith(`${root}/`) ? [Number(name)] : []
    } catch {
      // Gone meanwhile, or not ours.
      return []
    }
  })

const named = (pid: number): string => `${pid} (${textOf(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim()})`

/** Which of them live, for a message that can be read. */
export const namesIn = (root: string): ReadonlyArray<string> => processesIn(root).map(named)

/** The pids of the daemon's wardens. */
export const wardensIn = (root: string): ReadonlyArray<number> =>
  processesIn(root).filter((pid) => textOf(`/proc/${pid}/cmdline`).includes("nerve-warden"))

/** Sends a signal, unless the process is gone. */
export const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // Gone already.
  }
}

/** Waits until no process works in the workspace; dies with their names after `bound`. */
export const allGone = (root: string, bound: "2 seconds" | "10 seconds"): Effect.Effect<void> =>
  Effect.suspend(() => (processesIn(root).length === 0 ? Effect.void : Effect.fail("some live"))).pipe(
    // The kernel tells nobody but a parent of a death: looking again and again is all there is.
    Effect.retry(Schedule.spaced("10 millis")),
    Effect.orDie,
    Effect.timeoutOrElse({
      duration: bound,
      orElse: () => Effect.die(new Error(`${bound} on, there live: ${namesIn(root).join(", ")}`))
    })
  )

/** A workspace with these files. When the scope closes it is removed, with whatever still runs in it. */
export const workspace = (files: Files) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      mkdirSync(temporary, { recursive: true })
      const root = mkdtempSync(join(temporary, "survival-"))
      write(root, files)
      return root
    }),
    (root) =>
      Effect.sync(() => processesIn(root).forEach((pid) => signal(pid, "SIGKILL"))).pipe(
        Effect.andThen(allGone(root, "10 seconds")),
        Effect.andThen(Effect.sync(() => rmSync(root, { recursive: true, force: true })))
      )
  )

// --- commands ----------------------------------------------------------------------------------------

/** How a command ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stderr: string
}

/** A command that prints log entries. */
export interface Running {
  readonly pid: number
  /** What it has printed so far. */
  readonly entries: ReadonlyArray<LogEntry>
  /** The first entry that fits, of those that came and those to come. Dies when there will be none. */
  readonly entry: (what: string, fits: (entry: LogEntry) => boolean) => Effect.Effect<LogEntry>
  readonly kill: (name: NodeJS.Signals) => void
  /** Its end, once all its output is read. */
  readonly ended: Effect.Effect<Ended>
}

interface Waiter {
  readonly look: () => void
  readonly giveUp: () => void
}

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(LogEntry))

/** One line for a message: `17 workflow started talk-1`. */
export const brief = ({ id, refId, source, type }: LogEntry): string => `${id} ${source} ${type} ${refId ?? ""}`

const environment = (): NodeJS.ProcessEnv => {
  const { NODE_OPTIONS: _, ...rest } = process.env
  return { ...rest, TZ: "UTC" }
}

const startUnsafe = (root: string, args: ReadonlyArray<string>): Running => {
  const child = spawn(process.execPath, [nerve, ...args, "-C", root], {
    cwd: root,
    env: environment(),
    stdio: ["ignore", "pipe", "pipe"]
  })
  const entries: Array<LogEntry> = []
  const strange: Array<string> = []
  const waiters = new Set<Waiter>()
  let stderr = ""
  let over: Ended | undefined
  const told = () =>
    [
      `the last entries: ${entries.slice(-12).map(brief).join("; ") || "none"}`,
      `stderr: ${stderr || "empty"}`,
      ...strange.map((line) => `not a log entry: ${line}`)
    ].join("\n")
  createInterface({ input: child.stdout }).on("line", (line) => {
    try {
      entries.push(decode(line))
    } catch {
      strange.push(line)
    }
    for (const waiter of waiters) waiter.look()
  })
  child.stderr.on("data", (data: Buffer) => (stderr += String(data)))
  const ended = new Promise<Ended>((resolve) => {
    child.once("close", (code, name) => {
      over = { code, signal: name, stderr }
      for (const waiter of waiters) waiter.giveUp()
      resolve(over)
    })
  })

  const entry: Running["entry"] = (what, fits) =>
    Effect.callback<LogEntry>((resume) => {
      let seen = 0
      const finish = (result: Effect.Effect<LogEntry>) => {
        waiters.delete(waiter)
        resume(result)
      }
      const waiter: Waiter = {
        look: () => {
          for (; seen < entries.length; seen++) {
            const found = entries[seen]
            if (found !== undefined && fits(found)) return finish(Effect.succeed(found))
          }
        },
        giveUp: () => finish(Effect.die(new Error(`it ended before there was ${what}\n${told()}`)))
      }
      waiters.add(waiter)
      waiter.look()
      if (over !== undefined && waiters.has(waiter)) waiter.giveUp()
      return Effect.sync(() => waiters.delete(waiter))
    }).pipe((found) => within(what, found, told))

  return {
    pid: child.pid ?? 0,
    entries,
    entry,
    kill: (name) => child.kill(name),
    ended: within(
      "its end",
      Effect.promise(() => ended),
      told
    ).pipe(Effect.tap(() => (strange.length === 0 ? Effect.void : Effect.die(new Error(told())))))
  }
}

/** Starts a command that prints log entries; killed, if it still runs, when the scope closes. */
export const start = (root: string, ...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => startUnsafe(root, args)),
    (running) =>
      Effect.andThen(
        Effect.sync(() => running.kill("SIGKILL")),
        Effect.ignoreCause(running.ended)
      )
  )

/** `nerve dev --json`, once it answers: it prints nothing before. */
export const daemon = (root: string, ...args: ReadonlyArray<string>) =>
  Effect.tap(start(root, "dev", "--json", ...args), (running) =>
    running.entry("the kernel's start", ({ source, type }) => source === "kernel" && type === "started")
  )

/** How a command ended, and what it printed. */
export interface Ran extends Ended {
  readonly stdout: string
}

/** Runs a command to its end. */
export const run = (root: string, ...args: ReadonlyArray<string>): Effect.Effect<Ran> =>
  within(`the end of nerve ${args.join(" ")}`, runUnbounded(root, args))

const runUnbounded = (root: string, args: ReadonlyArray<string>) =>
  Effect.callback<Ran>((resume) => {
    const child = spawn(process.execPath, [nerve, ...args, "-C", root], {
      cwd: root,
      env: environment(),
      stdio: ["ignore", "pipe", "pipe"]
    })
    const output = { stdout: "", stderr: "" }
    child.stdout.on("data", (data: Buffer) => (output.stdout += String(data)))
    child.stderr.on("data", (data: Buffer) => (output.stderr += String(data)))
    child.once("close", (code, name) => resume(Effect.succeed({ code, signal: name, ...output })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Asks the daemon over its control socket, as the other commands do. */
export const ask = <A, E>(
  root: string,
  question: (client: ControlClient.ControlClient) => Effect.Effect<A, E>
): Effect.Effect<A> => Effect.orDie(ControlClient.use(Workspace.make(root), question))

/** Triggers a workflow; the thread's id. */
export const trigger = (root: string, workflow: string, prompt: string): Effect.Effect<string> =>
  Effect.map(
    ask(root, (client) => client.TriggerWorkflow({ workflow, prompt })),
    ({ threadId }) => threadId
  )

// --- entries -----------------------------------------------------------------------------------------

/** A field of an entry's payload. */
export const field = (entry: LogEntry, name: string): unknown =>
  typeof entry.payload === "object" && entry.payload !== null ? Reflect.get(entry.payload, name) : undefined

/** Whether an entry is about this. */
export const is = (type: string, refId: string) => (entry: LogEntry) => entry.type === type && entry.refId === refId

/** Whether an entry is a line that user code of this worker has printed. */
export const printed = (key: string, text: string) => (entry: LogEntry) =>
  is("output", key)(entry) && field(entry, "line") === text

/** The pid of a worker's incarnation, from 1. */
export const workerPid = (running: Running, key: string, incarnation = 1): Effect.Effect<number> =>
  running
    .entry(
      `incarnation ${incarnation} of ${key}`,
      (entry) => is("started", key)(entry) && field(entry, "incarnation") === incarnation
    )
    .pipe(Effect.map((entry) => Number(field(entry, "pid"))))

// --- what is on disk ---------------------------------------------------------------------------------

const Rows = Schema.Array(
  Schema.Struct({
    id: Schema.Int,
    source: Schema.String,
    type: Schema.String,
    ref_id: Schema.NullOr(Schema.String),
    round: Schema.NullOr(Schema.Int)
  })
)
const Runs = Schema.Array(Schema.Struct({ thread_id: Schema.String, status: Schema.String, rounds: Schema.Int }))

/** The log and the runs as the database has them, oldest first. Throws when the file is damaged. */
export const stored = (root: string) => {
  const database = new DatabaseSync(join(root, "data/nerve.db"), { readOnly: true })
  try {
    const [check] = database.prepare("PRAGMA integrity_check").all()
    if (check?.["integrity_check"] !== "ok") throw new Error(`the log is damaged: ${JSON.stringify(check)}`)
    const logs = database.prepare("SELECT id, source, type, ref_id, round FROM logs ORDER BY id").all()
    const runs = database.prepare("SELECT thread_id, status, rounds FROM workflow_runs ORDER BY created_id").all()
    return { logs: Schema.decodeUnknownSync(Rows)(logs), runs: Schema.decodeUnknownSync(Runs)(runs) }
  } finally {
    database.close()
  }
}
