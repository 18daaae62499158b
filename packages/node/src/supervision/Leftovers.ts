/**
 * What an earlier daemon left behind: found by its record and ended, before anything new is started (L6).
 *
 * While a daemon lives, a file says which processes it has started, by pid and start time, and the marker
 * that they carry in their environment. A daemon that ends as it should takes the file away. One that is
 * found at a start is of a daemon that was killed, and whose wardens were killed as well or have not come
 * round yet: what lives of it is ended. A process that merely has the pid of one of them is left alone.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import * as ProcessTable from "./ProcessTable.ts"
import type { Roll } from "./Warden.ts"
import { markerVariable } from "./Warden.ts"

const Known = Schema.Struct({ pid: Schema.Int, started: Schema.String })

/** File format. */
export const Record = Schema.Struct({
  v: Schema.Literal(1),
  /** Start times of another boot say nothing. */
  boot: Schema.String,
  marker: Schema.String,
  /** The daemon itself. */
  owner: Known,
  /** Leaders of the process groups that live, and the wardens. */
  processes: Schema.Array(Known)
})
export type Record = typeof Record.Type

/** A living process, and whether it carries the record's marker. */
export interface Living extends ProcessTable.Process {
  readonly marked: boolean
}

const isKnown = (known: typeof Known.Type, one: ProcessTable.Process): boolean =>
  known.pid === one.pid && known.started === one.started

/**
 * Which of those that live are left over: who is recorded, who is marked, and who is in the process group of one of
 * them. A group that only a zombie leads still has its name.
 */
export const leftovers = (record: Record, living: ReadonlyArray<Living>, self: number): ReadonlyArray<Living> => {
  const sameBoot = record.boot === ProcessTable.boot()
  const found = living.filter(
    (one) => one.marked || (sameBoot && record.processes.some((known) => isKnown(known, one)))
  )
  const pids = new Set(found.map((one) => one.pid))
  const groups = new Set(found.filter((one) => one.group === one.pid).map((one) => one.group))
  const own = living.find((one) => one.pid === self)?.group
  return living.filter(
    (one) => !one.zombie && one.pid !== self && (pids.has(one.pid) || (groups.has(one.group) && one.group !== own))
  )
}

/** Whether the daemon that wrote the record still lives. */
export const isOwned = (record: Record, living: ReadonlyArray<ProcessTable.Process>): boolean =>
  record.boot === ProcessTable.boot() && living.some((one) => !one.zombie && isKnown(record.owner, one))

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Record))

/** Null when there is none, or none that can be read: then nobody can say what was left. */
const readRecord = (file: string): Effect.Effect<Record | null> =>
  Effect.try({ try: () => readFileSync(file, "utf8"), catch: () => "unreadable" as const }).pipe(
    Effect.map((text) => Option.getOrNull(decode(text))),
    Effect.orElseSucceed(() => null)
  )

/** It may have ended, and its pid may be another's by now. */
const end = (one: Living): Effect.Effect<void> =>
  Effect.callback<void>((resume) =>
    ProcessTable.startedUnsafe(one.pid, (started) => {
      if (started === one.started) {
        // The whole group at once, so that nobody in it slips away by a fork.
        if (one.group === one.pid) kill(-one.pid)
        kill(one.pid)
      }
      resume(Effect.void)
    })
  )

const kill = (pid: number): void => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It is gone.
  }
}

/** Lists what lives; it throws where that cannot be seen: no `/proc`, no `ps`. */
type List = () => ReadonlyArray<ProcessTable.Process>

/** What cannot be seen is not ended: that is said, and the start goes on. */
const listed = (list: List): Effect.Effect<ReadonlyArray<ProcessTable.Process> | null> =>
  Effect.try({ try: list, catch: (error) => (error instanceof Error ? error.message : String(error)) }).pipe(
    Effect.catch((why) =>
      Effect.as(Effect.logWarning(`what an earlier daemon has left cannot be seen, and is not ended: ${why}`), null)
    )
  )

const look = (record: Record, list: List): Effect.Effect<ReadonlyArray<Living>> =>
  Effect.map(listed(list), (all) => {
    if (all === null) return []
    const living = all.map((one) => ({
      ...one,
      marked: ProcessTable.hasVariable(one.pid, markerVariable, record.marker)
    }))
    return isOwned(record, living) ? [] : leftovers(record, living, process.pid)
  })

/** What is killed is gone in a moment, unless the kernel holds it: no start waits longer than this. */
const sweepBound = "5 seconds"

