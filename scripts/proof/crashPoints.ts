/**
 * Crash points: a real daemon kills itself (SIGKILL) at each named write-ahead boundary, one after the other:
 * before and after each kind of entry is durable (M4-M9, M13), at the boundaries of archive and blobs (D3, D4),
 * before and after a migration's commit (S2). The next daemon is asked for the same, and what is there then must
 * equal what a daemon leaves that never died: every thread's end and rounds, the archive, the sense's rows.
 */
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { Effect, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { DAY, write } from "./crashPoints/workspace.ts"
import { type Figures, type Proof, randomOf, type Settings } from "./Proof.ts"

const daemonFile = fileURLToPath(new URL("../../packages/node/dist/daemon.mjs", import.meta.url))

const kinds = [
  "workflow-queued",
  "workflow-started",
  "workflow-message",
  "workflow-completed",
  "workflow-failed",
  "workflow-crashed",
  "workflow-dropped",
  "workflow-interrupted",
  "workflow-killed",
  "workflow-waiting",
  "workflow-paused",
  "workflow-resumed",
  "workflow-retried",
  "kernel-workflow-paused",
  "kernel-workflow-resumed"
]

/** The first of each kind, and some later ones: another thread, another moment. */
export const points: ReadonlyArray<string> = [
  "after-workflow-message",
  "migration-applied",
  "before-workflow-completed",
  "day-archived",
  "after-workflow-waiting",
  ...kinds.flatMap((kind) => [`before-${kind}`, `after-${kind}`]),
  ...["queued:2", "started:3", "message:4", "message:7", "completed:3", "waiting:2", "waiting:3"].flatMap((kind) => [
    `before-workflow-${kind}`,
    `after-workflow-${kind}`
  ]),
  ...["blob-written", "day-written", "day-forgotten", "day-removed", "blob-removed"],
  ...["migration-committed", "migration-applied:2", "migration-committed:2"]
].filter((point, at, all) => all.indexOf(point) === at)

/** How long anything may take on a machine that has other things to do. */
const patience = "60 seconds"

/** A daemon of a workspace; `gone` when it has ended, and by which signal. */
const start = (root: string, crashAt: string) => {
  const env = { ...process.env, NERVE_CRASH_AT: crashAt }
  const child: ChildProcess = spawn(process.execPath, [daemonFile, root], { cwd: root, env, stdio: "ignore" })
  const gone = Effect.callback<NodeJS.Signals | null>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.succeed(child.signalCode))
    child.once("exit", (_, signal) => resume(Effect.succeed(signal)))
  })
  return { child, gone }
}

const scoped = (root: string, crashAt: string) =>
  Effect.acquireRelease(
    Effect.sync(() => start(root, crashAt)),
    ({ child, gone }) => {
      child.kill("SIGKILL")
      return Effect.asVoid(gone)
    }
  )

