/**
 * Fills the log of a workspace with the past of a busy one: senses that have signalled for weeks, threads that have
 * ended, and threads that are on their way. It appends as the daemon does, with a clock that says when it was.
 */
import type { LogInput } from "@nerve/core/domain/LogEntry"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore } from "@nerve/runtime/log/LogStore"
import { Clock, Effect } from "effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

const DAY = 86_400_000

/** Younger than what goes to the archive: all of it is in the database. */
const SPAN = 25 * DAY

const SENSES = 20

/** Entries per transaction: filling is not what is measured. */
const BATCH = 1000

/** Rounds of a thread that has ended, and of one on its way when its daemon died. */
const ROUNDS = { ended: 3, active: 2 } as const

/** Of the active threads as many are started as may be, and the others queued. */
export const placesOf = (threads: number): number => Math.ceil(threads / 2)

const speaker = `import { Role, Workflow } from "@nerve/core"
// Its third round is said at once; the fourth takes as long as somebody looks.
const speaker = Role.make((context, { signal }) =>
  context.steps.length <= ${ROUNDS.active}
    ? Promise.resolve("said")
    : new Promise((resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }))
)
export default Workflow.make({
  roles: { speaker },
  moderator: ({ steps }) => (steps.length < 5 ? "speaker" : Workflow.END)
})
`

const sense = `import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
export default Sense.make({ signal: Schema.Int, compute: async () => Sense.signal(1) })
`

/** The workspace of the log: its senses compute hourly, so that nothing but threads happens at first. */
export const writeWorkspace = (root: string, threads: number): void => {
  const names = Array.from({ length: SENSES }, (_, n) => `sense-${n}`)
  const files = {
    "nerve.yaml": [
      "senses:",
      ...names.map((name, n) => `  ${name}: { group: g${n % 4}, interval: 1h }`),
      "workflows:",
      `  work: { concurrency: ${placesOf(threads)}, overflow: queue, max_queue: 100000 }`,
      "  other: { concurrency: 4 }",
      ""
    ].join("\n"),
    "package.json": `{ "type": "module" }\n`,
    "workflows/work/index.mjs": speaker,
    "workflows/other/index.mjs": speaker,
    ...Object.fromEntries(names.map((name) => [`senses/${name}/index.mjs`, sense]))
  }
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
}

const thread = (threadId: string, type: string, payload: LogInput["payload"], round?: number): LogInput => ({
  source: "workflow",
  type,
  refId: threadId,
  payload,
  ...(round === undefined ? {} : { round })
})

const opened = (threadId: string, type: "queued" | "started", workflow: string): LogInput =>
  thread(threadId, type, { workflow, prompt: `what ${threadId} is for`, maxRounds: 10, dryRun: false, cause: "manual" })

const said = (threadId: string, round: number): LogInput =>
  thread(threadId, "message", { role: "speaker", content: `round ${round} ${"x".repeat(200)}`, meta: {} }, round)

const rounds = (threadId: string, count: number) => Array.from({ length: count }, (_, n) => said(threadId, n + 1))

const endedThread = (n: number): ReadonlyArray<LogInput> => {
  const threadId = `old-${n}`
  const end = n % 10 === 9 ? { type: "failed", exitCode: 1 } : { type: "completed", exitCode: 0 }
  return [
    opened(threadId, "started", n % 3 === 0 ? "other" : "work"),
    ...rounds(threadId, ROUNDS.ended),
    thread(threadId, end.type, { exitCode: end.exitCode, reason: "" })
  ]
}

/** What comes between threads: mostly signals, and now and then a line or a fault. */
const noise = (n: number): LogInput => {
  const name = `sense-${n % SENSES}`
  if (n % 500 === 499) return { source: "sense", type: "error", refId: name, payload: { message: "odd", stack: null } }
  if (n % 50 === 49) {
    return { source: "worker", type: "output", refId: `sense:g${n % 4}`, payload: { stream: "stdout", line: "hello" } }
  }
  return { source: "sense", type: "signal", refId: name, payload: { value: { usage: 0.5312, n }, cause: "interval" } }
}

/** Every entry of the log, oldest first; `rows` of them, give or take a thread. */
function* history(rows: number, threads: number): Generator<LogInput> {
  const places = placesOf(threads)
  const active = threads * (ROUNDS.active + 1)
  let count = 0
  let ended = 0
  while (count < rows - active) {
    if (count % 20_000 === 0) yield { source: "kernel", type: "started", refId: null, payload: { pid: 1 } }
    if (count % 100 < 8) {
      const entries = endedThread(ended++)
      yield* entries
      count += entries.length
    } else {
      yield noise(count)
      count += 1
    }
  }
  for (let n = 0; n < threads; n++) {
    const threadId = `active-${n}`
    yield opened(threadId, n < places ? "started" : "queued", "work")
    if (n < places) yield* rounds(threadId, ROUNDS.active)
    else for (let more = 0; more < ROUNDS.active; more++) yield noise(n)
  }
}

/** A clock that says what it is told. */
const makeClock = () => {
  const at = { now: 0 }
  const unsafe = () => at.now
  const nanos = () => BigInt(at.now) * 1_000_000n
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: unsafe,
    currentTimeMillis: Effect.sync(unsafe),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: () => Effect.never
  }
  return { at, clock }
}

/** Fills the log; the number of its entries. */
export const fill = Effect.fnUntraced(function* (
  file: string,
  options: {
    readonly rows: number
    readonly threads: number
    readonly say: (line: string) => void
  }
) {
  const { at, clock } = makeClock()
  const until = yield* Clock.currentTimeMillis
  const begin = until - SPAN
  let count = 0
  const append = Effect.fnUntraced(function* (store: LogStore["Service"], batch: ReadonlyArray<LogInput>) {
    at.now = Math.min(until, Math.round(begin + (SPAN * count) / options.rows))
    yield* Effect.provideService(store.appendAll(batch), Clock.Clock, clock)
    count += batch.length
    if (Math.floor(count / 100_000) > Math.floor((count - batch.length) / 100_000)) options.say(`${count} entries`)
  })
  yield* Effect.gen(function* () {
    const store = yield* LogStore
    let batch: Array<LogInput> = []
    for (const input of history(options.rows, options.threads)) {
      batch.push(input)
      if (batch.length < BATCH) continue
      yield* append(store, batch)
      batch = []
    }
    yield* append(store, batch)
  }).pipe(Effect.provide(LogStoreSqlite.layer(file)))
  return count
})
