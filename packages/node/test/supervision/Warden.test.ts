/** What is left when a daemon dies, by whatever death: nothing (L6). Real processes throughout. */
import { assert, describe, it } from "@effect/vitest"
import * as Warden from "@nerve/node/supervision/Warden"
import { Effect, Fiber, Logger, Schedule } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { wardensOf } from "./wardensOf.ts"

const fixture = fileURLToPath(new URL("./wardenParent.fixture.ts", import.meta.url))

interface Pids {
  readonly worker: number
  readonly group: number
  readonly session: number
  readonly wardens: ReadonlyArray<number>
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return process.platform !== "linux" || !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

/** Waits by looking: there is no event for a process that is not our child. */
const awaitGone = (pid: number, what: string) =>
  Effect.sync(() => alive(pid)).pipe(
    Effect.repeat({ until: (lives: boolean) => !lives, schedule: Schedule.spaced("10 millis") }),
    Effect.timeoutOrElse({ duration: "60 seconds", orElse: () => Effect.die(`${what} (${pid}) is still alive`) })
  )

/** A running parent and the processes it started; whatever of them is left at the end is killed. */
const parentOf = (...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const child = spawn(process.execPath, ["--no-warnings", fixture, ...args], { stdio: ["pipe", "pipe", "inherit"] })
      const [line] = (await once(createInterface(child.stdout), "line")) as [string]
      const pids: Pids = JSON.parse(line)
      return { child, pids }
    }),
    ({ child, pids }) =>
      Effect.sync(() => {
        child.kill("SIGKILL")
        for (const pid of [pids.worker, pids.group, pids.session]) {
          if (alive(pid)) process.kill(pid, "SIGKILL")
        }
      })
  )

const parent = parentOf()

const exitOf = (child: ChildProcess) => Effect.promise(() => once(child, "exit"))

// On macOS a process in a session of its own is not found: its environment cannot be read.
const expected = (pids: Pids): ReadonlyArray<readonly [string, number]> => [
  ["the worker", pids.worker],
  ["its child", pids.group],
  ...(process.platform === "linux" ? [["its child in a session of its own", pids.session] as const] : []),
  ...pids.wardens.map((pid) => ["a warden", pid] as const)
]

describe("Warden", () => {
  it.live("kill -9 of the daemon: the stuck worker, its group and what left the group are gone", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { child, pids } = yield* parent
        assert.lengthOf(pids.wardens, 2)
        for (const [what, pid] of expected(pids)) assert.isTrue(alive(pid), what)
        child.kill("SIGKILL")
        for (const [what, pid] of expected(pids)) yield* awaitGone(pid, what)
      })
    )
  )

  it.live("a daemon that ends as it should leaves nothing either", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { child, pids } = yield* parent
        const exited = yield* Effect.forkChild(exitOf(child))
        yield* Effect.yieldNow
        child.stdin.end()
        assert.deepStrictEqual(yield* Fiber.join(exited), [0, null])
        for (const [what, pid] of expected(pids)) yield* awaitGone(pid, what)
      })
    )
  )

  it.live("wardens that are killed have successors that know the same", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { child, pids } = yield* parent
        for (const pid of pids.wardens) process.kill(pid, "SIGKILL")
        for (const pid of pids.wardens) yield* awaitGone(pid, "a first warden")
        const wardens = yield* Effect.sync(() => wardensOf(child.pid ?? 0)).pipe(
          Effect.repeat({
            until: (pids: ReadonlyArray<number>) => pids.length === 2,
            schedule: Schedule.spaced("10 millis")
          }),
          Effect.timeout("60 seconds")
        )
        // Frozen, the worker cannot notice the end of its pipe.
        process.kill(pids.worker, "SIGSTOP")
        child.kill("SIGKILL")
        for (const [what, pid] of expected({ ...pids, wardens })) yield* awaitGone(pid, what)
      })
    )
  )

  for (const which of [0, 1]) {
    it.live(`where warden ${which + 1} of 2 was killed first and has no successor yet, the other does it`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { child, pids } = yield* parent
          // Stopped, the daemon starts no other one.
          child.kill("SIGSTOP")
          process.kill(pids.wardens[which] ?? 0, "SIGKILL")
          child.kill("SIGKILL")
          for (const [what, pid] of expected(pids)) yield* awaitGone(pid, what)
        })
      )
    )
  }

  it.live("where both were killed as well, a worker that notices leaves by itself and takes its group along", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { child, pids } = yield* parentOf("idle")
        child.kill("SIGSTOP")
        for (const pid of pids.wardens) process.kill(pid, "SIGKILL")
        child.kill("SIGKILL")
        yield* awaitGone(pids.worker, "the worker")
        yield* awaitGone(pids.group, "its child")
      })
    )
  )

  it.live("one that cannot be started, or is killed again and again, has a successor that knows whom to guard", () => {
    const victim = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" })
    const wardens: Array<ChildProcess> = []
    const lines: Array<string> = []
    let starts = 0
    const start = (marker: string): ChildProcess => {
      starts += 1
      if (starts === 1) throw new Error("no memory for it")
      if (starts === 2) return spawn("/no/such/shell", { stdio: ["pipe", "ignore", "ignore"] })
      const child = Warden.launch(marker)
      wardens.push(child)
      return child
    }
    const nth = (n: number) =>
      Effect.sync(() => wardens[n]?.pid).pipe(
        Effect.repeat({
          until: (pid: number | undefined) => pid !== undefined,
          schedule: Schedule.spaced("10 millis")
        }),
        Effect.timeout("60 seconds")
      )
    return Effect.scoped(
      Effect.gen(function* () {
        const warden = yield* Warden.makeOne("m", undefined, start)
        warden.guardUnsafe(victim.pid ?? 0)
        // The first successors come at once, later ones after a while.
        for (let n = 0; n < 3; n++) {
          yield* nth(n)
          assert.deepStrictEqual(warden.pids(), [wardens[n]?.pid ?? 0])
          wardens[n]?.kill("SIGKILL")
        }
        yield* nth(3)
      })
    ).pipe(
      // The last one was told whom to guard: at its end it kills them.
      Effect.andThen(awaitGone(victim.pid ?? 0, "whom it guards")),
      Effect.andThen(
        Effect.sync(() => {
          assert.include(lines[0], "no memory for it")
          assert.include(lines[1], "/no/such/shell")
          assert.include(lines[2], "SIGKILL")
          // The same is not said again.
          assert.lengthOf(lines, 3)
        })
      ),
      Effect.ensuring(Effect.sync(() => victim.kill("SIGKILL"))),
      Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]))
    )
  })

  it.live("whom it was told to be gone it leaves alone: the pid may be another's by then", () => {
    const stranger = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" })
    const guarded = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" })
    const [strange = 0, own = 0] = [stranger.pid, guarded.pid]
    return Effect.scoped(
      Effect.gen(function* () {
        const warden = yield* Warden.make("m")
        warden.guardUnsafe(strange)
        warden.guardUnsafe(own)
        warden.releaseUnsafe(strange)
      })
    ).pipe(
      // The warden has ended by now: it has killed whom it was to kill.
      Effect.andThen(awaitGone(own, "whom it guards")),
      Effect.andThen(Effect.sync(() => assert.isTrue(alive(strange)))),
      Effect.ensuring(Effect.sync(() => [stranger, guarded].map((child) => child.kill("SIGKILL"))))
    )
  })
})
