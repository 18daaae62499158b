/**
 * Senses under `kill -9`: a daemon with four senses in two groups, of which workers, or the daemon itself, are killed
 * at random moments, while migrations are added. At the end each sense's database and the log are compared:
 *
 * - each compute has counted once: in its rows, in its state and in its signals, none left out and none twice
 * - ids of signals only grow, and what the log once said it says still
 * - each launch that was recorded has become one thread
 * - each migration is applied as a whole or not at all, as its journal says
 */
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { type Figures, type Proof, randomOf, type Settings } from "./Proof.ts"

const nerve = fileURLToPath(new URL("../../packages/cli/dist/nerve.mjs", import.meta.url))

const names = ["a", "b", "c", "d"]
const rowsPerMigration = 20_000
/** Every so many signals one launches a workflow. */
const launchEvery = 5

const sense = `import { Sense } from "@nerve/core"
import * as Schema from "effect/Schema"
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
export default Sense.make({
  signal: Schema.Struct({ n: Schema.Int }),
  state: { schema: Schema.Int, initial: 0 },
  compute: async ({ db, state }) => {
    const n = state.get() + 1
    await pause(Math.random() * 5)
    db.prepare("INSERT INTO seen (n) VALUES (?)").run(n)
    await pause(Math.random() * 10)
    state.set(n)
    return Sense.signal({ n }, n % ${launchEvery} === 0 ? { launch: { workflow: "note", prompt: String(n) } } : {})
  }
})
`

const files: Readonly<Record<string, string>> = {
  "nerve.yaml": `senses:
  a: { group: one, interval: 100ms }
  b: { group: one, interval: 150ms }
  c: { group: two, interval: 100ms }
  d: { group: two, on: [c] }
workflows:
  note: { concurrency: 4, overflow: queue, max_queue: 10000 }
`,
  "workflows/note/index.mjs": `import { Role, Workflow } from "@nerve/core"
export default Workflow.make({ roles: { scribe: Role.make(async () => "noted") }, moderator: Workflow.sequence("scribe") })
`,
  ...Object.fromEntries(
    names.flatMap((name) => [
      [`senses/${name}/index.ts`, sense],
      [`senses/${name}/migrations/0000.sql`, "CREATE TABLE seen (n INTEGER)"]
    ])
  )
}

/** Several statements that take a while: half of it is what must never be seen. */
const migration = (table: string): string => `CREATE TABLE ${table} (x INTEGER);
INSERT INTO ${table} WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < ${rowsPerMigration / 2}) SELECT x FROM c;
INSERT INTO ${table} SELECT -x FROM ${table};`

/** A daemon as a process, and the pids of its workers as its log tells them. */
class Daemon {
  readonly workers = new Map<string, number>()
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  #signals = 0