const describe = (ended: Iterable<Living>): string =>
  Array.from(ended, ({ name, pid }) => `${pid} (${name})`).join(", ")

/**
 * Ends what the daemon that wrote `file` left behind, and says so in the log; waits until all of it is gone.
 * Does nothing when there is no such file, or when that daemon still lives.
 */
export const sweep = Effect.fn("Leftovers.sweep")(function* (file: string, list: List = ProcessTable.all) {
  const record = yield* readRecord(file)
  if (record === null) return
  const ended = new Map<string, Living>()
  // One that is killed may have started another in the moment before.
  const round = Effect.gen(function* () {
    const living = yield* look(record, list)
    for (const one of living) {
      ended.set(`${one.pid} ${one.started}`, one)
      yield* end(one)
    }
    return living
  })
  const left = yield* round.pipe(
    Effect.repeat({
      until: (living: ReadonlyArray<Living>) => living.length === 0,
      schedule: Schedule.spaced("20 millis")
    }),
    Effect.timeoutOption(sweepBound)
  )
  if (ended.size === 0) return
  const processes = ended.size === 1 ? "a process" : `${ended.size} processes`
  yield* Effect.logWarning(`ended ${processes} that an earlier daemon left behind: ${describe(ended.values())}`)
  if (Option.isNone(left))
    yield* Effect.logError(`some of these have not gone within ${sweepBound}: ${describe(yield* look(record, list))}`)
})

/**
 * Written whole or not at all. One that cannot be written costs the next start its sweep, and nothing else: gives why,
 * null when it is written.
 */
const write = (file: string, record: Record): string | null => {
  const temporary = `${file}.${process.pid}`
  try {
    writeFileSync(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600 })
    renameSync(temporary, file)
    return null
  } catch (error) {
    rmSync(temporary, { force: true })
    return error instanceof Error ? error.message : String(error)
  }
}

/** Keeps the record of one daemon. */
class Keeper implements Roll {
  readonly #file: string
  readonly #record: Omit<Record, "processes">
  readonly #processes = new Map<number, string>()
  readonly #asked = new Set<number>()

  constructor(file: string, record: Omit<Record, "processes">) {
    this.#file = file
    this.#record = record
  }

  /** Writes that nothing lives yet; gives why that cannot be, else null. */
  readonly begin = (): string | null => this.#write()

  /** Two wardens tell of each process: it is looked at, and written, once. */
  readonly add = (pid: number): void => {
    if (this.#asked.has(pid)) return
    this.#asked.add(pid)
    ProcessTable.startedUnsafe(pid, (started) => {
      if (started === undefined || !this.#asked.has(pid)) return
      this.#processes.set(pid, started)
      this.#write()
    })
  }

  readonly remove = (pid: number): void => {
    this.#asked.delete(pid)
    if (this.#processes.delete(pid)) this.#write()
  }

  #write(): string | null {
    const processes = Array.from(this.#processes, ([pid, started]) => ({ pid, started }))
    return write(this.#file, { ...this.#record, processes })
  }
}

const startOf = (pid: number): Effect.Effect<string> =>
  Effect.callback<string>((resume) =>
    ProcessTable.startedUnsafe(pid, (started) => resume(Effect.succeed(started ?? "")))
  )

const nobody: Roll = { add: () => {}, remove: () => {} }

/**
 * Sweeps what an earlier daemon left, then keeps this one's record in the same file until the scope closes. The file
 * belongs to one daemon at a time: while another one that lives has it, nothing is swept and nothing recorded.
 */
export const keep = Effect.fnUntraced(function* (
  file: string,
  marker: string,
  list: List = ProcessTable.all
): Effect.fn.Return<Roll, never, Scope.Scope> {
  yield* sweep(file, list)
  const found = yield* readRecord(file)
  const living = found === null ? [] : yield* listed(list)
  // Whose it is cannot be told.
  if (living === null) return nobody
  if (found !== null && isOwned(found, living)) {
    yield* Effect.logWarning(`${file} is in use by process ${found.owner.pid}: what this one leaves will not be found`)
    return nobody
  }
  const owner = { pid: process.pid, started: yield* startOf(process.pid) }
  const keeper = new Keeper(file, { v: 1, boot: ProcessTable.boot(), marker, owner })
  const why = yield* Effect.acquireRelease(Effect.sync(keeper.begin), () =>
    Effect.sync(() => rmSync(file, { force: true }))
  )
  // It may become writable: the folder may be made, the disk may get room.
  if (why !== null) {
    yield* Effect.logWarning(`${file} cannot be written: what this process leaves will not be found: ${why}`)
  }
  return keeper
})
