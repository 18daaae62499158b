/**
 * That changes are noticed, however they come about: with real files and the system's own watches, and
 * with watches that fail. Each test waits for the change itself.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Watch } from "@nerve/core/config/NerveConfig"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { cpSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Workspace from "../../src/daemon/Workspace.ts"
import * as FileWatch from "../../src/watch/FileWatch.ts"
import * as Sources from "../../src/watch/Sources.ts"
import { makeWorkspace } from "../user/workspace.ts"

const files = {
  "nerve.yaml": "senses:\n",
  "senses/cpu/index.ts": `import "../../lib/a.ts"`,
  "senses/cpu/migrations/001.sql": "CREATE TABLE a (n)",
  "lib/a.ts": "1"
}

const setUp = (options: Partial<Omit<FileWatch.Options, "workspace">> = {}) =>
  Effect.gen(function* () {
    const workspace = Workspace.make(yield* makeWorkspace(files))
    const watch = yield* FileWatch.make({ workspace, mode: () => "auto", ...options })
    const path = (file: string) => join(workspace.root, file)
    const relative = ({ after, before }: FileWatch.Change) =>
      Sources.differences(before, after)
        .map((file) => file.slice(workspace.root.length + 1))
        .sort()
    return {
      watch,
      path,
      write: (file: string, text: string) => writeFileSync(path(file), text),
      /** The files of the next change. */
      next: watch.next.pipe(
        Effect.map(relative),
        Effect.timeoutOrElse({
          duration: "60 seconds",
          orElse: () => Effect.die(new Error("no change was noticed within a minute"))
        })
      ),
      now: Effect.map(watch.now, relative)
    }
  })

describe("a change is noticed", () => {
  it.live("when a file is saved in place", () =>
    Effect.gen(function* () {
      const { next, write } = yield* setUp()
      write("senses/cpu/index.ts", `import "../../lib/a.ts"; 2`)
      assert.deepStrictEqual(yield* next, ["senses/cpu/index.ts"])
      write("nerve.yaml", "workflows:\n")
      assert.deepStrictEqual(yield* next, ["nerve.yaml"])
    })
  )

  it.live("when an editor writes another file and puts it in the place of the old one, again and again", () =>
    Effect.gen(function* () {
      const { next, path, write } = yield* setUp()
      for (const text of ["2", "3", "4"]) {
        write("senses/cpu/.index.ts.swp", text)
        renameSync(path("senses/cpu/.index.ts.swp"), path("senses/cpu/index.ts"))
        assert.include(yield* next, "senses/cpu/index.ts")
      }
      // Keeps the old one as a backup, as vim does.
      renameSync(path("nerve.yaml"), path("nerve.yaml~"))
      write("nerve.yaml", "max_rounds: 5\n")
      rmSync(path("nerve.yaml~"))
      assert.deepStrictEqual(yield* next, ["nerve.yaml"])
    })
  )

  it.live("in what a module imports from elsewhere", () =>
    Effect.gen(function* () {
      const { next, write } = yield* setUp()
      write("lib/a.ts", "2")
      assert.deepStrictEqual(yield* next, ["lib/a.ts"])
    })
  )

  it.live("when folders are deleted, come back, and change again", () =>
    Effect.gen(function* () {
      const { next, path, write } = yield* setUp()
      cpSync(path("senses"), path("kept"), { recursive: true })
      rmSync(path("senses"), { recursive: true })
      assert.deepStrictEqual(yield* next, ["lib/a.ts", "senses/cpu/index.ts", "senses/cpu/migrations/001.sql"])
      renameSync(path("kept"), path("senses"))
      assert.deepStrictEqual(yield* next, ["lib/a.ts", "senses/cpu/index.ts", "senses/cpu/migrations/001.sql"])
      write("senses/cpu/migrations/002.sql", "CREATE TABLE b (n)")
      assert.deepStrictEqual(yield* next, ["senses/cpu/migrations/002.sql"])
      // In one go, as git does when it changes branches.
      cpSync(path("senses"), path("kept"), { recursive: true })
      rmSync(path("senses"), { recursive: true })
      renameSync(path("kept"), path("senses"))
      write("senses/cpu/migrations/002.sql", "CREATE TABLE c (n)")
      assert.deepStrictEqual(yield* next, ["senses/cpu/migrations/002.sql"])
      write("senses/cpu/index.ts", "again")
      assert.include(yield* next, "senses/cpu/index.ts")
    })
  )

  it.live("in folders that are new", () =>
    Effect.gen(function* () {
      const { next, path, write } = yield* setUp()
      mkdirSync(path("workflows/triage"), { recursive: true })
      write("workflows/triage/index.ts", "1")
      assert.deepStrictEqual(yield* next, ["workflows/triage/index.ts"])
      write("workflows/triage/index.ts", "2")
      assert.deepStrictEqual(yield* next, ["workflows/triage/index.ts"])
    })
  )

  it.live("behind a link", () =>
    Effect.gen(function* () {
      const { next, path, write } = yield* setUp()
      mkdirSync(path("far/net"), { recursive: true })
      write("far/net/index.ts", "1")
      write("far/one.ts", "1")
      symlinkSync(path("far/net"), path("senses/net"))
      symlinkSync(path("far/one.ts"), path("senses/one.ts"))
      assert.deepStrictEqual(yield* next, ["senses/net/index.ts", "senses/one.ts"])
      write("far/net/index.ts", "2")
      assert.deepStrictEqual(yield* next, ["senses/net/index.ts"])
      write("far/one.ts", "2")
      assert.deepStrictEqual(yield* next, ["senses/one.ts"])
    })
  )

  it.live("when it was made while nobody waited", () =>
    Effect.gen(function* () {
      const { next, now, write } = yield* setUp()
      write("senses/cpu/index.ts", "2")
      assert.deepStrictEqual(yield* now, ["lib/a.ts", "senses/cpu/index.ts"])
      write("nerve.yaml", "workflows:\n")
      assert.deepStrictEqual(yield* next, ["nerve.yaml"])
    })
  )

  it.live("by polling, where the system has no watches left; and by watches again when it has", () =>
    Effect.gen(function* () {
      let full = true
      const reasons: Array<string> = []
      const { next, write } = yield* setUp({
        onDegraded: (reason) => void reasons.push(reason),
        watchFolder: (folder, on) => {
          if (full) throw new Error("ENOSPC: System limit for number of file watchers reached")
          return FileWatch.systemWatch(folder, on)
        }
      })
      write("lib/a.ts", "2")
      assert.deepStrictEqual(yield* next, ["lib/a.ts"])
      assert.lengthOf(reasons, 1)
      assert.include(reasons[0], "ENOSPC")
      full = false
      write("lib/a.ts", "3")
      assert.deepStrictEqual(yield* next, ["lib/a.ts"])
      write("lib/a.ts", "4")
      assert.deepStrictEqual(yield* next, ["lib/a.ts"])
      assert.lengthOf(reasons, 1)
    })
  )
})

