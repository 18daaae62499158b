/**
 * Kills: random workers of a WorkerRuntime and of a WorkerPool die under load, in every way that we know of. Every call
 * ends in an answer or a typed error, none in another's answer, and nothing is left: no process, no descriptor.
 */
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import { Spawner } from "@nerve/runtime/supervision/Spawner"
import * as WorkerPool from "@nerve/runtime/supervision/WorkerPool"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Deferred, Effect, Exit, Fiber, Schedule, Stream } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { errorTag } from "./hostile.ts"
import { KillRpcs } from "./kills/KillRpcs.ts"
import { type Figures, type Proof, randomOf, type Settings } from "./Proof.ts"

const module = new URL("./kills/kill.worker.ts", import.meta.url)

const keys = ["a", "b", "c", "d"] as const

/** Calls that are under way at any time, on either side. */
const lanes = 8

export const ways = ["SIGKILL", "SIGSEGV", "exit 0", "exit 1", "SIGSTOP", "closed pipe"] as const

export interface Outcome {
  readonly kills: number
  readonly calls: number
  readonly ends: Readonly<Record<string, number>>
  readonly processes: number
  readonly leftProcesses: ReadonlyArray<number>
  readonly descriptorsMore: number
  /** Answers of another call, calls that did not end, errors that are not typed. */
  readonly faults: ReadonlyArray<string>
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

const descriptors = (): number => readdirSync("/proc/self/fd").length

const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // Died meanwhile.
  }
}

const typed = new Set(["success", "WorkerDied", "WorkerStopped", "CallTimeout", "MailboxFull", "Busy"])

/** What workers under load are asked, whoever keeps them. */
interface Target {
  readonly job: (id: number, ms: number) => Effect.Effect<number, unknown>
  readonly count: (to: number) => Effect.Effect<number, unknown>
  /** A living worker, and how to make it end itself. */
  readonly victim: Effect.Effect<Victim | undefined>
}

interface Victim {
  readonly pid: number
  readonly exit: (code: number) => Effect.Effect<unknown, unknown>
  readonly close: Effect.Effect<unknown, unknown>
}

