/** Pools of real processes: timed out, killed, reloaded, fed until they are too big. */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as ProcessMemory from "@nerve/node/supervision/ProcessMemory"
import type { PoolEvent } from "@nerve/runtime/supervision/PoolEvent"
import { Spawner } from "@nerve/runtime/supervision/Spawner"
import * as WorkerPool from "@nerve/runtime/supervision/WorkerPool"
import type { RpcsOf } from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Cause, Deferred, Effect, Exit, Fiber, Queue, Schedule, Stream } from "effect"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PoolRpcs, Refused } from "./PoolRpcs.ts"

const module = new URL("./pool.worker.ts", import.meta.url)

type Rpcs = RpcsOf<typeof PoolRpcs>

interface Test {
  readonly pool: WorkerPool.WorkerPool<Rpcs>
  readonly events: ReadonlyArray<PoolEvent>
  /** The next event that matches. Events before it are consumed. */
  readonly event: <Tag extends PoolEvent["_tag"]>(tag: Tag) => Effect.Effect<Extract<PoolEvent, { readonly _tag: Tag }>>
}

const setup = (
  options: Partial<Omit<WorkerPool.Options<Rpcs>, "rpcs">> & { readonly env?: Readonly<Record<string, string>> },
  body: (test: Test) => Effect.Effect<void, unknown>
) => {
  const { env, ...settings } = options
  return Effect.scoped(
    Effect.gen(function* () {
      const all: Array<PoolEvent> = []
      const queue = yield* Queue.unbounded<PoolEvent>()
      const pool = yield* WorkerPool.make({
        rpcs: PoolRpcs,
        worker: () => WorkerSpec.module(module, env === undefined ? {} : { env }),
        size: 2,
        onEvent: (event) =>
          Effect.andThen(
            Effect.sync(() => all.push(event)),
            Queue.offer(queue, event)
          ),
        ...settings
      })
      type Tagged<Tag> = Extract<PoolEvent, { readonly _tag: Tag }>
      const isTagged = <Tag>(event: PoolEvent, tag: Tag): event is Tagged<Tag> => event._tag === tag
      yield* body({
        pool,
        events: all,
        event: (tag) =>
          Effect.gen(function* () {
            for (;;) {
              const event = yield* Queue.take(queue)
              if (isTagged(event, tag)) return event
            }
          })
      })
    })
  ).pipe(Effect.provide(NodeSpawner.layer()))
}

const withFolder = <A, E>(body: (folder: string) => Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-pool-"))),
    body,
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Waits until the pool is as told, by looking at each change. */
const until = (pool: Test["pool"], when: (info: WorkerPool.PoolInfo) => boolean) =>
  Stream.runDrain(Stream.takeUntil(pool.changes, when))

const errorTag = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const error = Cause.squash(exit.cause)
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)
}