/** What is asked of each daemon; safe to ask again. Fails, or hangs, when the daemon dies. */
const drive = Effect.fnUntraced(function* (root: string) {
  const workspace = Workspace.make(root)
  yield* ControlClient.use(workspace, (client) => client.GetStatus()).pipe(
    Effect.retry({ schedule: Schedule.spaced("20 millis") })
  )
  yield* ControlClient.use(workspace, (client) =>
    Effect.gen(function* () {
      const keyed = (workflow: string, prompt: string) =>
        Effect.map(client.TriggerWorkflow({ workflow, prompt, key: prompt }), ({ threadId }) => threadId)
      const until = <A>(threadId: string, holds: (run: Run) => A | undefined) =>
        Effect.map(client.ShowThread({ threadId, limit: 0 }), ({ run }) => holds(run)).pipe(
          Effect.repeat({ until: (found) => found !== undefined, schedule: Schedule.spaced("10 millis") })
        )
      const ended = (threadId: string) => client.AwaitThread({ threadId })

      const talks = yield* Effect.forEach(["a", "b", "c"], (prompt) => keyed("talk", prompt))

      yield* client.PauseWorkflow({ workflow: "drops", reason: "proof" })
      yield* keyed("drops", "d")
      yield* client.ResumeWorkflow({ workflow: "drops" })

      const gate = yield* keyed("gate", "g")
      if ((yield* until(gate, asked)) === "waits") {
        yield* Effect.ignore(client.PauseThread({ threadId: gate, reason: "proof" }))
        yield* Effect.ignore(client.ResumeThread({ threadId: gate, newCode: false }))
        yield* client.AnswerThread({ threadId: gate, decision: "approved", by: "proof", reason: "" })
      }

      const fails = yield* keyed("fails", "f")
      if ((yield* ended(fails)).status === "failed") {
        writeFileSync(join(root, "mended"), "")
        yield* client.RetryThread({ threadId: fails })
      }

      const [killed, cancelled] = [yield* keyed("hangs", "k"), yield* keyed("hangs", "i")]
      yield* client.KillThread({ threadId: killed })
      yield* client.CancelThread({ threadId: cancelled, reason: "proof" })

      const dies = yield* keyed("dies", "x")
      const large = yield* keyed("large", "l")
      yield* Effect.forEach([...talks, gate, fails, killed, cancelled, dies, large], ended, { discard: true })
      yield* client.ArchiveStore({ archiveAfterMs: 2 * DAY })
      yield* client.ArchiveStore({ archiveAfterMs: 2 * DAY, keepMs: 5 * DAY })
      yield* client.TriggerSense({ sense: "probe" })
      // Its migrations are applied by then.
      yield* client
        .QueryLogs({ source: "sense", type: "signal", limit: 1 })
        .pipe(Effect.repeat({ until: (signals) => signals.length > 0, schedule: Schedule.spaced("20 millis") }))
    })
  )
})

interface Run {
  readonly status: string
  readonly rounds: number
  readonly wait: unknown
  readonly phase: string | null
}

/** Whether it waits for its answer; "past" when it has had it. */
const asked = ({ phase, rounds, wait }: Run): "waits" | "past" | undefined =>
  rounds > 0 ? "past" : phase === "waiting" || (phase === "paused" && wait !== null) ? "waits" : undefined

/** What is there when all is over, by what does not differ from run to run. */
const leftBehind = Effect.fnUntraced(function* (root: string) {
  const workspace = Workspace.make(root)
  return yield* ControlClient.use(workspace, (client) =>
    Effect.gen(function* () {
      const runs = yield* client.ListThreads({ limit: 100 })
      const threads = yield* Effect.forEach(runs, ({ prompt, threadId }) =>
        Effect.map(client.ShowThread({ threadId }), ({ messages, run }) => {
          const said = messages.map(({ content, role, round }) => `${round} ${role} ${content.slice(0, 40)}`)
          return [prompt, run.status, run.exitCode, ...said.map((line) => line.replace(/until .*/, ""))].join(" | ")
        })
      )
      const { ok, problems } = yield* client.VerifyStore()
      const { workflows } = yield* client.GetStatus()
      return {
        // A thread that was dropped may be asked for again.
        threads: [...new Set(threads)].sort(),
        occupied: workflows.reduce((sum, { active, queued, waiting }) => sum + active + queued + waiting, 0),
        damage: ok ? [] : problems.map(({ message }) => message),
        days: readdirSync(join(root, "data", "archive")).length,
        blobs: readdirSync(join(root, "data", "blobs"), { recursive: true, withFileTypes: true }).filter((entry) =>
          entry.isFile()
        ).length,
        rows: rowsOf(root)
      }
    })
  )
})

const rowsOf = (root: string): ReadonlyArray<string> => {
  const files = readdirSync(join(root, "data"), { recursive: true, encoding: "utf8" })
  const file = files.find((name) => name.endsWith("probe.db"))
  if (file === undefined) return ["the sense has no database"]
  const database = new DatabaseSync(join(root, "data", file), { readOnly: true, timeout: 10_000 })
  try {
    const journal = database.prepare("SELECT name FROM _nerve_migrations ORDER BY name").all()
    return [...database.prepare("SELECT n FROM seen ORDER BY rowid").all(), ...journal].map((row) =>
      JSON.stringify(row)
    )
  } finally {
    database.close()
  }
}

