/**
 * What `WorkerRuntime.model.test.ts` does in simulated time, with real processes: start, call, crash, hang, evict, drain,
 * interrupt and shut down in random order, against a small model of what may come of it. A run is made of its seed and
 * nothing else; one in which something did not hold is told with its seed and what was done in it.
 */
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Exit, type Fiber, Stream } from "effect"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { errorTag } from "./hostile.ts"
import { ModelRpcs } from "./model/ModelRpcs.ts"
import { type Figures, type Proof, randomOf, type Settings } from "./Proof.ts"

const keys = ["a", "b"] as const
type Key = (typeof keys)[number]

/** What may be done, each as often as it is here. */
const operations = [
  ...["echo", "echo", "echo", "slow", "slow", "count", "hang", "spin", "exit", "SIGKILL", "SIGSEGV", "SIGSTOP"],
  ...[
    "start",
    "drain",
    "drain",
    "evict",
    "evictFast",
    "kill",
    "reset",
    "interrupt",
    "wait",
    "ready",
    "ready",
    "ready",
    "ready"
  ]
] as const

type Operation = (typeof operations)[number] | "shutdown"

/** What a call may end with, besides its own answer. */
const allowed = new Set(["WorkerDied", "WorkerStopped", "RespawnLimitReached", "MailboxFull"])

/** After these a call of the key may fail. A drain, above all, is not among them. */
const harm = new Set([
  "hang",
  "spin",
  "exit",
  "SIGKILL",
  "SIGSEGV",
  "SIGSTOP",
  "evict",
  "evictFast",
  "kill",
  "shutdown"
])

interface Asked {
  readonly key: Key
  readonly what: string
  /** What it is to be answered with; undefined where any answer will do. */
  readonly answer: unknown
  readonly fiber: Fiber.Fiber<Exit.Exit<unknown, unknown>>
  /** Whether nothing had harmed its key until it ended. */
  isUnharmed: boolean
  isInterrupted: boolean
}

