/** The sweep at start (L6): who is ended, and above all who is not. Real processes at the end. */
import { assert, describe, it } from "@effect/vitest"
import * as Leftovers from "@nerve/node/supervision/Leftovers"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as ProcessTable from "@nerve/node/supervision/ProcessTable"
import * as Warden from "@nerve/node/supervision/Warden"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Logger } from "effect"
import * as fc from "fast-check"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const self = 1

const living = (fields: Partial<Leftovers.Living>): Leftovers.Living => ({
  pid: 10,
  group: 10,
  started: "t",
  zombie: false,
  name: "x",
  marked: false,
  ...fields
})

const record = (...processes: ReadonlyArray<readonly [pid: number, started: string]>): Leftovers.Record => ({
  v: 1,
  boot: ProcessTable.boot(),
  marker: "m",
  owner: { pid: 2, started: "o" },
  processes: processes.map(([pid, started]) => ({ pid, started }))
})

const pidsOf = (found: ReadonlyArray<Leftovers.Living>) => found.map((one) => one.pid)

describe("who is left over", () => {
  it("is whom pid and start time name, and all of its group", () => {
    const all = [living({}), living({ pid: 11 }), living({ pid: 12, group: 12 })]
    assert.deepStrictEqual(pidsOf(Leftovers.leftovers(record([10, "t"]), all, self)), [10, 11])
  })

  it("is nobody who has only the pid, and nobody of its group", () => {
    const all = [living({ started: "later" }), living({ pid: 11 })]
    assert.deepStrictEqual(Leftovers.leftovers(record([10, "t"]), all, self), [])
  })

  it("is nobody whom a record of another boot names", () => {
    assert.deepStrictEqual(Leftovers.leftovers({ ...record([10, "t"]), boot: "another" }, [living({})], self), [])
  })

  it("is who carries the marker, whatever its pid and group", () => {
    const all = [living({ marked: true, pid: 30, group: 29 }), living({ pid: 29, group: 29 })]
    assert.deepStrictEqual(pidsOf(Leftovers.leftovers(record(), all, self)), [30])
  })

  it("is the group of a leader that is dead and not reaped, but not the leader", () => {
    const all = [living({ zombie: true }), living({ pid: 11 })]
    assert.deepStrictEqual(pidsOf(Leftovers.leftovers(record([10, "t"]), all, self)), [11])
  })

  it("is never this process, nor a neighbour in its group, whatever they look like", () => {
    const all = [
      living({ pid: self, group: self, marked: true }),
      living({ pid: 5, group: self }),
      living({ pid: 6, group: self, marked: true })
    ]
    assert.deepStrictEqual(pidsOf(Leftovers.leftovers(record([self, "t"]), all, self)), [6])
  })

  it("is never anybody without mark, whose pid and start are not recorded and whose group is led by no such one", () => {
    const one = fc.record({
      pid: fc.integer({ min: 2, max: 20 }),
      group: fc.integer({ min: 2, max: 20 }),
      started: fc.constantFrom("a", "b"),
      zombie: fc.boolean(),
      name: fc.constant("x"),
      marked: fc.boolean()
    })
    const known = fc.record({ pid: fc.integer({ min: 2, max: 20 }), started: fc.constantFrom("a", "b") })
    fc.assert(
      fc.property(fc.uniqueArray(one, { selector: (it) => it.pid }), fc.array(known), (all, processes) => {
        const isOurs = (it: Leftovers.Living) =>
          it.marked || processes.some((other) => other.pid === it.pid && other.started === it.started)
        for (const found of Leftovers.leftovers({ ...record(), processes }, all, self)) {
          const leader = all.find((other) => other.pid === found.group)
          assert.isTrue(isOurs(found) || (leader !== undefined && isOurs(leader)))
          assert.isFalse(found.zombie)
        }
      })
    )
  })
})

// --- real processes ----------------------------------------------------------------------------------

const setup = (body: (file: string, run: (env?: Record<string, string>) => ChildProcess) => Promise<void>) => {
  const folder = mkdtempSync(join(tmpdir(), "nerve-leftovers-"))
  const children: Array<ChildProcess> = []
  const run = (env: Record<string, string> = {}) => {
    const child = spawn("sleep", ["1000"], { detached: true, stdio: "ignore", env: { PATH: process.env.PATH, ...env } })
    children.push(child)
    return child
  }
  return body(join(folder, "processes.json"), run).finally(() => {
    for (const child of children) child.kill("SIGKILL")
    rmSync(folder, { recursive: true })
  })
}

const startedOf = (pid: number) =>
  new Promise<string>((resolve) => ProcessTable.startedUnsafe(pid, (started) => resolve(started ?? "gone")))

/** As a daemon that is no more would have left it. */
const write = (file: string, marker: string, processes: ReadonlyArray<{ pid: number; started: string }>, owner = "x") =>
  writeFileSync(
    file,
    JSON.stringify({ v: 1, boot: ProcessTable.boot(), marker, owner: { pid: process.pid, started: owner }, processes })
  )

/** The lines that it logs. */
const sweep = (file: string) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => void lines.push(String(message)))
  return Effect.runPromise(Effect.as(Leftovers.sweep(file), lines).pipe(Effect.provide(Logger.layer([logger]))))
}

const lives = (child: ChildProcess) => child.exitCode === null && child.signalCode === null

