/**
 * Power cuts, simulated: the system calls of a process that appends are recorded by strace, and replayed up
 * to a random one. What was synchronised is there; of what was only written, any part may be there, in any
 * order, each write whole or torn at a sector.
 */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { all, withStores } from "./support.ts"

export interface Report {
  readonly images: number
  readonly acknowledged: number
  /** Images that did not open, that lack an acknowledged entry, or whose chain does not hold. */
  readonly unopened: number
  readonly lost: number
  readonly damaged: number
}

/** Disks write sectors whole; anything larger may be torn. */
const SECTOR = 512

type Op =
  | { readonly _tag: "Write"; readonly file: string; readonly offset: number; readonly bytes: Buffer }
  | { readonly _tag: "Truncate"; readonly file: string; readonly length: number }
  | { readonly _tag: "Sync"; readonly file: string }
  | { readonly _tag: "Ack"; readonly id: number }

/** Why this cannot be done here; undefined when it can. */
export const obstacle = (): string | undefined =>
  process.platform !== "linux"
    ? "strace is there on Linux only"
    : spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0
      ? undefined
      : "strace is not installed, or may not trace here"

/** What a process that appends to `file` asks of the system, in order. */
export const record = async (folder: string, mode: "full" | "normal", entries: number): Promise<ReadonlyArray<Op>> => {
  const file = join(folder, "nerve.db")
  const trace = join(folder, "trace")
  const fixture = fileURLToPath(new URL("./powerCut.fixture.ts", import.meta.url))
  const calls = "trace=write,pwrite64,fsync,fdatasync,ftruncate"
  const args = ["-f", "-y", "-xx", "-s", "1000000", "-e", calls, "-o", trace, process.execPath, fixture, file, mode]
  const child = spawn("strace", [...args, String(entries)], { stdio: ["ignore", "ignore", "inherit"] })
  await once(child, "exit")
  return readFileSync(trace, "latin1").split("\n").flatMap(parse)
}

const call = /^\d+\s+(\w+)\((\d+)<((?:\\x[0-9a-f]{2}|[^>])*)>(?:, "((?:\\x[0-9a-f]{2})*)")?(.*)\)\s+=\s+(\d+)/

const unhex = (text: string): Buffer => Buffer.from(text.replaceAll("\\x", ""), "hex")

/** One line of strace: the calls that concern the database, and acknowledgements. */
const parse = (line: string): ReadonlyArray<Op> => {
  const [, name, fd, path = "", data = "", rest = ""] = call.exec(line) ?? []
  const file = basename(path.startsWith("\\x") ? unhex(path).toString() : path)
  if (name === "write" && fd === "1") {
    return [
      ...unhex(data)
        .toString()
        .matchAll(/ack (\d+)/g)
    ].map(([, id]) => ({ _tag: "Ack", id: Number(id) }))
  }
  if (file !== "nerve.db" && file !== "nerve.db-wal") return []
  const numbers = [...rest.matchAll(/\d+/g)].map(([digits]) => Number(digits))
  switch (name) {
    case "pwrite64":
      return [{ _tag: "Write", file, offset: numbers[1] ?? 0, bytes: unhex(data) }]
    case "ftruncate":
      return [{ _tag: "Truncate", file, length: numbers[0] ?? 0 }]
    case "fsync":
    case "fdatasync":
      return [{ _tag: "Sync", file }]
    default:
      return []
  }
}

/** A file as the disk has it. */
class Disk {
  content = Buffer.alloc(0)
  pending: Array<Op> = []

  apply(op: Op): void {
    if (op._tag === "Truncate") {
      const kept = this.content.subarray(0, op.length)
      this.content = Buffer.concat([kept, Buffer.alloc(Math.max(0, op.length - kept.length))])
    }
    if (op._tag !== "Write") return
    const length = Math.max(this.content.length, op.offset + op.bytes.length)
    const grown = Buffer.alloc(length)
    this.content.copy(grown)
    op.bytes.copy(grown, op.offset)
    this.content = grown
  }

  sync(): void {
    for (const op of this.pending) this.apply(op)
    this.pending = []
  }

  /** What of it survives a cut. */
  survive(random: () => number): Buffer {
    const disk = new Disk()
    disk.content = this.content
    const survivors = this.pending.flatMap((op): ReadonlyArray<Op> => {
      if (random() < 0.4) return []
      if (op._tag !== "Write" || op.bytes.length <= SECTOR || random() < 0.6) return [op]
      // Torn: some of its sectors.
      return Array.from({ length: Math.ceil(op.bytes.length / SECTOR) }, (_, n) => n * SECTOR).flatMap((at) =>
        random() < 0.5 ? [] : [{ ...op, offset: op.offset + at, bytes: op.bytes.subarray(at, at + SECTOR) }]
      )
    })
    for (const op of random() < 0.5 ? survivors : shuffle(survivors, random)) disk.apply(op)
    return disk.content
  }
}

const shuffle = <A>(items: ReadonlyArray<A>, random: () => number): ReadonlyArray<A> =>
  items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)

/** The files after a cut behind the first `upTo` calls, and what had been acknowledged by then. */
const cut = (ops: ReadonlyArray<Op>, upTo: number, random: () => number) => {
  const disks = new Map<string, Disk>()
  const acknowledged: Array<number> = []
  for (const op of ops.slice(0, upTo)) {
    if (op._tag === "Ack") {
      acknowledged.push(op.id)
      continue
    }
    const disk = disks.get(op.file) ?? new Disk()
    disks.set(op.file, disk)
    if (op._tag === "Sync") disk.sync()
    else disk.pending.push(op)
  }
  return { acknowledged, files: [...disks].map(([name, disk]) => [name, disk.survive(random)] as const) }
}

/** Records one run and looks at `count` images of it. */
export const run = Effect.fnUntraced(function* (
  mode: "full" | "normal",
  count: number,
  entries: number,
  random: () => number
) {
  const root = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-power-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const ops = yield* Effect.promise(() => record(root, mode, entries))
  const tally = { unopened: 0, lost: 0, damaged: 0 }
  // Before the first acknowledgement there is nothing to lose.
  const first = ops.findIndex((op) => op._tag === "Ack")
  for (let n = 0; n < count; n++) {
    const { acknowledged, files } = cut(ops, first + 1 + Math.floor(random() * (ops.length - first)), random)
    const image = mkdtempSync(join(root, "image-"))
    for (const [name, content] of files) writeFileSync(join(image, name), content)
    const found = yield* withStores(join(image, "nerve.db"), (store) =>
      Effect.all({ entries: all(store), damaged: store.verify })
    ).pipe(
      Effect.scoped,
      Effect.orElseSucceed(() => undefined)
    )
    rmSync(image, { recursive: true })
    if (found === undefined) {
      tally.unopened += 1
      continue
    }
    const ids = new Set(found.entries.map(({ id }) => id))
    if (acknowledged.some((id) => !ids.has(id))) tally.lost += 1
    if (found.damaged !== null) tally.damaged += 1
  }
  const acknowledged = ops.filter((op) => op._tag === "Ack").length
  return { images: count, acknowledged, ...tally } satisfies Report
})
