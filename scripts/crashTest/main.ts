/**
 * Crash test: threads with effects outside the log, while the daemon and its workers are killed at
 * random moments (SIGKILL); then all is looked at. `pnpm crash-test --minutes 10`, or `--seconds 10`.
 *
 * Prints one line of JSON, and on stderr what is wrong. Exits 1 when anything is: a thread that did not
 * end, a round recorded twice, an effect lost, a finished round run again, a slot that leaked, a queue
 * out of order. An effect may be repeated only in the one round in flight (`effectsRepeated`).
 */
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { Clock, Duration, Effect, Fiber, Random, Ref, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { type Entry, judge, type Judgement } from "./judge.ts"
import { CONCURRENCY, write } from "./workspace.ts"

const { values: options } = parseArgs({
  options: { minutes: { type: "string" }, seconds: { type: "string" }, keep: { type: "boolean", default: false } }
})

const duration = Duration.seconds(
  options.seconds === undefined ? 60 * Number(options.minutes ?? "1") : Number(options.seconds)
)

const daemonFile = fileURLToPath(new URL("../../packages/node/dist/daemon.mjs", import.meta.url))

/** Threads that may be on their way at a time: dozens, so that there is always a queue. */
const OUTSTANDING = 40

/** A workflow's worker that crashes six times a minute is given up, which is not what is tested here. */
const WORKER_KILLS_PER_DAEMON = 4

/** How long all may take to end once nobody kills any more. */
const PATIENCE = Duration.seconds(120)

const root = mkdtempSync(join(tmpdir(), "nerve-crash-"))
write(root)
const workspace = Workspace.make(root)

// --- the daemon ----------------------------------------------------------------------------------------

let daemon: ChildProcess | undefined
let stderr = ""
let workerKills = 0

const started = Effect.sync(() => {
  workerKills = 0
  daemon = spawn(process.execPath, [daemonFile, root], { cwd: root, stdio: ["ignore", "ignore", "pipe"] })
  daemon.stderr?.on("data", (data: Buffer) => (stderr = (stderr + String(data)).slice(-20_000)))
})

/** Ends the daemon and waits until it is gone. */
const ended = (name: NodeJS.Signals): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const child = daemon
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill(name)
  })

/** Asks until a daemon answers: it is being killed and started all the time. */
const ask = <A, E>(question: (client: ControlClient.ControlClient) => Effect.Effect<A, E>): Effect.Effect<A> =>
  Effect.suspend(() => ControlClient.use(workspace, question)).pipe(
    Effect.retry(Schedule.spaced("20 millis")),
    Effect.orDie
  )

// --- threads, and kills --------------------------------------------------------------------------------

const promised: Array<string> = []

/** Triggers threads as long as there is room. The key makes a repeated question yield the same thread. */
const trigger = Effect.fnUntraced(function* (stop: Ref.Ref<boolean>) {
  for (let n = 0; !(yield* Ref.get(stop)); n++) {
    const workflow = n % 5 === 4 ? "waits" : "work"
    const payload = { workflow, prompt: String(n), key: `key-${n}` }
    const { threadId } = yield* ask((client) => client.TriggerWorkflow(payload))
    promised.push(threadId)
    if (n % 10 !== 9) continue
    yield* ask((client) => client.GetStatus()).pipe(
      Effect.repeat({
        until: (status) =>
          status.workflows.reduce((sum, { active, queued, waiting }) => sum + active + queued + waiting, 0) <
          OUTSTANDING,
        schedule: Schedule.spaced("50 millis")
      })
    )
  }
})

const killWorker = Effect.gen(function* () {
  const { workers } = yield* ask((client) => client.GetStatus())
  const pids = workers.flatMap(({ pid }) => (pid === null ? [] : [pid]))
  const pid = pids[yield* Random.nextIntBetween(0, Math.max(1, pids.length))]
  if (pid === undefined) return false
  workerKills++
  return yield* Effect.sync(() => {
    try {
      return process.kill(pid, "SIGKILL")
    } catch {
      return false
    }
  })
})

const killDaemon = ended("SIGKILL").pipe(Effect.andThen(started), Effect.as(true))

const killing = Effect.gen(function* () {
  const end = (yield* Clock.currentTimeMillis) + Duration.toMillis(duration)
  let kills = 0
  while ((yield* Clock.currentTimeMillis) < end) {
    yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(30, 900)))
    const worker = workerKills < WORKER_KILLS_PER_DAEMON && (yield* Random.nextBoolean)
    if (yield* worker ? killWorker : killDaemon) kills++
  }
  return kills
})

// --- what is left --------------------------------------------------------------------------------------

const field = (payload: unknown, name: string): unknown =>
  typeof payload === "object" && payload !== null ? Reflect.get(payload, name) : undefined

const entries = (): ReadonlyArray<Entry> => {
  const database = new DatabaseSync(workspace.logFile, { readOnly: true })
  try {
    const rows = database.prepare("SELECT * FROM logs WHERE source = 'workflow' ORDER BY id").all()
    return rows.map((row) => {
      const payload: unknown = JSON.parse(String(row["payload"]))
      const workflow = field(payload, "workflow")
      const waits = field(payload, "round")
      return {
        id: Number(row["id"]),
        type: String(row["type"]),
        thread: String(row["ref_id"]),
        round: row["round"] === null ? (typeof waits === "number" ? waits : null) : Number(row["round"]),
        workflow: typeof workflow === "string" ? workflow : null,
        final: field(payload, "final") === true
      }
    })
  } finally {
    database.close()
  }
}

const effects = () => {
  const file = join(root, "effects.log")
  const text = existsSync(file) ? readFileSync(file, "utf8") : ""
  return text.split("\n").flatMap((line) => {
    const [thread, round] = line.split(" ")
    return thread === undefined || round === undefined ? [] : [{ thread, round: Number(round) }]
  })
}

const occupied = ask((client) => client.GetStatus()).pipe(
  Effect.map(({ workflows }) =>
    workflows.reduce((sum, { active, queued, waiting }) => sum + active + queued + waiting, 0)
  )
)

const main = Effect.gen(function* (): Effect.fn.Return<Judgement> {
  const stop = yield* Ref.make(false)
  yield* started
  const triggering = yield* Effect.forkChild(trigger(stop))
  const kills = yield* killing
  yield* Ref.set(stop, true)
  yield* Fiber.join(triggering)
  // Nobody kills any more: all that was begun comes to its end.
  const left = yield* occupied.pipe(
    Effect.repeat({ until: (count) => count === 0, schedule: Schedule.spaced("100 millis") }),
    Effect.timeoutOrElse({ duration: PATIENCE, orElse: () => occupied })
  )
  yield* ended("SIGTERM")
  return judge({ kills, promised, entries: entries(), effects: effects(), occupied: left, concurrency: CONCURRENCY })
})

const { faults, figures } = await Effect.runPromise(
  Effect.ensuring(
    main,
    Effect.suspend(() => ended("SIGKILL"))
  )
)
process.stdout.write(`${JSON.stringify(figures)}\n`)
for (const fault of faults.slice(0, 20)) process.stderr.write(`${fault}\n`)
if (faults.length > 0) {
  process.stderr.write(`${faults.length} faults; workspace ${root}\n${stderr}`)
  process.exitCode = 1
} else if (!options.keep) {
  rmSync(root, { recursive: true, force: true, maxRetries: 10 })
}