describe("the sweep", () => {
  it("ends who is recorded, a stopped one too, and says so; leaves alone who merely has a recorded pid", () =>
    setup(async (file, run) => {
      const [left, stopped, other] = [run(), run(), run()]
      stopped.kill("SIGSTOP")
      const known = async (child: ChildProcess) => ({ pid: child.pid ?? 0, started: await startedOf(child.pid ?? 0) })
      write(file, "m", [await known(left), await known(stopped), { pid: other.pid ?? 0, started: "another time" }])
      const ended = Promise.all([once(left, "exit"), once(stopped, "exit")])
      const lines = await sweep(file)
      assert.deepStrictEqual(await ended, [
        [null, "SIGKILL"],
        [null, "SIGKILL"]
      ])
      assert.isTrue(lives(other))
      assert.lengthOf(lines, 1)
      assert.include(lines[0], "ended 2 processes that an earlier daemon left behind")
      assert.include(lines[0], String(left.pid))
      assert.deepStrictEqual(await sweep(file), [])
    }))

  it.skipIf(process.platform !== "linux")("ends who carries the marker, and nobody with another one", () =>
    setup(async (file, run) => {
      const marker = crypto.randomUUID()
      const ours = run({ [Warden.markerVariable]: marker })
      const other = run({ [Warden.markerVariable]: `${marker}0` })
      write(file, marker, [])
      const ended = once(ours, "exit")
      await sweep(file)
      assert.deepStrictEqual(await ended, [null, "SIGKILL"])
      assert.isTrue(lives(other))
    })
  )

  it("touches nobody while the daemon that wrote the record lives, nor does another one take the record over", () =>
    setup(async (file, run) => {
      const child = run()
      const known = { pid: child.pid ?? 0, started: await startedOf(child.pid ?? 0) }
      write(file, "m", [known], await startedOf(process.pid))
      const before = readFileSync(file, "utf8")
      const keep = Effect.flatMap(Leftovers.keep(file, "other"), (roll) => Effect.sync(() => roll.add(process.pid)))
      await Effect.runPromise(Effect.scoped(keep))
      assert.isTrue(lives(child))
      assert.strictEqual(readFileSync(file, "utf8"), before)
    }))

  it("says at the start when the record cannot be written, and goes on", async () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    const file = join(tmpdir(), "nerve-no-such-folder", "processes.json")
    const keep = Effect.map(Leftovers.keep(file, "marker"), (roll) => roll.remove(1))
    await Effect.runPromise(Effect.scoped(keep).pipe(Effect.provide(Logger.layer([logger]))))
    assert.match(lines.join(), /processes\.json cannot be written: what this process leaves will not be found: ENOENT/)
  })

  it("where processes cannot be seen nobody is ended, nothing recorded, and the start goes on", () =>
    setup(async (file, run) => {
      const child = run()
      write(file, "m", [{ pid: child.pid ?? 0, started: await startedOf(child.pid ?? 0) }])
      const before = readFileSync(file, "utf8")
      const blind = () => {
        throw new Error("no /proc here")
      }
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      const keep = Effect.flatMap(Leftovers.keep(file, "other", blind), (roll) =>
        Effect.sync(() => roll.add(process.pid))
      )
      await Effect.runPromise(Effect.scoped(keep).pipe(Effect.provide(Logger.layer([logger]))))
      assert.isTrue(lives(child))
      assert.strictEqual(readFileSync(file, "utf8"), before)
      assert.include(lines[0], "cannot be seen, and is not ended: no /proc here")
    }))

  it("takes a record that is damaged, or of another format, for none", () =>
    setup(async (file) => {
      for (const text of ["", "{", "null", '{"v":2}', '{"v":1,"processes":[{"pid":"1"}]}']) {
        writeFileSync(file, text)
        assert.deepStrictEqual(await sweep(file), [])
      }
    }))

  it("is given a record while its daemon lives, which goes when that ends as it should", () =>
    setup((file, run) =>
      Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const roll = yield* Leftovers.keep(file, "m")
            const pids = (): ReadonlyArray<number> =>
              JSON.parse(readFileSync(file, "utf8")).processes.map((one: { pid: number }) => one.pid)
            assert.deepStrictEqual(pids(), [])
            const child = run().pid ?? 0
            roll.add(child)
            yield* Effect.promise(() => startedOf(child))
            assert.deepStrictEqual(pids(), [child])
            roll.remove(child)
            assert.deepStrictEqual(pids(), [])
          })
        ).pipe(Effect.andThen(Effect.sync(() => assert.isFalse(existsSync(file)))))
      )
    ))

  it("is done by a NodeSpawner before it starts anything, and records its wardens and its workers while they live", () =>
    setup(async (file, run) => {
      const left = run()
      write(file, "m", [{ pid: left.pid ?? 0, started: await startedOf(left.pid ?? 0) }])
      const pids = (): ReadonlyArray<number> =>
        JSON.parse(readFileSync(file, "utf8")).processes.map((one: { pid: number }) => one.pid)
      const ended = once(left, "exit")
      await Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const spawner = yield* NodeSpawner.make({ leftovers: file })
            assert.deepStrictEqual(yield* Effect.promise(() => ended), [null, "SIGKILL"])
            const wardens = pids()
            assert.lengthOf(wardens, 2)
            const context = { key: "a", incarnation: 1, output: { line: () => {} } }
            yield* Effect.scoped(
              Effect.gen(function* () {
                const child = yield* spawner.spawn(WorkerSpec.command("sleep", ["1000"]), context)
                assert.deepStrictEqual(pids(), [...wardens, child.pid])
              })
            )
            assert.deepStrictEqual(pids(), wardens)
          })
        )
      )
      assert.isFalse(existsSync(file))
    }))
})