/** Watches that the test reports by hand, on a clock of its own. */
const byHand = (mode: Watch = "auto") =>
  Effect.gen(function* () {
    const listeners = new Set<() => void>()
    const set = yield* setUp({
      mode: () => mode,
      watchFolder: (_folder, on) => {
        const listener = () => on.changed("change", null)
        listeners.add(listener)
        return () => listeners.delete(listener)
      }
    })
    return { ...set, listeners, report: () => listeners.forEach((listener) => listener()) }
  })

const pass = (ms: number) =>
  Effect.gen(function* () {
    for (let passed = 0; passed < ms; passed += 25) {
      for (let turn = 0; turn < 20; turn++) yield* Effect.yieldNow
      yield* TestClock.adjust(25)
    }
  })

describe("a file that is being saved", () => {
  it.effect("is taken once it has come to rest, not empty and not half", () =>
    Effect.gen(function* () {
      const { next, report, write } = yield* byHand()
      const change = yield* Effect.forkChild(next)
      yield* pass(50)
      write("nerve.yaml", "")
      report()
      yield* pass(300)
      assert.isUndefined(change.pollUnsafe())
      write("nerve.yaml", "max_rou")
      yield* pass(50)
      assert.isUndefined(change.pollUnsafe())
      write("nerve.yaml", "max_rounds: 5\n")
      yield* pass(300)
      assert.deepStrictEqual(yield* Fiber.join(change), ["nerve.yaml"])
      const again = yield* Effect.forkChild(next)
      report()
      yield* pass(500)
      assert.isUndefined(again.pollUnsafe())
      yield* Fiber.interrupt(again)
    })
  )

  it.effect("and stays empty is taken as empty", () =>
    Effect.gen(function* () {
      const { next, report, write } = yield* byHand()
      const change = yield* Effect.forkChild(next)
      yield* pass(50)
      write("nerve.yaml", "")
      report()
      yield* pass(2_000)
      assert.deepStrictEqual(yield* Fiber.join(change), ["nerve.yaml"])
    })
  )
})

describe("the mode", () => {
  it.effect("auto finds within half a minute what nobody has reported", () =>
    Effect.gen(function* () {
      const { next, write } = yield* byHand()
      const change = yield* Effect.forkChild(next)
      write("lib/a.ts", "2")
      yield* pass(20_000)
      assert.isUndefined(change.pollUnsafe())
      yield* pass(11_000)
      assert.deepStrictEqual(yield* Fiber.join(change), ["lib/a.ts"])
    })
  )

  it.effect("poll watches nothing and looks each second", () =>
    Effect.gen(function* () {
      const { listeners, next, write } = yield* byHand("poll")
      assert.strictEqual(listeners.size, 0)
      const change = yield* Effect.forkChild(next)
      write("lib/a.ts", "2")
      yield* pass(1_500)
      assert.deepStrictEqual(yield* Fiber.join(change), ["lib/a.ts"])
    })
  )

  it.effect("never waits until somebody asks", () =>
    Effect.gen(function* () {
      const { listeners, next, watch, write } = yield* byHand("never")
      assert.strictEqual(listeners.size, 0)
      const change = yield* Effect.forkChild(next)
      write("lib/a.ts", "2")
      yield* pass(40_000)
      assert.isUndefined(change.pollUnsafe())
      watch.hint()
      yield* pass(500)
      assert.deepStrictEqual(yield* Fiber.join(change), ["lib/a.ts"])
    })
  )
})

describe("the end of a watch", () => {
  it.effect("leaves no watch behind", () =>
    Effect.gen(function* () {
      let open = 0
      yield* Effect.scoped(
        setUp({
          watchFolder: () => {
            open++
            return () => void open--
          }
        })
      )
      assert.strictEqual(open, 0)
    })
  )
})
