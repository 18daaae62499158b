/**
 * Bits flipped in every file that a log consists of: `verify` finds it, or nothing that is read differs.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import { defaultPolicy } from "@nerve/runtime/log/Archive"
import type { LogStore } from "@nerve/runtime/log/LogStore"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { ended, message, opened, signal } from "../../../runtime/test/log/LogStoreSuite.ts"
import { all, DAY, withStores } from "./support.ts"

export interface Report {
  readonly images: number
  /** The store did not open, or `verify` named the damage. */
  readonly found: number
  /** Nobody could tell a difference. */
  readonly harmless: number
  /** What was neither, `FILE bit N`. None, or the proof has failed. */
  readonly missed: ReadonlyArray<string>
}

/** All that can be read of a log. */
const dump = Effect.fnUntraced(function* (store: LogStore["Service"]) {
  const entries = yield* all(store)
  const runs = yield* store.runs({})
  const messages = yield* Effect.forEach(runs, ({ threadId }) => store.messages(threadId))
  return JSON.stringify({ entries, runs, active: yield* store.activeRuns, messages })
})

/** A log with archived days, blobs, a thread that goes on, and a write-ahead log that is not folded in. */
const fill = (folder: string, image: string) =>
  withStores(join(folder, "nerve.db"), (store, maintenance) =>
    Effect.gen(function* () {
      const start = Date.parse("2026-01-01T06:00:00Z")
      for (let day = 0; day < 4; day++) {
        yield* TestClock.setTime(start + day * DAY)
        yield* store.appendAll([
          opened("started", `a${day}`),
          message(`a${day}`, 1),
          { ...signal("big"), payload: `${day}`.repeat(70_000) },
          ...Array.from({ length: 20 }, (_, n) => signal("cpu", { n, day })),
          ...(day === 1 ? [] : [ended("completed", `a${day}`, 0)])
        ])
      }
      yield* TestClock.setTime(start + 32 * DAY)
      yield* maintenance.archive(defaultPolicy)
      yield* store.append(message("a1", 2))
      // As a power cut would find it: open.
      cpSync(folder, image, { recursive: true })
      return yield* dump(store)
    })
  )

const filesBelow = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    // SQLite makes the shared memory anew when nobody has the file open.
    .filter((entry) => entry.isFile() && !entry.name.endsWith("-shm"))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()

/** Whether damage in this image is found, cannot be told, or is missed. */
const judge = (image: string, expected: string) =>
  withStores(join(image, "nerve.db"), (store, maintenance) =>
    Effect.gen(function* () {
      const { ok } = yield* maintenance.verify
      if (!ok) return "found" as const
      return (yield* dump(store)) === expected ? ("harmless" as const) : ("missed" as const)
    })
  ).pipe(
    Effect.scoped,
    // It says that it does not open: found. A read that fails after `verify` found nothing is not.
    Effect.catchTag("StoreOpenFailed", () => Effect.succeed("found" as const)),
    Effect.catch(() => Effect.succeed("missed" as const))
  )

/** `count` images, each with one bit flipped; every file gets its share. `random` is from 0 to 1. */
export const run = Effect.fnUntraced(function* (count: number, random: () => number) {
  const root = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-flips-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const origin = join(root, "origin")
  const expected = yield* fill(join(root, "live"), origin)
  const files = filesBelow(origin)
  const tally = { found: 0, harmless: 0 }
  const missed: Array<string> = []
  for (let n = 0; n < count; n++) {
    const image = join(root, `image-${n}`)
    cpSync(origin, image, { recursive: true })
    const name = files[n % files.length] ?? ""
    const path = join(image, name)
    const bytes = readFileSync(path)
    const bit = Math.floor(random() * bytes.length * 8)
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    writeFileSync(path, bytes, { mode: statSync(path).mode })
    const verdict = yield* judge(image, expected)
    if (verdict === "missed") missed.push(`${name} bit ${bit}`)
    else tally[verdict] += 1
    rmSync(image, { recursive: true })
  }
  return { images: count, ...tally, missed } satisfies Report
})
