/**
 * A large store: a log of a million entries, of a workspace that has a thousand threads on their way. The real daemon
 * starts on it, and each question that the command line can ask is asked over the control socket.
 *
 * - from the start of the process to the first round of a thread that goes on: at most 2 s
 * - each question: at most 50 ms, by its median
 */
import type { LogQuery } from "@nerve/core/domain/LogEntry"
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { Duration, Effect, Schedule } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, realpathSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { fill, placesOf, writeWorkspace } from "./bigStore/fill.ts"
import { type Figures, type Proof, quantile, type Settings } from "./Proof.ts"

const daemonFile = fileURLToPath(new URL("../../packages/node/dist/daemon.mjs", import.meta.url))

/** Bounds, in milliseconds. */
const DISPATCH = 2000
const ANSWER = 50

/** How often each question is asked. */
const ASKED = 9

const DAY = 86_400_000

/** What the command line asks, by the command that does. */
const questions = (
  client: ControlClient.ControlClient,
  now: number
): Readonly<Record<string, Effect.Effect<unknown, unknown>>> => {
  const logs = (query: LogQuery) => client.QueryLogs({ order: "desc", limit: 100, ...query })
  return {
    logs: logs({}),
    "logs, an older page": logs({ cursor: 1000 }),
    "logs --source kernel": logs({ source: "kernel" }),
    "logs --source sense": logs({ source: "sense" }),
    "logs --source workflow": logs({ source: "workflow" }),
    "logs --type error": logs({ type: "error" }),
    "logs --type signal": logs({ type: "signal" }),
    "logs --type nothing": logs({ type: "nothing" }),
    "logs --ref sense-3": logs({ refId: "sense-3" }),
    "logs --ref nothing": logs({ refId: "nothing" }),
    "logs --source sense --type error": logs({ source: "sense", type: "error" }),
    "logs --source sense --ref sense-3 --type error": logs({ source: "sense", type: "error", refId: "sense-3" }),
    "logs --source sense --ref sense-3 --type nothing": logs({ source: "sense", type: "nothing", refId: "sense-3" }),
    "logs --source sense --ref sense-3 --type signal -n 1": logs({
      source: "sense",
      type: "signal",
      refId: "sense-3",
      limit: 1
    }),
    "logs --since 10m": logs({ since: now - 600_000 }),
    "logs --since 20d": logs({ since: now - 20 * DAY }),
    "logs --since, in the future": logs({ since: now + DAY }),
    "logs --since 1d --source sense": logs({ since: now - DAY, source: "sense" }),
    "logs --since 1d --type nothing": logs({ since: now - DAY, type: "nothing" }),
    "logs --since 1d --source kernel": logs({ since: now - DAY, source: "kernel" }),
    "logs --since 20d --source sense --type error": logs({ since: now - 20 * DAY, source: "sense", type: "error" }),
    "logs --since, in the future, --source sense": logs({ since: now + DAY, source: "sense" }),
    "logs --since, in the future, --type signal": logs({ since: now + DAY, type: "signal" }),
    "thread list": client.ListThreads({ limit: 20 }),
    "thread list --workflow work": client.ListThreads({ workflow: "work", limit: 20 }),
    "thread list --status started": client.ListThreads({ status: "started", limit: 20 }),
    "thread list --status failed": client.ListThreads({ status: "failed", limit: 20 }),
    "thread list --status crashed": client.ListThreads({ status: "crashed", limit: 20 }),
    "thread list --workflow other --status queued": client.ListThreads({
      workflow: "other",
      status: "queued",
      limit: 20
    }),
    "thread list --phase waiting": client.ListThreads({ phase: "waiting", limit: 20 }),
    "thread show active-0": client.ShowThread({ threadId: "active-0" }),
    "thread show old-17": client.ShowThread({ threadId: "old-17" }),
    "thread inspect active-0": client.ExplainThread({ threadId: "active-0" }),
    "sense ticks sense-3": client.ListTicks({ sense: "sense-3", limit: 20 }),
    status: client.GetStatus()
  }
}

/** Milliseconds of each question, asked in turns so that a busy moment does not hit one alone. */
const timeAll = Effect.fnUntraced(function* (workspace: Workspace.Workspace, now: number) {
  return yield* ControlClient.use(
    workspace,
    Effect.fnUntraced(function* (client) {
      const taken = new Map<string, Array<number>>()
      for (let n = 0; n < ASKED; n++) {
        for (const [name, question] of Object.entries(questions(client, now))) {
          const [time] = yield* Effect.timed(question)
          taken.set(name, [...(taken.get(name) ?? []), Duration.toMillis(time)])
        }
      }
      return taken
    })
  )
})