/** Lines that rounds of code left: how many rounds ran twice, and what must not be. */
const effectsOf = (root: string) => {
  const file = join(root, "effects.log")
  const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : []
  const latest = new Map<string, number>()
  const again: Array<string> = []
  for (const line of lines) {
    const [thread = "", round = ""] = line.split(" ")
    if (Number(round) < (latest.get(thread) ?? 0)) again.push(line)
    latest.set(thread, Math.max(Number(round), latest.get(thread) ?? 0))
  }
  return { repeated: lines.length - new Set(lines).size, again }
}

const inFolder = <A, E>(use: (root: string) => Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "nerve-point-")))),
    use,
    (root) => Effect.sync(() => rmSync(root, { recursive: true, force: true, maxRetries: 10 }))
  )

type State = Effect.Success<ReturnType<typeof leftBehind>>

interface Lived {
  readonly state: State
  /** Whether the first daemon died at the point. */
  readonly died: boolean
  readonly repeated: number
  readonly again: ReadonlyArray<string>
}

/** A daemon that dies at the point (none: it is not started), and one that brings all to its end. */
const live = (point: string | null) =>
  inFolder((root) =>
    Effect.gen(function* () {
      yield* write(root)
      const died =
        point !== null &&
        (yield* Effect.scoped(
          Effect.gen(function* () {
            const { gone } = yield* scoped(root, point)
            const driven = Effect.andThen(Effect.exit(drive(root)), Effect.never)
            const signal = yield* Effect.raceFirst(gone, Effect.timeoutOption(driven, patience))
            return signal === "SIGKILL"
          })
        ))
      return yield* Effect.scoped(
        Effect.gen(function* () {
          yield* scoped(root, "")
          yield* Effect.timeoutOrElse(drive(root), { duration: patience, orElse: () => Effect.fail("it did not end") })
          return { state: yield* leftBehind(root), died, ...effectsOf(root) }
        })
      )
    })
  )

const differences = (state: State, model: State): ReadonlyArray<string> =>
  Object.entries(model).flatMap(([name, expected]) => {
    const found = Object.entries(state).find(([key]) => key === name)?.[1]
    return JSON.stringify(found) === JSON.stringify(expected)
      ? []
      : [`${name}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`]
  })

const run = Effect.fnUntraced(function* ({ say, seed, times }: Settings): Effect.fn.Return<Figures> {
  const faults: Array<string> = []
  const model = yield* Effect.orDie(live(null))
  if (model.state.occupied > 0 || model.state.damage.length > 0)
    faults.push(`the model: ${JSON.stringify(model.state)}`)
  // The first few are always among them; the rest is drawn.
  const random = randomOf(seed)
  const chosen = [...points.slice(0, 5), ...points.slice(5).sort(() => random(3) - 1)].slice(0, times)
  let reached = 0
  let effectsRepeated = 0
  const one = Effect.fnUntraced(function* (point: string) {
    const lived = yield* Effect.exit(live(point))
    if (lived._tag === "Failure") return void faults.push(`${point}: ${String(lived.cause)}`)
    const { again, died, repeated, state }: Lived = lived.value
    if (died) reached++
    else faults.push(`${point}: was never reached`)
    effectsRepeated += repeated
    faults.push(...again.map((line) => `${point}: a finished round ran again: ${line}`))
    faults.push(...differences(state, model.state).map((text) => `${point}: ${text}`))
    say(`${point}: ${died ? "died there" : "not reached"}, ${repeated} effects repeated`)
  })
  yield* Effect.forEach(chosen, one, { concurrency: 2, discard: true })
  return { ok: faults.length === 0, points: chosen.length, reached, effectsRepeated, faults: faults.slice(0, 20) }
})

export const crashPoints: Proof = {
  what: "a daemon killed at every named write-ahead boundary: what is left equals what a daemon leaves that never died",
  unit: "points",
  times: points.length,
  run
}
