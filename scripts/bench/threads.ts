/**
 * Bench: threads of five scripted rounds through one workflow with concurrency 32, real daemon, real
 * worker, real log, against the same rounds as plain `node:sqlite` transactions in one process. Same
 * disk, same durability (write-ahead log, `synchronous = FULL`).
 *
 * The plain contender writes what such a program would need to go on after a crash: a row when a thread
 * begins, one per round, one when it ends, each in a transaction with the thread's state. It runs no
 * worker, decodes nothing and keeps no queue: it is the floor, not a fair equal.
 *
 * `node scripts/bench/threads.ts [--threads N] [--json]`. Set TMPDIR to a folder on a disk.
 */
import * as ConfigParser from "@nerve/core/config/ConfigParser"
import * as Daemon from "@nerve/node/daemon/Daemon"
import * as Workspace from "@nerve/node/daemon/Workspace"
import { Effect, Result } from "effect"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { parseArgs } from "node:util"

const { values: options } = parseArgs({
  options: { json: { type: "boolean", default: false }, threads: { type: "string", default: "10000" } }
})
const THREADS = Number(options.threads)
const ROUNDS = 5
const CONCURRENCY = 32

const yaml = `workflows: { talk: { concurrency: ${CONCURRENCY}, overflow: queue, max_queue: 100000 } }\n`

const workflow = `import { Adapter, Role, Workflow } from "@nerve/core"
const adapter = Adapter.scripted(Array.from({ length: ${ROUNDS} }, (_, n) => "This is what round " + (n + 1) + " says."))
export default Workflow.make({
  roles: { speaker: Role.fromAdapter({ adapter, prompt: "Speak." }) },
  moderator: ({ steps }) => (steps.length < ${ROUNDS} ? "speaker" : Workflow.END)
})
`

const megabytes = (): number => {
  globalThis.gc?.()
  return Math.round(process.memoryUsage().rss / 1024 / 1024)
}

/** Threads per second through nerve, and its memory on the way. */
const nerve = (root: string) =>
  Effect.gen(function* () {
    mkdirSync(join(root, "workflows/talk"), { recursive: true })
    writeFileSync(join(root, "workflows/talk/index.mjs"), workflow)
    const config = Result.getOrThrow(ConfigParser.parse(yaml, { file: "nerve.yaml" }))
    const { kernel, log } = yield* Daemon.open({ workspace: Workspace.make(root), config, version: "0.0.0" })
    const memory: Array<number> = []
    const triggered = (count: number) =>
      Effect.forEach(
        Array.from({ length: count }),
        (_, n) => kernel.workflows.trigger({ workflow: "talk", prompt: `thread ${n}`, cause: "manual" }),
        { concurrency: 64, discard: true }
      )
    // The worker's start is not what is measured.
    yield* triggered(CONCURRENCY)
    yield* kernel.workflows.awaitIdle
    const started = performance.now()
    // In quarters, so that memory can be looked at on the way.
    for (let quarter = 0; quarter < 4; quarter++) {
      yield* triggered(THREADS / 4)
      yield* kernel.workflows.awaitIdle
      memory.push(megabytes())
    }
    const perSecond = (THREADS * 1000) / (performance.now() - started)
    const runs = yield* log.runs({ status: "completed" })
    if (runs.length !== THREADS + CONCURRENCY) throw new Error(`${runs.length} threads completed`)
    return { perSecond, memory }
  }).pipe(Effect.scoped)

/** Threads per second with bare transactions. */
const plain = (root: string, threads: number): number => {
  const database = new DatabaseSync(join(root, "plain.db"))
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
  database.exec(
    "CREATE TABLE logs (id INTEGER PRIMARY KEY, thread TEXT, type TEXT, round INTEGER, payload TEXT, at INTEGER)"
  )
  database.exec("CREATE TABLE runs (thread TEXT PRIMARY KEY, status TEXT, rounds INTEGER)")
  const log = database.prepare("INSERT INTO logs (thread, type, round, payload, at) VALUES (?, ?, ?, ?, ?)")
  const run = database.prepare(
    "INSERT INTO runs VALUES (?, ?, ?) ON CONFLICT (thread) DO UPDATE SET status = excluded.status, rounds = excluded.rounds"
  )
  const write = (thread: string, type: string, status: string, round: number) => {
    database.exec("BEGIN IMMEDIATE")
    const payload = JSON.stringify({ role: "speaker", content: `This is what round ${round} says.`, meta: null })
    log.run(thread, type, round, payload, round)
    run.run(thread, status, round)
    database.exec("COMMIT")
  }
  const started = performance.now()
  for (let n = 0; n < threads; n++) {
    write(`thread-${n}`, "started", "started", 0)
    for (let round = 1; round <= ROUNDS; round++) write(`thread-${n}`, "message", "started", round)
    write(`thread-${n}`, "completed", "completed", ROUNDS)
  }
  const perSecond = (threads * 1000) / (performance.now() - started)
  database.close()
  return perSecond
}

const root = mkdtempSync(join(tmpdir(), "nerve-bench-threads-"))
// Before and after, so that a machine that gets busier on the way does not decide it.
const before = plain(mkdtempSync(join(root, "a-")), THREADS / 8)
const { memory, perSecond } = await Effect.runPromise(nerve(root))
const after = plain(mkdtempSync(join(root, "b-")), THREADS / 8)
const floor = (before + after) / 2
rmSync(root, { recursive: true, force: true })
const found = {
  threads: THREADS,
  nerve: Math.round(perSecond),
  plain: Math.round(floor),
  ratio: Number((perSecond / floor).toFixed(2)),
  rssMegabytes: memory
}
console.log(
  options.json
    ? JSON.stringify(found)
    : `threads/s: nerve ${found.nerve}, plain ${found.plain}, ratio ${found.ratio}; RSS after each quarter: ${memory.join(", ")} MB`
)