/** When the first round was recorded after entry `id`; waits for it. */
const firstRound = (file: string, id: number) =>
  Effect.sync(() => {
    const db = new DatabaseSync(file, { readOnly: true })
    const row = db
      .prepare(
        "SELECT timestamp FROM logs WHERE id > ? AND source = 'workflow' AND type = 'message' ORDER BY id LIMIT 1"
      )
      .get(id)
    db.close()
    return row === undefined ? undefined : Number(row["timestamp"])
  }).pipe(
    Effect.repeat({
      until: (at: number | undefined) => at !== undefined,
      schedule: Schedule.spaced("50 millis")
    }),
    Effect.timeoutOrElse({
      duration: "60 seconds",
      orElse: () => Effect.die(new Error("no thread went on within 60 s"))
    }),
    Effect.map((at) => at ?? Number.NaN)
  )

/** Every thread that has a place has said its third round. */
const settled = (file: string, id: number, places: number) =>
  Effect.sync(() => {
    const db = new DatabaseSync(file, { readOnly: true })
    const row = db
      .prepare("SELECT COUNT(*) AS n FROM logs WHERE id > ? AND source = 'workflow' AND type = 'message'")
      .get(id)
    db.close()
    return Number(row?.["n"])
  }).pipe(
    Effect.repeat({ until: (count) => count >= places, schedule: Schedule.spaced("100 millis") }),
    Effect.timeoutOrElse({
      duration: "120 seconds",
      orElse: () => Effect.die(new Error(`not all of ${places} threads went on within 120 s`))
    })
  )

const daemon = (root: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const startedAt = Date.now()
      const child = spawn(process.execPath, [daemonFile, root], { cwd: root, stdio: ["ignore", "ignore", "inherit"] })
      return { child, startedAt, exited: once(child, "exit") }
    }),
    ({ child, exited }) =>
      Effect.promise(() => {
        // Threads that wait would be waited for.
        child.kill("SIGTERM")
        child.kill("SIGKILL")
        return exited
      })
  )

export interface Outcome {
  readonly rows: number
  readonly threads: number
  readonly fileMiB: number
  readonly dispatchMs: number
  /** Median and longest, by question. */
  readonly answersMs: Readonly<Record<string, readonly [median: number, longest: number]>>
}

export const measure = Effect.fnUntraced(function* (options: {
  readonly rows: number
  readonly threads: number
  readonly say: (line: string) => void
}): Effect.fn.Return<Outcome> {
  return yield* Effect.scoped(
    Effect.gen(function* () {
      const root = yield* Effect.acquireRelease(
        Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "nerve-big-")))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      )
      const workspace = Workspace.make(root)
      writeWorkspace(root, options.threads)
      const rows = yield* Effect.orDie(fill(workspace.logFile, options))
      const fileMiB = Math.round(statSync(workspace.logFile).size / 2 ** 20)
      options.say(`${rows} entries, ${fileMiB} MiB`)
      const { startedAt } = yield* daemon(root)
      const dispatchMs = (yield* firstRound(workspace.logFile, rows)) - startedAt
      options.say(`a thread went on after ${dispatchMs} ms`)
      yield* settled(workspace.logFile, rows, placesOf(options.threads))
      const taken = yield* Effect.orDie(timeAll(workspace, startedAt))
      const rounded = (value: number) => Math.round(value * 10) / 10
      const answersMs = Object.fromEntries(
        Array.from(taken, ([name, times]) => [
          name,
          [rounded(quantile(times, 0.5)), rounded(Math.max(...times))] as const
        ])
      )
      return { rows, threads: options.threads, fileMiB, dispatchMs, answersMs }
    })
  )
})

const run = Effect.fnUntraced(function* ({ say, times }: Settings): Effect.fn.Return<Figures> {
  const outcome = yield* measure({ rows: times, threads: Math.max(2, Math.round(times / 1000)), say })
  for (const [name, [median, longest]] of Object.entries(outcome.answersMs)) {
    say(`${median.toFixed(1).padStart(8)} ms (${longest.toFixed(1)} at most)  ${name}`)
  }
  const slow = Object.entries(outcome.answersMs).flatMap(([name, [median]]) => (median > ANSWER ? [name] : []))
  return { ok: outcome.dispatchMs <= DISPATCH && slow.length === 0, slow, ...outcome }
})

export const bigStore: Proof = {
  what: "a start, and what the command line asks, on a log of a million entries with a thousand active threads",
  unit: "entries; one active thread for each thousand",
  times: 1_000_000,
  run
}