export const kill = Effect.fnUntraced(function* (options: {
  readonly kills: number
  readonly seed: number
  readonly say: (line: string) => void
}): Effect.fn.Return<Outcome> {
  const random = randomOf(options.seed)
  const faults: Array<string> = []
  const ends: Record<string, number> = {}
  const pids = new Set<number>()
  let calls = 0
  const spawned = (event: { readonly _tag: string; readonly pid?: number | null }) =>
    Effect.sync(() => {
      if (event._tag === "WorkerReady" && typeof event.pid === "number") pids.add(event.pid)
    })

  const call = Effect.fnUntraced(function* (target: Target) {
    const id = calls++
    const isStream = id % 5 === 0
    const exit = yield* Effect.exit(isStream ? target.count(50) : target.job(id, random(20)))
    const tag = errorTag(exit)
    ends[tag] = (ends[tag] ?? 0) + 1
    if (!typed.has(tag)) faults.push(`a call ended with ${tag}: ${String(exit).slice(0, 200)}`)
    if (Exit.isSuccess(exit) && exit.value !== (isStream ? 50 : id))
      faults.push(`call ${id} was answered ${exit.value}`)
  })

  const load = (target: Target, stop: Deferred.Deferred<void>) =>
    Effect.forEach(
      Array.from({ length: lanes }),
      () =>
        Effect.gen(function* () {
          while (!(yield* Deferred.isDone(stop))) yield* call(target)
        }),
      { concurrency: "unbounded", discard: true }
    )

  const killOne = Effect.fnUntraced(function* (target: Target, n: number) {
    const victim = yield* Effect.repeat(target.victim, {
      until: (one: Victim | undefined) => one !== undefined,
      schedule: Schedule.spaced("2 millis")
    })
    if (victim === undefined) return
    const way = ways[n % ways.length]
    switch (way) {
      case "exit 0":
      case "exit 1":
        return yield* Effect.asVoid(Effect.forkDetach(Effect.exit(victim.exit(way === "exit 0" ? 0 : 1))))
      case "closed pipe":
        return yield* Effect.asVoid(Effect.forkDetach(Effect.exit(victim.close)))
      case "SIGKILL":
      case "SIGSEGV":
      case "SIGSTOP":
        return signal(victim.pid, way)
      case undefined:
        return
    }
  })

  return yield* Effect.scoped(
    Effect.gen(function* () {
      const node = yield* NodeSpawner.make()
      const before = descriptors()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const runtime = yield* WorkerRuntime.make({
            rpcs: KillRpcs,
            worker: (_key: (typeof keys)[number]) => WorkerSpec.module(module),
            respawn: RespawnPolicy.immediately,
            // What is stopped by SIGSTOP is found by this.
            heartbeat: { interval: "500 millis", timeout: "2 seconds" },
            stop: StopPolicy.make({ polite: "2 seconds", term: "500 millis" }),
            onEvent: spawned
          })
          const pool = yield* WorkerPool.make({
            rpcs: KillRpcs,
            worker: () => WorkerSpec.module(module),
            size: 3,
            concurrencyPerWorker: 2,
            execTimeout: "3 seconds",
            respawn: RespawnPolicy.immediately,
            stop: StopPolicy.make({ polite: "2 seconds", term: "500 millis" }),
            onEvent: spawned
          })
          const keyed = (key: (typeof keys)[number]): Effect.Effect<Target> =>
            Effect.map(runtime.client(key), (client) => ({
              job: (id, ms) => client.Job({ id, ms }),
              count: (to) => Stream.runCount(client.Count({ to })),
              victim: Effect.map(runtime.info(key), ({ pid, state }) =>
                state === "ready" && pid !== null
                  ? { pid, exit: (code: number) => client.Exit({ code }), close: client.CloseChannel() }
                  : undefined
              )
            }))
          const ofPool: Target = {
            job: (id, ms) => pool.client.Job({ id, ms }),
            count: (to) => Stream.runCount(pool.client.Count({ to })),
            victim: Effect.map(pool.info, ({ workers }) => {
              const ready = workers.filter((one) => one.stage === "ready")
              const pid = ready.length < 2 ? undefined : ready[random(ready.length)]?.pid
              return pid === undefined || pid === null
                ? undefined
                : { pid, exit: (code: number) => pool.client.Exit({ code }), close: pool.client.CloseChannel() }
            })
          }
          const targets = [...(yield* Effect.forEach(keys, keyed)), ofPool]
          const stop = yield* Deferred.make<void>()
          const loads = yield* Effect.forkChild(
            Effect.forEach(targets, (target) => load(target, stop), { concurrency: "unbounded", discard: true })
          )
          for (let n = 0; n < options.kills; n++) {
            // One half dies in the pool.
            const target = n % 2 === 0 ? ofPool : targets[random(keys.length)]
            // Six ways and two sides: each side meets each way.
            if (target !== undefined) yield* killOne(target, Math.floor(n / 2))
            yield* Effect.sleep(random(20))
            if ((n + 1) % 100 === 0) options.say(`${n + 1} kills, ${calls} calls, ${pids.size} processes`)
          }
          yield* Deferred.succeed(stop, undefined)
          yield* Effect.timeoutOrElse(Fiber.join(loads), {
            duration: "60 seconds",
            orElse: () => Effect.sync(() => void faults.push("a call did not end"))
          })
          // What is left serves as if nothing had been.
          for (const target of targets) yield* call(target)
        }).pipe(Effect.provideService(Spawner, node))
      )
      const settled = Effect.sync(() => descriptors() - before).pipe(
        Effect.repeat({ until: (more: number) => more <= 0, schedule: Schedule.spaced("20 millis") }),
        Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.sync(() => descriptors() - before) })
      )
      return {
        kills: options.kills,
        calls,
        ends,
        processes: pids.size,
        descriptorsMore: Math.max(0, yield* settled),
        leftProcesses: [...pids].filter(alive),
        faults: faults.slice(0, 20)
      }
    })
  )
})

const run = Effect.fnUntraced(function* ({ say, seed, times }: Settings): Effect.fn.Return<Figures> {
  const outcome = yield* kill({ kills: times, seed, say })
  return {
    ok: outcome.faults.length === 0 && outcome.leftProcesses.length === 0 && outcome.descriptorsMore === 0,
    ...outcome
  }
})

export const kills: Proof = {
  what: "deaths of random workers under load, keyed ones and those of a pool: SIGKILL, SIGSEGV, exits, SIGSTOP, closed pipes",
  unit: "kills",
  times: 1000,
  run
}
