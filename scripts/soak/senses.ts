/**
 * Soak: many real senses on a real daemon. `pnpm soak senses [--minutes N] [--senses N] [--groups N]
 * [--cpu-prof DIR]`. Linux only: it reads the daemon's processor time and memory from /proc.
 *
 * Every sense computes once a second: it reads a file, says why it has nothing to say, and once a
 * minute signals, logs a line and keeps a row. What became of each single tick is read from the
 * history that the daemon itself keeps (its file is opened for reading beside it, so that watching
 * costs the daemon nothing), often enough that none has given way to newer ones.
 *
 * It starts to measure half a minute after every sense has computed, and ends with one line of JSON:
 *
 * - `senses`, `ticks`: how many there were;
 * - `missed`: ticks that came to no compute of their own, are not on record, or started more than an
 *   interval late;
 * - `lateMaxMs`: the most that a compute started after it was due;
 * - `daemonCpu`: processor time of the daemon's own process, as a share of one core;
 * - `rssStartMb`, `rssEndMb`: its resident memory, the median of the first and of the last tenth.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const { values: options } = parseArgs({
  args: process.argv.slice(3),
  options: {
    minutes: { type: "string", default: "5" },
    senses: { type: "string", default: "1000" },
    groups: { type: "string", default: "20" },
    "cpu-prof": { type: "string" }
  }
})
const minutes = Number(options.minutes)
const senses = Number(options.senses)
const groups = Number(options.groups)
const intervalMs = 1_000

if (!existsSync("/proc/self/stat")) {
  console.error("this soak reads /proc, which only Linux has")
  process.exit(2)
}

/** Within the packages, so that `@nerve/core` and `effect` resolve; not in git. */
const temporary = fileURLToPath(new URL("../.tmp/", import.meta.url))
const daemonEntry = fileURLToPath(new URL("../../packages/node/dist/daemon.mjs", import.meta.url))

const say = (text: string) => console.error(text)

const nameOf = (nth: number) => `sense-${String(nth).padStart(4, "0")}`

const moduleOf = (nth: number) => `
import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"

let computes = ${nth % 60}

export default Sense.make({
  signal: Schema.Struct({ load: Schema.Finite }),
  compute: ({ db, log }) => {
    const load = Number(readFileSync("/proc/loadavg", "utf8").split(" ")[0])
    if (++computes % 60 !== 0) return Sense.none
    log("a minute has passed", { load })
    db.exec("CREATE TABLE IF NOT EXISTS samples (load REAL NOT NULL)")
    db.prepare("INSERT INTO samples (load) VALUES (?)").run(load)
    return Sense.signal({ load })
  }
})
`

const makeWorkspace = (): string => {
  mkdirSync(temporary, { recursive: true })
  const root = mkdtempSync(join(temporary, "soak-"))
  mkdirSync(join(root, "senses"))
  const entries = Array.from({ length: senses }, (_, nth) => {
    writeFileSync(join(root, "senses", `${nameOf(nth)}.ts`), moduleOf(nth))
    return `  ${nameOf(nth)}: { group: group-${nth % groups}, interval: 1s }`
  })
  writeFileSync(join(root, "nerve.yaml"), `senses:\n${entries.join("\n")}\n`)
  return root
}

// --- what /proc says of a process

/** Seconds of processor time, user and system. */
const cpuSeconds = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  // Fields 14 and 15 of the whole line, in ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) / 100
}

const rssMb = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

// --- what the history says of ticks

interface Row {
  readonly id: number
  readonly sense: string
  readonly outcome: string
  readonly dueAt: number
  readonly startedAt: number | null
  readonly count: number
}

/**
 * Ids that are looked through again: what gathered at the same time is written in several transactions,
 * sense by sense and not in the order of ids, and one may read between two of them.
 */
const rereadIds = 20 * senses

/** Reads what was written since it was last asked. */
const makeReader = (root: string) => {
  const db = new DatabaseSync(join(root, "data/nerve.db"), { readOnly: true })
  const select = db.prepare(
    "SELECT id, sense, outcome, due_at, started_at, count FROM sense_ticks WHERE id > ? ORDER BY id"
  )
  let last = 0
  let seen = new Set<number>()
  return {
    close: () => db.close(),
    read: (): ReadonlyArray<Row> => {
      const found = select.all(last - rereadIds).map((row): Row => ({
        id: Number(row["id"]),
        sense: String(row["sense"]),
        outcome: String(row["outcome"]),
        dueAt: Number(row["due_at"]),
        startedAt: row["started_at"] === null ? null : Number(row["started_at"]),
        count: Number(row["count"])
      }))
      const rows = found.filter(({ id }) => !seen.has(id))
      last = Math.max(last, rows.at(-1)?.id ?? 0)
      seen = new Set(found.map(({ id }) => id))
      return rows
    }
  }
}

