/**
 * What a disk does to a log (D1, D3, D4): it fills up again and again, also across restarts, and its file
 * becomes read-only. Errors are typed, nothing that was acknowledged is lost, and it goes on when the cause
 * is gone. A full disk is a small file system in memory, which only root may mount; elsewhere that part is
 * skipped, and said so.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "@effect/vitest"
import { defaultPolicy } from "@nerve/runtime/log/Archive"
import * as BallastFile from "@nerve/node/sqlite/BallastFile"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import { LogStore } from "@nerve/runtime/log/LogStore"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { ended, message, opened, signal } from "../../../runtime/test/log/LogStoreSuite.ts"
import { all, DAY, folder, newFile, withStores } from "./support.ts"

/** A file system of 4 MiB; undefined where none can be mounted. */
const mounted = (): string | undefined => {
  const path = mkdtempSync(join(tmpdir(), "nerve-full-"))
  const isMounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", path]).status === 0
  if (!isMounted) rmSync(path, { recursive: true })
  return isMounted ? path : undefined
}

const unmount = (path: string) => {
  execFileSync("umount", ["-l", path])
  rmSync(path, { recursive: true, force: true })
}

const canMount = (() => {
  const path = process.platform === "linux" ? mounted() : undefined
  if (path === undefined) console.log("Trouble: a full disk is skipped, for no file system can be mounted here")
  else unmount(path)
  return path !== undefined
})()

const small = Effect.acquireRelease(
  Effect.sync(() => mounted() ?? ""),
  (path) => Effect.sync(() => unmount(path))
)

/** Fills the disk to the last byte; gives it back again. */
const hog = (path: string) => {
  const file = join(path, "hog")
  return {
    take: () => {
      const { bavail, bsize } = statfsSync(path)
      if (bavail > 0) writeFileSync(file, Buffer.alloc(bavail * bsize))
    },
    giveBack: () => existsSync(file) && unlinkSync(file)
  }
}

const sizes = { kept: 1024 * 1024, room: 2 * 1024 * 1024 }

/** Appends until the disk is full; the ids that were acknowledged. */
const appendUntilFull = Effect.fnUntraced(function* (store: LogStore["Service"], round: number) {
  const acknowledged: Array<number> = []
  for (let n = 0; n < 10_000; n++) {
    const size = n % 7 === 3 ? 70_000 : 3000
    const appended = yield* Effect.result(store.append(signal("cpu", `${round} ${"x".repeat(size)}`)))
    if (appended._tag === "Failure") {
      expect(appended.failure).toMatchObject({ _tag: "LogStoreError", operation: "append" })
      expect(appended.failure.permanent).not.toBe(true)
      return acknowledged
    }
    acknowledged.push(appended.success.id)
  }
  throw new Error("the disk did not fill up")
})

describe.skipIf(!canMount)("a disk that fills up", () => {
  it.effect(
    "twenty times, with restarts while it is full: no acknowledged entry is lost, and it goes on",
    () =>
      Effect.gen(function* () {
        const path = yield* small
        const file = join(path, "data", "nerve.db")
        mkdirSync(join(path, "data"))
        const disk = hog(path)
        const acknowledged: Array<number> = []
        for (let round = 0; round < 20; round++) {
          yield* withStores(file, (store) =>
            Effect.gen(function* () {
              disk.take()
              // Full as it is, a thread's state can be read.
              yield* store.activeRuns
              acknowledged.push(...(yield* appendUntilFull(store, round)))
              disk.giveBack()
              acknowledged.push((yield* store.append(signal("after"))).id)
              if (round % 5 === 0) disk.take()
            })
          )
          // Closed, perhaps while full; what cannot be opened now says so, and can later.
          const opened = yield* Effect.result(withStores(file, all))
          if (opened._tag === "Failure") expect(opened.failure).toMatchObject({ reason: "disk-full" })
          disk.giveBack()
          const found = yield* withStores(file, (store, maintenance) =>
            Effect.gen(function* () {
              const ids = new Set((yield* all(store)).map(({ id }) => id))
              expect(acknowledged.filter((id) => !ids.has(id))).toEqual([])
              expect(yield* maintenance.verify).toMatchObject({ problems: [] })
              // Makes room for the next round.
              yield* TestClock.adjust(3 * DAY)
              return yield* maintenance.archive({ archiveAfter: DAY, keep: DAY })
            })
          )
          if (found.removedDays.length > 0) acknowledged.length = 0
          yield* withStores(file, (_, maintenance) => maintenance.vacuum)
        }
      }),
    120_000
  )

  it.effect("while a day is archived: the day stays in the database, and is archived when there is room", () =>
    Effect.gen(function* () {
      const path = yield* small
      const disk = hog(path)
      yield* withStores(join(path, "nerve.db"), (store, maintenance) =>
        Effect.gen(function* () {
          yield* store.appendAll(Array.from({ length: 100 }, (_, n) => signal("cpu", `${n} ${"x".repeat(3000)}`)))
          const before = yield* all(store)
          yield* TestClock.adjust(40 * DAY)
          disk.take()
          const error = yield* Effect.flip(maintenance.archive(defaultPolicy))
          expect(error).toMatchObject({ _tag: "LogStoreError", operation: "archive" })
          expect(yield* all(store)).toEqual(before)
          disk.giveBack()
          expect(yield* maintenance.archive(defaultPolicy)).toMatchObject({ entries: 100 })
          expect(yield* all(store)).toEqual(before)
          expect((yield* maintenance.verify).ok).toBe(true)
        })
      )
    })
  )
})