describe("WorkerPool of processes", () => {
  it.live("answers, with errors, defects and streams as they were", () =>
    setup({}, ({ pool }) =>
      Effect.gen(function* () {
        const ids = Array.from({ length: 500 }, (_, id) => id)
        assert.deepStrictEqual(
          yield* Effect.forEach(ids, (id) => pool.client.Job({ id, ms: 0 }), { concurrency: "unbounded" }),
          ids
        )
        const refused = yield* Effect.flip(pool.client.Refuse({ why: "no" }))
        assert.instanceOf(refused, Refused)
        assert.deepInclude(refused, { why: "no", code: 42 })
        const thrown = yield* Effect.exit(pool.client.Throw({ message: "boom" }))
        const defect = Exit.isFailure(thrown) ? Cause.squash(thrown.cause) : undefined
        assert.instanceOf(defect, RangeError)
        assert.deepInclude(defect, { name: "RangeError", message: "boom" })
        assert.include(defect.stack, "pool.worker.ts")
        const items = yield* Stream.runCollect(pool.client.Count({ to: 2000 }))
        assert.strictEqual([...items].at(-1), 2000)
      })
    )
  )

  it.live("a job stuck in a loop is killed at its bound, and its place is taken (P4)", () =>
    setup({ size: 1, execTimeout: "300 millis" }, ({ event, pool }) =>
      Effect.gen(function* () {
        yield* pool.ready
        const { pid } = yield* event("WorkerReady")
        assert.deepInclude(yield* Effect.flip(pool.client.Spin()), { _tag: "CallTimeout", timeoutMs: 300 })
        assert.notStrictEqual((yield* pool.client.Who(undefined, { timeoutMs: 10_000 })).pid, pid)
        yield* event("WorkerExited")
        assert.isFalse(alive(pid))
      })
    )
  )

  it.live("a job stuck in a loop whose caller has gone is killed, too", () =>
    setup({ size: 1, cancelTimeout: "200 millis" }, ({ event, pool }) =>
      Effect.gen(function* () {
        yield* pool.ready
        const { pid } = yield* event("WorkerReady")
        const spin = yield* Effect.forkChild(pool.client.Spin())
        yield* event("WorkerOutput")
        yield* Fiber.interrupt(spin)
        assert.notStrictEqual((yield* pool.client.Who()).pid, pid)
        yield* event("WorkerExited")
        assert.isFalse(alive(pid))
      })
    )
  )

  it.live("a job that hears that it is cancelled costs no process", () =>
    setup({ size: 1, concurrencyPerWorker: 2 }, ({ pool }) =>
      Effect.gen(function* () {
        const { pid } = yield* pool.client.Who()
        const neighbour = yield* Effect.forkChild(pool.client.Job({ id: 1, ms: 300 }))
        yield* Effect.flip(Effect.timeout(pool.client.Sleep({ ms: 60_000 }), "50 millis"))
        assert.strictEqual(yield* Fiber.join(neighbour), 1)
        assert.strictEqual((yield* pool.client.Who()).pid, pid)
      })
    )
  )

  it.live("a boot that fails is tried again, and the call that waits for it is answered (P1)", () =>
    withFolder((folder) =>
      setup(
        { size: 1, env: { BOOT_ONCE: join(folder, "booted") }, respawn: RespawnPolicy.spaced("10 millis") },
        ({ event, pool }) =>
          Effect.gen(function* () {
            assert.isAbove((yield* pool.client.Who()).pid, 0)
            const exited = yield* event("WorkerExited")
            assert.include(exited.stderrTail, "no database")
          })
      )
    )
  )

  it.live("loses none of the lines that a worker prints right before it exits", () =>
    setup({ size: 1, respawn: RespawnPolicy.immediately }, ({ event, events, pool }) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(pool.client.PrintAndExit({ lines: 2000, code: 3 }))
        assert.deepInclude(error, { _tag: "WorkerDied", exit: { code: 3, signal: null } })
        yield* event("WorkerExited")
        const exit = events.findIndex((one) => one._tag === "WorkerExited")
        const lines = events.slice(0, exit).flatMap((one) => (one._tag === "WorkerOutput" ? [one.line] : []))
        assert.deepStrictEqual(
          lines,
          Array.from({ length: 2000 }, (_, i) => `line ${i}`)
        )
      })
    )
  )

  it.live("replaces a worker that has grown too big, by what the system says (P5)", () =>
    setup({ size: 1, memoryLimit: "250 MiB", rss: ProcessMemory.rss, rssEvery: "50 millis" }, ({ event, pool }) =>
      Effect.gen(function* () {
        const { pid } = yield* pool.client.Who()
        const resident = yield* pool.client.Grow({ bytes: 300 * 1024 * 1024 })
        assert.isAbove(resident, 300 * 1024 * 1024)
        assert.deepInclude(yield* event("WorkerRecycling"), { key: 0, reason: "memory" })
        const exited = yield* event("WorkerExited")
        assert.deepInclude(exited, { pid, expected: true })
        assert.notStrictEqual((yield* pool.client.Who()).pid, pid)
      })
    )
  )

  it.live("reloads under load without failing a request; afterwards all are new (P6)", () => {
    let version = 1
    return setup(
      { size: 2, worker: () => WorkerSpec.module(module, { env: { VERSION: String(version) } }) },
      ({ pool }) =>
        Effect.gen(function* () {
          yield* pool.ready
          const stop = yield* Deferred.make<void>()
          let answered = 0
          const lane = (lane: number) =>
            Effect.gen(function* () {
              for (let n = 0; !(yield* Deferred.isDone(stop)); n++) {
                const id = lane * 1_000_000 + n
                assert.strictEqual(yield* pool.client.Job({ id, ms: 2 }), id)
                answered += 1
              }
            })
          const load = yield* Effect.forkChild(Effect.forEach([1, 2, 3, 4, 5], lane, { concurrency: "unbounded" }))
          for (version = 2; version <= 3; version++) {
            yield* pool.reload
            const versions = yield* Effect.forEach([1, 2, 3, 4], () => pool.client.Who(), { concurrency: "unbounded" })
            assert.deepStrictEqual([...new Set(versions.map((one) => one.version))], [String(version)])
          }
          yield* Deferred.succeed(stop, undefined)
          yield* Fiber.join(load)
          assert.isAbove(answered, 50)
        })
    )
  })

  it.live("replaces workers by number of calls under load, each by one that is ready (P5)", () =>
    setup({ size: 2, maxJobs: 10 }, ({ event, events, pool }) =>
      Effect.gen(function* () {
        yield* pool.ready
        const ids = Array.from({ length: 200 }, (_, id) => id)
        const answers = Effect.forEach(ids, (id) => pool.client.Job({ id, ms: 1 }), { concurrency: 6 })
        // As long as it takes until both were replaced.
        const load = yield* Effect.forkChild(
          Effect.forever(Effect.tap(answers, (all) => Effect.sync(() => assert.deepStrictEqual(all, ids))))
        )
        const exits = [yield* event("WorkerExited"), yield* event("WorkerExited")]
        yield* Fiber.interrupt(load)
        for (const { expected, incarnation, key } of exits) {
          assert.isTrue(expected)
          const successor = events.find((one) => one._tag === "WorkerRecycling" && one.incarnation === incarnation)
          assert.deepInclude(successor, { key, reason: "jobs" })
          const ready = events.findIndex(
            (one) =>
              one._tag === "WorkerReady" &&
              successor?._tag === "WorkerRecycling" &&
              one.incarnation === successor.successor
          )
          const exit = events.findIndex((one) => one._tag === "WorkerExited" && one.incarnation === incarnation)
          assert.isTrue(ready !== -1 && ready < exit, "the old one went before the new one was ready")
        }
      })
    )
  )

  it.live("starts processes when calls wait, and ends them when they are idle", () =>
    setup({ size: { minimum: 0, maximum: 2 }, growAfter: "20 millis", idleTimeout: "200 millis" }, ({ event, pool }) =>
      Effect.gen(function* () {
        const jobs = yield* Effect.forkChild(
          Effect.forEach([1, 2, 3, 4], (id) => pool.client.Job({ id, ms: 300 }), { concurrency: "unbounded" })
        )
        const pids = [(yield* event("WorkerReady")).pid, (yield* event("WorkerReady")).pid]
        assert.deepStrictEqual(yield* Fiber.join(jobs), [1, 2, 3, 4])
        yield* event("WorkerExited")
        yield* event("WorkerExited")
        assert.deepStrictEqual(pids.filter(alive), [])
        assert.deepInclude(yield* pool.info, { size: 0, workers: [] })
        assert.strictEqual(yield* pool.client.Job({ id: 5, ms: 0 }), 5)
      })
    )
  )

  it.live("frees the worker of a stream whose reader goes, and costs no process", () =>
    setup({ size: 1 }, ({ pool }) =>
      Effect.gen(function* () {
        const { pid } = yield* pool.client.Who()
        const some = yield* pool.client.Count({ to: 1_000_000_000 }).pipe(Stream.take(1000), Stream.runCollect)
        assert.strictEqual([...some].at(-1), 1000)
        assert.strictEqual((yield* pool.client.Who()).pid, pid)
      })
    )
  )

  it.live("shutdown ends what runs and leaves no process (P6)", () =>
    setup({}, ({ pool }) =>
      Effect.gen(function* () {
        yield* pool.ready
        const pids = (yield* pool.info).workers.map((worker) => worker.pid ?? 0)
        const job = yield* Effect.forkChild(pool.client.Job({ id: 7, ms: 200 }))
        yield* Effect.yieldNow
        yield* pool.shutdown()
        assert.strictEqual(yield* Fiber.join(job), 7)
        assert.deepStrictEqual(pids.filter(alive), [])
      })
    )
  )
})