/** Counts ticks that are due at `from` or later. */
class Tally {
  ticks = 0
  dropped = 0
  late = 0
  lateMaxMs = 0
  readonly outcomes = new Map<string, number>()
  private readonly dues = new Map<string, Array<number>>()
  private readonly from: number

  constructor(from: number) {
    this.from = from
  }

  add({ count, dueAt, outcome, sense, startedAt }: Row): void {
    if (dueAt < this.from) return
    const dues = this.dues.get(sense) ?? []
    this.dues.set(sense, dues)
    for (let nth = 0; nth < count; nth++) dues.push(dueAt + nth * intervalMs)
    this.ticks += count
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + count)
    if (startedAt === null) {
      this.dropped += count
      return
    }
    const late = startedAt - dueAt
    this.lateMaxMs = Math.max(this.lateMaxMs, late)
    if (late > intervalMs) this.late++
  }

  /** A grid has a tick each interval: where those on record are further apart, some are missing. */
  get unrecorded(): number {
    let missing = 0
    for (const dues of this.dues.values()) {
      dues.sort((a, b) => a - b)
      dues.forEach((due, nth) => {
        if (nth > 0) missing += Math.max(0, Math.round((due - (dues[nth - 1] ?? due)) / intervalMs) - 1)
      })
    }
    return missing
  }

  get missed(): number {
    return this.dropped + this.late + this.unrecorded
  }
}

// --- the run

/** The history keeps 50 ticks of an outcome: read at least every 50 seconds. */
const readEveryMs = 10_000

const run = async (root: string, pid: number): Promise<void> => {
  const reader = makeReader(root)
  try {
    const computed = new Set<string>()
    for (const deadline = Date.now() + 300_000; computed.size < senses;) {
      if (Date.now() > deadline) throw new Error(`only ${computed.size} of ${senses} senses have computed in 5 minutes`)
      await sleep(2_000)
      for (const { sense, startedAt } of reader.read()) if (startedAt !== null) computed.add(sense)
      say(`${computed.size} of ${senses} senses have computed`)
    }
    // Whoever boots beside others is late, and memory grows until its buffers are full: the run begins after that.
    await sleep(30_000)
    reader.read()

    const from = Date.now()
    const tally = new Tally(from)
    const memory: Array<number> = []
    const cpuFrom = cpuSeconds(pid)
    const lengthMs = minutes * 60_000
    let nextRead = from + readEveryMs
    while (Date.now() - from < lengthMs) {
      await sleep(1_000)
      memory.push(rssMb(pid))
      if (Date.now() < nextRead) continue
      nextRead += readEveryMs
      for (const row of reader.read()) tally.add(row)
      const share = (cpuSeconds(pid) - cpuFrom) / ((Date.now() - from) / 1_000)
      say(
        `${Math.round((Date.now() - from) / 1_000)} s: ${tally.ticks} ticks (${[...tally.outcomes].map(([name, count]) => `${name} ${count}`).join(", ")}), ` +
          `${tally.dropped} dropped, ${tally.late} late, ${tally.unrecorded} unrecorded, at most ${Math.round(tally.lateMaxMs)} ms late, ` +
          `${(100 * share).toFixed(1)} % of a core, ${Math.round(memory.at(-1) ?? 0)} MB`
      )
    }
    const seconds = (Date.now() - from) / 1_000
    const cpu = cpuSeconds(pid) - cpuFrom
    // The history is written every five seconds, later when the machine is busy: a tick of each sense after
    // the end says that all before it are there.
    const complete = new Set<string>()
    for (const deadline = Date.now() + 120_000; complete.size < senses && Date.now() < deadline;) {
      await sleep(2_000)
      for (const row of reader.read()) {
        if (row.dueAt < from + lengthMs) tally.add(row)
        else complete.add(row.sense)
      }
    }
    const tenth = Math.max(1, Math.floor(memory.length / 10))
    console.log(
      JSON.stringify({
        senses,
        ticks: tally.ticks,
        missed: tally.missed,
        lateMaxMs: Math.round(tally.lateMaxMs),
        daemonCpu: Number((cpu / seconds).toFixed(3)),
        rssStartMb: Math.round(median(memory.slice(0, tenth))),
        rssEndMb: Math.round(median(memory.slice(-tenth)))
      })
    )
  } finally {
    reader.close()
  }
}

const root = makeWorkspace()
const prof = options["cpu-prof"]
const daemon = spawn(
  process.execPath,
  [...(prof === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${prof}`]), daemonEntry, root],
  { cwd: root, stdio: ["ignore", "inherit", "inherit"] }
)
const exited = once(daemon, "exit")
const pid = daemon.pid ?? 0
try {
  while (!existsSync(join(root, "data/nerve.db"))) {
    if (daemon.exitCode !== null) throw new Error(`the daemon ended with exit code ${daemon.exitCode}`)
    await sleep(100)
  }
  // Its tables are made right after the file.
  await sleep(2_000)
  await run(root, pid)
} finally {
  daemon.kill("SIGTERM")
  await exited
  rmSync(root, { recursive: true, force: true })
}