export interface Run {
  readonly seed: number
  readonly done: ReadonlyArray<string>
  readonly calls: number
  readonly processes: number
  readonly faults: ReadonlyArray<string>
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Each start that was told of has one exit that was told of, in order, and no process lives beside its successor. */
const lives = () => {
  const faults: Array<string> = []
  const pids: Array<number> = []
  const log: Array<string> = []
  const living = new Map<Key, number>()
  return {
    faults,
    pids,
    living,
    log,
    told: (event: WorkerEvent<Key>) =>
      Effect.sync(() => {
        log.push(`${event.key}: ${event._tag}${"reason" in event ? ` (${event.reason})` : ""}`)
        const now = living.get(event.key)
        if (event._tag === "WorkerStarting") {
          if (now !== undefined) faults.push(`${event.key}: one starts while another lives`)
          living.set(event.key, event.incarnation)
        } else if (event._tag === "WorkerReady") {
          if (event.incarnation !== now) faults.push(`${event.key}: one is ready that does not live`)
          pids.push(event.pid)
        } else if (event._tag === "WorkerExited") {
          if (event.incarnation !== now) faults.push(`${event.key}: one exits that does not live`)
          if (event.pid !== null && isAlive(event.pid)) faults.push(`${event.key}: an exit was told before it was one`)
          living.delete(event.key)
        }
      })
  }
}

export const oneRun = (options: { readonly seed: number; readonly operations: number }): Effect.Effect<Run> =>
  Effect.gen(function* () {
    const random = randomOf(options.seed)
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "nerve-model-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true }))
    )
    const fileOf = (key: Key) => join(folder, key)
    const seen = lives()
    const faults = seen.faults
    const done: Array<string> = []
    const asked: Array<Asked> = []
    const harmed = new Set<Key>()
    let isDown = false
    let next = 0

    const ask = Effect.fnUntraced(function* (
      key: Key,
      what: string,
      effect: Effect.Effect<unknown, unknown>,
      answer?: unknown
    ) {
      const fiber = yield* Effect.forkDetach(Effect.exit(effect), { startImmediately: true })
      const one: Asked = { key, what, answer, fiber, isUnharmed: false, isInterrupted: false }
      fiber.addObserver(() => {
        one.isUnharmed = !harmed.has(key)
      })
      asked.push(one)
    })

    const body = Effect.gen(function* () {
      const runtime = yield* WorkerRuntime.make({
        rpcs: ModelRpcs,
        worker: (key: Key) =>
          WorkerSpec.module(new URL("./model/model.worker.ts", import.meta.url), { env: { MODEL_FILE: fileOf(key) } }),
        respawn: RespawnPolicy.intensity({ max: 4, within: "20 seconds", delay: "20 millis" }),
        readyTimeout: "1 minute",
        // What was stopped, and what spins, is found by this.
        heartbeat: { interval: "200 millis", timeout: "1 second" },
        stop: StopPolicy.make({ drain: "2 seconds", polite: "500 millis", term: "200 millis" }),
        mailbox: 5,
        onEvent: seen.told
      })

      const carryOut = Effect.fnUntraced(function* (operation: Operation, key: Key) {
        const client = yield* runtime.client(key)
        const n = next
        switch (operation) {
          case "echo":
            next += 1
            return yield* ask(key, operation, client.Echo({ n }), n)
          case "slow":
            next += 1
            return yield* ask(key, operation, client.Slow({ n, ms: random(60) }), n)
          case "count":
            next += 1
            return yield* ask(key, operation, Stream.runCount(client.Count({ n })), 10)
          case "hang":
            return yield* ask(key, operation, client.Hang())
          case "spin":
            return yield* ask(key, operation, client.Spin())
          case "exit":
            return yield* ask(key, operation, client.Exit({ code: random(3) }))
          case "SIGKILL":
          case "SIGSEGV":
          case "SIGSTOP": {
            const { pid } = yield* runtime.info(key)
            if (pid !== null && isAlive(pid)) process.kill(pid, operation)
            return
          }
          case "start":
            return yield* ask(key, operation, runtime.start(key))
          case "drain":
            return yield* ask(key, operation, runtime.drain(key))
          case "evict":
          case "evictFast":
            yield* ask(key, operation, runtime.evict(key, operation === "evict" ? undefined : StopPolicy.kill))
            return
          case "kill":
            return yield* runtime.kill(key)
          case "reset":
            return yield* ask(key, operation, runtime.reset(key))
          case "interrupt": {
            const last = asked.findLast((one) => one.key === key && one.answer !== undefined)
            if (last === undefined) return
            last.isInterrupted = true
            return last.fiber.interruptUnsafe()
          }
          case "wait":
            return yield* Effect.sleep(random(150))
          case "ready":
            // One that stands still, or whose calls hang, gets there or not.
            return yield* Effect.asVoid(Effect.timeoutOption(Effect.exit(runtime.start(key)), "2 seconds"))
          case "shutdown":
            isDown = true
            return yield* ask(key, operation, runtime.shutdown)
        }
      })

      /** Of three runs one ends by a shutdown in the middle of it all. */
      const plan = Array.from({ length: options.operations }, () => operations[random(operations.length)] ?? "wait")
      const all: ReadonlyArray<Operation> = random(3) === 0 ? [...plan, "shutdown"] : plan
      for (const operation of all) {
        const key = keys[random(keys.length)] ?? "a"
        done.push(`${operation} ${key}`)
        if (harm.has(operation)) for (const one of operation === "shutdown" ? keys : [key]) harmed.add(one)
        yield* carryOut(operation, key)
      }

      // Whoever spins, stands still or hangs is killed; then each key serves, or refuses when all is shut down.
      for (const key of keys) {
        yield* runtime.kill(key)
        harmed.add(key)
        if (!isDown) yield* runtime.evict(key, StopPolicy.kill)
        const client = yield* runtime.client(key)
        const last = yield* Effect.exit(client.Echo({ n: -1 }))
        const tag = errorTag(last)
        if (isDown ? tag !== "WorkerStopped" : !Exit.isSuccess(last))
          faults.push(`at the end ${key} gave ${tag}, after ${seen.log.slice(-8).join(", ")}`)
      }
    })
    yield* Effect.scoped(body).pipe(
      Effect.provide(NodeSpawner.layer()),
      Effect.timeoutOrElse({
        duration: "2 minutes",
        orElse: () => Effect.sync(() => void faults.push("the runtime did not close"))
      })
    )

    // The runtime is gone: nobody may wait any more, and nothing may live.
    for (const { answer, fiber, isInterrupted, isUnharmed, key, what } of asked) {
      const outer = fiber.pollUnsafe()
      if (outer === undefined) faults.push(`${what} of ${key} never ended`)
      if (outer === undefined || isInterrupted || Exit.isFailure(outer)) continue
      const exit = outer.value
      if (Exit.isSuccess(exit)) {
        if (answer !== undefined && exit.value !== answer)
          faults.push(`${what} of ${key}: ${exit.value}, not ${answer}`)
        continue
      }
      const tag = errorTag(exit)
      if (!allowed.has(tag)) faults.push(`${what} of ${key} ended with ${tag}`)
      if (isUnharmed && tag !== "MailboxFull")
        faults.push(`${what} of ${key}, that nothing had harmed, ended with ${tag}`)
    }
    for (const key of seen.living.keys()) faults.push(`${key}: an exit was not told`)
    for (const pid of seen.pids) if (isAlive(pid)) faults.push(`process ${pid} lives on`)
    // No call is carried out twice, and those of one key keep their order (R4).
    for (const key of keys) {
      const carriedOut = existsSync(fileOf(key)) ? readFileSync(fileOf(key), "utf8").trim().split("\n").map(Number) : []
      const numbers = carriedOut.filter((n) => n >= 0)
      if (numbers.some((n, i) => i > 0 && n <= (numbers[i - 1] ?? 0)))
        faults.push(`${key}: carried out as ${numbers.join(" ")}`)
    }
    return { seed: options.seed, done, calls: asked.length, processes: seen.pids.length, faults }
  }).pipe(Effect.scoped)

const run = Effect.fnUntraced(function* ({ say, seed, times }: Settings): Effect.fn.Return<Figures> {
  const runs: Array<Run> = []
  yield* Effect.forEach(
    Array.from({ length: times }, (_, n) => seed + n),
    (one) =>
      Effect.map(oneRun({ seed: one, operations: 30 }), (outcome) => {
        runs.push(outcome)
        if (outcome.faults.length > 0)
          say(`--times 1 --seed ${one}: ${outcome.faults.join("; ")}\n  after ${outcome.done.join(", ")}`)
        if (runs.length % 20 === 0) say(`${runs.length} runs`)
      }),
    { concurrency: 2, discard: true }
  )
  const failed = runs.filter(({ faults }) => faults.length > 0)
  const sum = (of: (one: Run) => number) => runs.reduce((all, one) => all + of(one), 0)
  return {
    ok: failed.length === 0,
    operations: sum(({ done }) => done.length),
    calls: sum(({ calls }) => calls),
    processes: sum(({ processes }) => processes),
    failed: failed.map((one) => ({ seed: one.seed, faults: one.faults }))
  }
})

export const model: Proof = {
  what: "start, call, crash, hang, evict, drain, shutdown of real processes in random order, against a small model",
  unit: "runs of 30 operations, each with the next seed",
  times: 100,
  run
}