// --- random deaths under load ------------------------------------------------------------------------

/** Kills of random workers; each way to die has its turn. */
const kills = 300

/** Calls that are under way at any time. */
const lanes = 12

/** A small generator of its own, so that a run can be repeated from its printed seed. */
const randomOf = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Descriptors of this process. */
const descriptors = (): number => readdirSync("/proc/self/fd").length

describe("WorkerPool of processes that die at random", () => {
  const seed = Number(process.env.NERVE_SEED ?? Date.now() % 1_000_000)

  it.live(
    `answers every request, or says why not, through ${kills} deaths (NERVE_SEED=${seed})`,
    () =>
      withFolder((folder) =>
        Effect.scoped(
          Effect.gen(function* () {
            const journal = join(folder, "journal")
            // The wardens of the spawner are there before and after.
            const spawner = yield* NodeSpawner.make()
            const before = descriptors()
            const ends = new Map<string, number>()
            const pids = new Set<number>()
            yield* Effect.scoped(
              Effect.gen(function* () {
                const random = randomOf(seed)
                const pool = yield* WorkerPool.make({
                  rpcs: PoolRpcs,
                  worker: () => WorkerSpec.module(module, { env: { JOURNAL: journal } }),
                  size: 3,
                  concurrencyPerWorker: 2,
                  execTimeout: "1 second",
                  cancelTimeout: "500 millis",
                  respawn: RespawnPolicy.immediately,
                  stop: StopPolicy.make({ polite: "2 seconds" }),
                  onEvent: (event) =>
                    Effect.sync(() => {
                      if (event._tag === "WorkerReady") pids.add(event.pid)
                    })
                })
                const stop = yield* Deferred.make<void>()
                let nextId = 0
                const call = Effect.gen(function* () {
                  const id = nextId++
                  const exit = yield* Effect.exit(pool.client.Job({ id, ms: random(20) }))
                  if (Exit.isSuccess(exit)) assert.strictEqual(exit.value, id, "the answer to another call")
                  const tag = errorTag(exit)
                  ends.set(tag, (ends.get(tag) ?? 0) + 1)
                })
                const lane = Effect.gen(function* () {
                  while (!(yield* Deferred.isDone(stop))) yield* call
                })
                const load = yield* Effect.forkChild(
                  Effect.forEach(Array.from({ length: lanes }), () => lane, { concurrency: "unbounded" })
                )
                const signal = (name: NodeJS.Signals) => (pid: number) =>
                  Effect.sync(() => {
                    if (alive(pid)) process.kill(pid, name)
                  })
                // Whichever worker gets it: the pool chooses as it does for any call.
                const inside = (death: Effect.Effect<unknown, unknown>) => () => Effect.forkChild(Effect.exit(death))
                const deaths = [
                  signal("SIGKILL"),
                  signal("SIGSEGV"),
                  signal("SIGKILL"),
                  inside(pool.client.Exit({ code: 0 })),
                  inside(pool.client.Exit({ code: 1 })),
                  inside(pool.client.CloseChannel()),
                  signal("SIGTERM"),
                  signal("SIGSTOP")
                ]
                for (let n = 0; n < kills; n++) {
                  yield* until(pool, (info) => info.ready >= 2)
                  const ready = (yield* pool.info).workers.filter((worker) => worker.stage === "ready")
                  const pid = ready[random(ready.length)]?.pid
                  const die = deaths[n % deaths.length]
                  if (pid !== undefined && pid !== null && die !== undefined) yield* die(pid)
                  yield* Effect.sleep(random(10))
                }
                yield* Deferred.succeed(stop, undefined)
                yield* Effect.timeout(Fiber.join(load), "60 seconds")
                // What is left serves as if nothing had been.
                yield* Effect.forEach(Array.from({ length: 50 }), () => call)
                assert.deepInclude(yield* pool.info, { size: 3, queued: 0 })
              }).pipe(Effect.provideService(Spawner, spawner))
            )
            const total = [...ends.values()].reduce((sum, count) => sum + count, 0)
            const executed = readFileSync(journal, "utf8").trim().split("\n")
            assert.strictEqual(new Set(executed).size, executed.length, "a job ran twice")
            assert.deepStrictEqual(
              [...ends.keys()].filter((tag) => !["success", "WorkerDied", "CallTimeout"].includes(tag)),
              []
            )
            assert.isAbove(ends.get("success") ?? 0, kills)
            assert.isAbove(ends.get("WorkerDied") ?? 0, kills / 4)
            assert.isAbove(total, 2 * kills)
            assert.isAbove(pids.size, kills / 2)
            assert.deepStrictEqual([...pids].filter(alive), [], "a worker outlived its pool")
            if (existsSync("/proc/self/fd")) {
              yield* Effect.sync(descriptors).pipe(
                Effect.repeat({ until: (count: number) => count <= before, schedule: Schedule.spaced("20 millis") }),
                Effect.timeout("60 seconds")
              )
            }
            yield* Effect.logInfo(
              `${total} requests: ${[...ends].map(([tag, n]) => `${n} ${tag}`).join(", ")}; ${pids.size} processes`
            )
          })
        )
      ),
    120_000
  )
})
