/**
 * A daemon in small: one worker per case, each in its folder below the working folder, brought into its state; then it
 * prints `up` and waits to be killed. The cases are its arguments. `daemon.ts sweep` only starts and stops again: what an earlier one left is ended.
 */
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Schedule } from "effect"
import { existsSync, mkdirSync } from "node:fs"
import { join, resolve } from "node:path"
import { type Case, cases, OrphanRpcs } from "./OrphanRpcs.ts"

const folderOf = (one: Case) => resolve(one.replace("/", "-"))

const wanted = cases.filter((one) => process.argv.includes(one))

const until = (what: () => boolean) =>
  Effect.asVoid(
    Effect.repeat(Effect.sync(what), { until: (is: boolean) => is, schedule: Schedule.spaced("10 millis") })
  )

const bringUp = Effect.gen(function* () {
  const runtime = yield* WorkerRuntime.make({
    rpcs: OrphanRpcs,
    worker: (one: Case) => WorkerSpec.module(new URL("./orphan.worker.ts", import.meta.url), { cwd: folderOf(one) }),
    respawn: RespawnPolicy.never,
    readyTimeout: "5 minutes",
    stop: StopPolicy.make({ drain: "10 minutes" }),
    heartbeat: false
  })
  const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkScoped(Effect.exit(effect))
  const enter = Effect.fnUntraced(function* (one: Case) {
    mkdirSync(folderOf(one))
    const there = until(() => existsSync(join(folderOf(one), "there")))
    const client = yield* runtime.client(one)
    if (one.startsWith("booting/")) {
      yield* fork(runtime.start(one))
      return yield* there
    }
    yield* Effect.orDie(runtime.start(one))
    if (one.startsWith("busy/")) yield* fork(client.Spin())
    else if (one.startsWith("spawnSync/")) yield* fork(client.SpawnSync())
    else if (one.startsWith("draining/")) yield* fork(client.Linger())
    else if (one.startsWith("stopped/")) {
      const { pid } = yield* runtime.info(one)
      return process.kill(pid ?? 0, "SIGSTOP")
    } else return
    yield* there
    if (!one.startsWith("draining/")) return
    yield* fork(runtime.drain(one))
    yield* Effect.repeat(runtime.info(one), {
      until: ({ state }) => state === "draining",
      schedule: Schedule.spaced("10 millis")
    })
  })
  yield* Effect.forEach(wanted, enter, { concurrency: 4 })
  console.log("up")
  return yield* Effect.never
})

const program = process.argv[2] === "sweep" ? Effect.void : bringUp

await Effect.runPromise(
  Effect.scoped(program).pipe(Effect.provide(NodeSpawner.layer({ leftovers: resolve("processes.json") })))
)