describe.skipIf(!canMount)("ballast", () => {
  it.effect(
    "is given up on a full disk for what threads and the daemon record, and kept again when there is room",
    () =>
      Effect.gen(function* () {
        const path = yield* small
        const file = join(path, "nerve.db")
        const disk = hog(path)
        yield* Effect.gen(function* () {
          const store = yield* LogStore
          yield* store.appendAll([opened("started", "t"), signal("cpu")])
          expect(statSync(BallastFile.pathOf(file)).size).toBe(sizes.kept)
          disk.take()
          // Of what comes first, something meets the full disk.
          const refused = yield* Effect.gen(function* () {
            while (true) yield* store.append(signal("cpu", "x".repeat(3000)))
          }).pipe(Effect.flip)
          expect(refused.message).toContain("the disk is full")
          expect(existsSync(BallastFile.pathOf(file))).toBe(false)
          for (let round = 1; round <= 20; round++) yield* store.append(message("t", round))
          yield* store.append({ ...message("t", 21), payload: { role: "r", content: "y".repeat(70_000), meta: null } })
          yield* store.appendAll([
            ended("completed", "t", 0),
            { source: "kernel", type: "stopped", refId: null, payload: {} }
          ])
          expect(yield* Effect.flip(store.append(signal("cpu")))).toMatchObject({ _tag: "LogStoreError" })
          disk.giveBack()
          expect(yield* store.append(signal("cpu"))).toMatchObject({ type: "signal" })
          expect(statSync(BallastFile.pathOf(file)).size).toBe(sizes.kept)
        }).pipe(Effect.provide(LogStoreSqlite.layerWithTicks(file, sizes)))
        yield* withStores(file, (store, maintenance) =>
          Effect.gen(function* () {
            expect((yield* store.messages("t")).length).toBe(21)
            expect(yield* store.run("t")).toMatchObject({ status: "completed" })
            expect((yield* maintenance.verify).problems).toEqual([])
          })
        )
      })
  )

  it.effect("is not taken where there is little room", () =>
    Effect.gen(function* () {
      const path = yield* small
      const file = join(path, "nerve.db")
      yield* Effect.gen(function* () {
        yield* (yield* LogStore).append(signal("cpu"))
        expect(existsSync(BallastFile.pathOf(file))).toBe(false)
      }).pipe(Effect.provide(LogStoreSqlite.layerWithTicks(file)))
    })
  )
})

/** A process that may write only what is given to it; asks it to append, and takes the rights away or gives them. */
const powerless = (path: string, file: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const fixture = fileURLToPath(new URL("./readOnly.fixture.ts", import.meta.url))
      const child = spawn(process.execPath, [fixture, file], { stdio: ["pipe", "pipe", "inherit"] })
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      const isRoot = process.getuid?.() === 0
      /** Root's rights are another user's; any other user's go by the mode. */
      const allow = (may: boolean) => {
        for (const name of [path, ...readdirSync(path).map((name) => join(path, name))]) {
          if (isRoot) chownSync(name, may ? 65_534 : 0, may ? 65_534 : 0)
          else chmodSync(name, (may ? 0o600 : 0o400) | (name === path ? 0o111 : 0))
          if (isRoot && name === path) chmodSync(name, 0o755)
        }
      }
      const ask = Effect.promise(async (): Promise<unknown> => {
        child.stdin.write("append\n")
        return JSON.parse(String((await lines.next()).value))
      })
      return { child, allow, ask }
    }),
    ({ allow, child }) =>
      Effect.promise(async () => {
        allow(true)
        if (child.exitCode !== null) return
        const gone = once(child, "exit")
        child.kill()
        await gone
      })
  )

describe("a file that may not be written for a while", () => {
  it.live("because another user has taken the right away: says so, and is written when it is back", () =>
    Effect.gen(function* () {
      const path = yield* folder
      const file = join(path, "log.db")
      yield* withStores(file, (store) => store.append(signal("cpu")))
      const { allow, ask } = yield* powerless(path, file)
      allow(true)
      expect(yield* ask).toEqual({ id: 2, problem: null })
      allow(false)
      expect(yield* ask).toMatchObject({ _tag: "StoreOpenFailed", reason: "not-permitted" })
      allow(true)
      expect(yield* ask).toEqual({ id: 3, problem: null })
      yield* withStores(file, (store, maintenance) =>
        Effect.gen(function* () {
          expect((yield* all(store)).map(({ id }) => id)).toEqual([1, 2, 3])
          expect((yield* maintenance.verify).problems).toEqual([])
        })
      )
    })
  )

  it.effect("fails appends and archive, is read meanwhile, and goes on afterwards", () =>
    Effect.gen(function* () {
      const file = yield* newFile
      yield* withStores(file, (store, maintenance) =>
        Effect.gen(function* () {
          yield* store.appendAll([opened("started", "t"), message("t", 1)])
          yield* TestClock.adjust(40 * DAY)
          const other = new DatabaseSync(file)
          other.exec("BEGIN IMMEDIATE")
          expect(yield* Effect.flip(store.append(signal("a")))).toMatchObject({ _tag: "LogStoreError" })
          expect(yield* Effect.flip(maintenance.archive(defaultPolicy))).toMatchObject({ _tag: "LogStoreError" })
          expect(yield* Effect.flip(maintenance.rebuild)).toMatchObject({ _tag: "LogStoreError" })
          expect((yield* store.messages("t")).length).toBe(1)
          other.exec("ROLLBACK")
          other.close()
          expect(yield* maintenance.archive(defaultPolicy)).toMatchObject({ entries: 2 })
          expect((yield* store.append(message("t", 2))).id).toBe(3)
          expect((yield* maintenance.verify).ok).toBe(true)
        })
      )
    })
  )
})