  constructor(root: string) {
    this.#child = spawn(process.execPath, [nerve, "dev", "--json", "-C", root], {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"]
    })
    this.#exited = once(this.#child, "exit")
    if (this.#child.stdout !== null)
      createInterface({ input: this.#child.stdout }).on("line", (line) => this.#told(line))
  }

  #told(line: string): void {
    try {
      const entry: { readonly type: string; readonly refId: string; readonly payload: { readonly pid?: number } } =
        JSON.parse(line)
      if (entry.type === "signal") this.#signals++
      if (entry.type === "exited") this.workers.delete(entry.refId)
      if (entry.type === "started" && entry.payload.pid !== undefined && entry.refId !== null) {
        this.workers.set(entry.refId, entry.payload.pid)
      }
    } catch {
      // The last line of a daemon that was killed may be half a line.
    }
  }

  /** Done after so many signals from now on. */
  async signals(count: number): Promise<void> {
    const wanted = this.#signals + count
    const since = performance.now()
    while (this.#signals < wanted) {
      if (performance.now() - since > 60_000) throw new Error(`60 s without ${count} signals`)
      await pause(20)
    }
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#child.kill(signal)
    await this.#exited
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

const kill = (pid: number): boolean => {
  try {
    return process.kill(pid, "SIGKILL")
  } catch {
    return false
  }
}

const read = <A>(file: string, f: (database: DatabaseSync) => A): A => {
  const database = new DatabaseSync(file, { timeout: 10_000 })
  try {
    return f(database)
  } finally {
    database.close()
  }
}

const numbers = (database: DatabaseSync, sql: string): ReadonlyArray<number> =>
  database
    .prepare(sql)
    .all()
    .map((row) => Number(Object.values(row)[0]))

/** Entries of the log by id, as they were seen, of which none may ever change. */
class Seen {
  readonly #entries = new Map<number, string>()
  #last = 0

  /** What is wrong with the log since it was last looked at. */
  look(file: string): ReadonlyArray<string> {
    if (!existsSync(file)) return []
    return read(file, (database) => {
      const rows = database.prepare("SELECT id, type, ref_id, payload FROM logs ORDER BY id").all()
      const now = new Map(rows.map(({ id, ...row }) => [Number(id), JSON.stringify(row)]))
      const wrong = [...this.#entries].flatMap(([id, text]) =>
        now.get(id) === text ? [] : [`entry ${id} was ${text}, now ${now.get(id) ?? "gone"}`]
      )
      for (const [id, text] of now) {
        if (!this.#entries.has(id) && id <= this.#last) wrong.push(`entry ${id} came after entry ${this.#last}`)
        this.#entries.set(id, text)
      }
      this.#last = Math.max(this.#last, ...now.keys())
      return wrong
    })
  }

  get size(): number {
    return this.#entries.size
  }
}

/** What one sense's database and the log disagree about, and how often it has computed. */
const compare = (root: string, name: string): { readonly wrong: ReadonlyArray<string>; readonly computes: number } =>
  read(join(root, `data/senses/${name}.db`), (database) => {
    const wrong: Array<string> = []
    const seen = numbers(database, "SELECT n FROM seen ORDER BY rowid")
    const [state = 0] = numbers(database, "SELECT value FROM _nerve_state")
    const expected = Array.from(seen, (_, index) => index + 1)
    if (String(seen) !== String(expected)) wrong.push(`${name}: rows are ${brief(seen)}`)
    if (state !== seen.length) wrong.push(`${name}: state is ${state} after ${seen.length} computes`)
    // A stop in peace, too, may come between a compute and the log: its signal waits for the next start.
    const [waiting] = read(join(root, "data/nerve.db"), (log) => {
      const [key] = log
        .prepare(
          "SELECT json_extract(payload, '$.key') AS key FROM logs WHERE type = 'signal' AND ref_id = ? ORDER BY id DESC"
        )
        .all(name)
      return database
        .prepare("SELECT json_extract(value, '$.n') AS n FROM _nerve_signal WHERE origin || ':' || number <> ?")
        .all(String(key?.["key"]))
        .map((row) => Number(row["n"]))
    })
    const logged = read(join(root, "data/nerve.db"), (log) =>
      numbers(
        log,
        `SELECT json_extract(payload, '$.value.n') FROM logs WHERE source = 'sense' AND type = 'signal' AND ref_id = '${name}' ORDER BY id`
      )
    )
    const signals = waiting === undefined ? logged : [...logged, waiting]
    if (String(signals) !== String(expected))
      wrong.push(`${name}: of ${seen.length} computes the log has ${brief(signals)}`)
    const journal = database
      .prepare("SELECT name FROM _nerve_migrations")
      .all()
      .map((row) => String(row.name))
    for (const table of numbers(database, "SELECT substr(name, 2) FROM sqlite_master WHERE name GLOB 'm[0-9]*'")) {
      const [rows] = numbers(database, `SELECT count(*) FROM m${table}`)
      if (rows !== rowsPerMigration) wrong.push(`${name}: migration ${table} left ${rows} rows`)
      if (!journal.includes(fileOf(table))) wrong.push(`${name}: migration ${table} is in no journal`)
    }
    for (const file of journal.slice(1)) {
      const [tables] = numbers(
        database,
        `SELECT count(*) FROM sqlite_master WHERE name = 'm${Number.parseInt(file, 10)}'`
      )
      if (tables !== 1) wrong.push(`${name}: ${file} is in the journal and left no table`)
    }
    return { wrong, computes: seen.length }
  })

const fileOf = (table: number): string => `${String(table).padStart(4, "0")}.sql`

/** Where a list of whole numbers leaves out one, or has one twice. */
const brief = (values: ReadonlyArray<number>): string => {
  const at = values.findIndex((value, index) => value !== index + 1)
  return at === -1 ? `1 to ${values.length}` : `… ${values.slice(Math.max(0, at - 2), at + 3).join(", ")} …`
}

/** Each launch is one thread. */
const compareLaunches = (root: string): { readonly wrong: ReadonlyArray<string>; readonly launches: number } =>
  read(join(root, "data/nerve.db"), (log) => {
    const launches = numbers(log, "SELECT id FROM logs WHERE type = 'launch'")
    const threads = log
      .prepare(
        `SELECT launch, count(DISTINCT ref_id) AS n FROM (SELECT ref_id, json_extract(payload, '$.launch') AS launch FROM logs
         WHERE source = 'workflow' AND type IN ('started', 'queued')) WHERE launch IS NOT NULL GROUP BY launch`
      )
      .all()
    const counts = new Map(threads.map(({ launch, n }) => [Number(launch), Number(n)]))
    return {
      launches: launches.length,
      wrong: launches.flatMap((id) => (counts.get(id) === 1 ? [] : [`launch ${id} has ${counts.get(id) ?? 0} threads`]))
    }
  })

const run = async ({ say, seed, times }: Settings): Promise<Figures> => {
  const random = randomOf(seed)
  const root = realpathSync(mkdtempSync(join(tmpdir(), "nerve-proof-senses-")))
  const write = (name: string, text: string) => {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), text)
  }
  for (const [name, text] of Object.entries(files)) write(name, text)
  const log = join(root, "data/nerve.db")
  const seen = new Seen()
  const wrong: Array<string> = []
  const killed = { daemon: 0, worker: 0 }
  let migrations = 0
  let daemon = new Daemon(root)
  try {
    await daemon.signals(3)
    for (let turn = 1; turn <= times; turn++) {
      if (random(4) === 0) {
        migrations++
        write(`senses/${names[random(names.length)]}/migrations/${fileOf(migrations)}`, migration(`m${migrations}`))
      }
      // Now and then while it still starts, mostly while it works.
      if (random(4) > 0) await daemon.signals(1 + random(12))
      await pause(random(300))
      const workers = [...daemon.workers.entries()].filter(([key]) => key.startsWith("sense:"))
      const worker = workers[random(workers.length)]
      if (random(3) > 0 && worker !== undefined) {
        if (kill(worker[1])) killed.worker++
        continue
      }
      await daemon.end("SIGKILL")
      killed.daemon++
      wrong.push(...seen.look(log))
      daemon = new Daemon(root)
      if (turn % 20 === 0) say(`${turn} of ${times} kills`)
    }
    // Once more in peace, so that what was left over is recorded.
    await daemon.signals(40)
  } finally {
    await daemon.end("SIGINT")
  }
  wrong.push(...seen.look(log))
  const senses = names.map((name) => compare(root, name))
  const { launches, wrong: lost } = compareLaunches(root)
  wrong.push(...senses.flatMap((found) => found.wrong), ...lost)
  for (const line of wrong) say(line)
  if (wrong.length === 0) rmSync(root, { recursive: true, force: true })
  else say(`see ${root}`)
  const computes = senses.reduce((sum, found) => sum + found.computes, 0)
  return { ok: wrong.length === 0, killed, computes, migrations, launches, entries: seen.size, wrong: wrong.length }
}

export const senses: Proof = {
  what: "kill -9 of sense workers and daemon: no state, signal or launch lost or twice, no migration by half",
  unit: "kills",
  times: 300,
  run: (settings) => Effect.promise(() => run(settings))
}
