/**
 * Hostile workers: a worker that sends mutated frames without end, and one for each crafted attack, beside a neighbour
 * that is called all the while. Nothing that they send may end this process, fill its memory, hold its event loop up,
 * fail a call of the neighbour, or leave a call of their own without an end.
 */
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type { Receive } from "@nerve/runtime/ipc/Channel"
import { Spawner } from "@nerve/runtime/supervision/Spawner"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Cause, Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { fileURLToPath } from "node:url"
import { HostileRpcs } from "./hostile/HostileRpcs.ts"
import { watchProcess } from "./internal/watchProcess.ts"
import type { Figures, Proof, Settings } from "./Proof.ts"

const hostileFile = fileURLToPath(new URL("./hostile/hostile.worker.mjs", import.meta.url))

/** The crafted ones, by name; see `hostile/hostile.worker.mjs`. */
export const attacks = [
  "garbage",
  "notJson",
  "half",
  "halfAndStay",
  "endless",
  "oneByteTooMany",
  "byteByByte",
  "deep",
  "duplicateReply",
  "unaskedReply",
  "bothEnds",
  "wrongType",
  "secondReady",
  "otherIncarnation",
  "exitOverridden",
  "deaf",
  "allClosed",
  "channelClosed",
  "invalidUtf8",
  "hugeNumbers",
  "proto",
  "nodeMessage",
  "emptyLines",
  "smallFrames",
  "longLine",
  "logs"
] as const

export const errorTag = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const error = Cause.squash(exit.cause)
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : "defect"
}

const mebibyte = 1024 * 1024

/** A call's ends, counted. */
const counter = () => {
  const counts: Record<string, number> = {}
  return {
    counts,
    add: (tag: string) => {
      counts[tag] = (counts[tag] ?? 0) + 1
    }
  }
}

/** A spawner that counts the frames that come. */
const counting = (spawner: Spawner["Service"], count: (key: string) => void): Spawner["Service"] => ({
  spawn: (spec, options) =>
    Effect.map(spawner.spawn(spec, options), (child) => {
      const { channel } = child
      const counted = Object.create(channel, {
        onFrameUnsafe: {
          value: (receive: Receive) =>
            channel.onFrameUnsafe((frame, characters) => {
              count(options.key)
              receive(frame, characters)
            })
        }
      })
      return { ...child, channel: counted }
    })
})

export interface Outcome {
  readonly frames: number
  readonly incarnations: number
  /** How the calls of the hostile worker ended. */
  readonly own: Readonly<Record<string, number>>
  readonly neighbour: Readonly<Record<string, number>>
  /** Incarnations of the neighbour: 1, unless it was hurt. */
  readonly neighbourIncarnation: number
  readonly violations: number
  readonly attacks: Readonly<Record<string, string>>
  /** Wrong answers, calls that did not end, prototypes that were changed. */
  readonly faults: ReadonlyArray<string>
  /** Bytes more than at first: resident at most, and kept at the end when all garbage is collected. */
  readonly memory: number
  readonly kept: number
  readonly loopDelayMs: number
  readonly turnCpuMs: number
  /** Of the machine, at the end; busy: above the number of cores at any time. */
  readonly load: number
  readonly machineBusy: boolean
  readonly neighbourP99Ms: number
}

/** Any answer that is a text is one that the worker may give; of the neighbour it is the text that was sent. */
const isFine = (tag: string): boolean =>
  ["success", "WorkerDied", "WorkerStopped", "ProtocolViolation", "MailboxFull", "defect"].includes(tag)

/** `frames` mutated frames from workers with this seed, then each crafted attack. */
export const attack = Effect.fnUntraced(function* (options: {
  readonly frames: number
  /** Of the neighbour, before anything is measured. */
  readonly calls: number
  /** How many of the crafted attacks go on at once: with more than one, what each cost cannot be told apart. */
  readonly together: number
  readonly seed: number
  readonly say: (line: string) => void
}): Effect.fn.Return<Outcome> {
  const faults: Array<string> = []
  const own = counter()
  const neighbour = counter()
  const latencies: Array<number> = []
  let called = 0
  let frames = 0
  let incarnations = 0
  let violations = 0
  const body = Effect.gen(function* () {
    const stop = yield* Deferred.make<void>()
    const nodeSpawner = yield* NodeSpawner.make()
    const spawner = counting(nodeSpawner, (key) => {
      if (key === "fuzz") frames += 1
    })
    const onEvent = (event: WorkerEvent<string>) =>
      Effect.sync(() => {
        if (event._tag === "ProtocolViolated") violations += 1
        if (event._tag === "WorkerStarting" && event.key === "fuzz") incarnations += 1
      })
    const runtime = yield* WorkerRuntime.make({
      rpcs: HostileRpcs,
      worker: (key: string) =>
        key === "neighbour"
          ? WorkerSpec.module(new URL("./hostile/neighbour.worker.ts", import.meta.url))
          : WorkerSpec.command(process.execPath, [hostileFile, key, String(options.seed)]),
      respawn: RespawnPolicy.immediately,
      stop: StopPolicy.make({ drain: "1 second", polite: "200 millis", term: "200 millis" }),
      heartbeat: false,
      onEvent
    }).pipe(Effect.provideService(Spawner, spawner))

    const quiet = yield* runtime.client("neighbour")
    const callNeighbour = Effect.gen(function* () {
      const text = `text ${called++}`
      const began = performance.now()
      const exit = yield* Effect.exit(quiet.Echo({ text }))
      latencies.push(performance.now() - began)
      neighbour.add(errorTag(exit))
      if (Exit.isSuccess(exit) && exit.value !== text) faults.push(`the neighbour answered ${exit.value} to ${text}`)
    })
    // What a process needs to get going must not count against what comes, and neither must the size that V8 lets the
    // young generation grow to under any load.
    yield* Effect.forEach(Array.from({ length: options.calls }), () => callNeighbour, {
      concurrency: 64,
      discard: true
    })
    latencies.length = 0
    const watch = yield* watchProcess
    const beside = yield* Effect.forkChild(
      Effect.gen(function* () {
        while (!(yield* Deferred.isDone(stop))) {
          yield* callNeighbour
          const count = yield* Effect.exit(Stream.runCount(quiet.Count({ to: 200 })))
          neighbour.add(errorTag(count))
          if (Exit.isSuccess(count) && count.value !== 200)
            faults.push(`the neighbour's stream had ${count.value} items`)
          yield* Effect.sleep("2 millis")
        }
      })
    )

    /** A call of an attacked worker; one that has not ended after a while is ended by the death of its worker. */
    const call = (key: string) =>
      Effect.gen(function* () {
        const client = yield* runtime.client(key)
        const exit = yield* Effect.exit(
          Effect.raceFirst(
            client.Echo({ text: "hello" }),
            Effect.as(Effect.delay(runtime.kill(key), "2 seconds"), "killed")
          )
        )
        const tag = errorTag(exit)
        if (!isFine(tag)) faults.push(`a call of ${key} ended with ${tag}: ${String(exit)}`)
        return tag
      })

    // --- mutated frames
    if (options.frames > 0) {
      const lane = Effect.gen(function* () {
        const client = yield* runtime.client("fuzz")
        while (frames < options.frames) {
          const exit = yield* Effect.exit(client.Echo({ text: "x" }))
          const tag = errorTag(exit)
          own.add(tag)
          if (!isFine(tag)) faults.push(`a call of the hostile worker ended with ${tag}: ${String(exit)}`)
          const items = yield* Effect.exit(Stream.runDrain(client.Count({ to: 3 })))
          own.add(errorTag(items))
        }
      })
      const told = yield* Effect.forkChild(
        Effect.forever(
          Effect.andThen(
            Effect.sleep("20 seconds"),
            Effect.sync(() => options.say(`${frames} frames, ${incarnations} incarnations, ${watch.told()}`))
          )
        )
      )
      yield* Effect.forEach(Array.from({ length: 4 }), () => lane, { concurrency: "unbounded", discard: true }).pipe(
        Effect.timeoutOrElse({
          duration: "30 minutes",
          orElse: () => Effect.sync(() => void faults.push("the calls of the hostile worker did not end"))
        })
      )
      yield* Fiber.interrupt(told)
      yield* runtime.evict("fuzz", StopPolicy.kill)
    }

    // --- crafted attacks
    const results: Record<string, string> = {}
    if (options.frames > 0) results["fuzz"] = `${watch.lap()} ms`
    yield* Effect.forEach(
      attacks,
      (name) =>
        Effect.gen(function* () {
          const tags = yield* Effect.all([call(name), call(name)], { concurrency: 2 })
          yield* runtime.evict(name)
          const { memory } = watch.figures()
          results[name] = `${tags.join(" ")}, ${watch.lap()} ms, ${Math.round(memory / mebibyte)} MiB`
        }).pipe(
          Effect.timeoutOrElse({
            duration: "60 seconds",
            orElse: () => Effect.sync(() => void faults.push(`the attack ${name} did not end`))
          })
        ),
      { concurrency: options.together, discard: true }
    )

    yield* Deferred.succeed(stop, undefined)
    yield* Effect.timeoutOrElse(Fiber.join(beside), {
      duration: "60 seconds",
      orElse: () => Effect.sync(() => void faults.push("a call of the neighbour did not end"))
    })
    const { incarnation } = yield* runtime.info("neighbour")
    if ("polluted" in {}) faults.push("the prototype of all objects was changed")
    return { ...watch.figures(), kept: watch.kept(), attacks: results, neighbourIncarnation: incarnation }
  })
  const { attacks: results, neighbourIncarnation, ...figures } = yield* Effect.scoped(body)
  const sorted = latencies.toSorted((a, b) => a - b)
  return {
    frames,
    incarnations,
    own: own.counts,
    neighbour: neighbour.counts,
    neighbourIncarnation,
    violations,
    attacks: results,
    faults: faults.slice(0, 20),
    ...figures,
    neighbourP99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0
  }
})

const run = Effect.fnUntraced(function* ({ say, seed, times }: Settings): Effect.fn.Return<Figures> {
  const outcome = yield* attack({ frames: times, calls: 200_000, together: 1, seed, say })
  const failed = Object.keys(outcome.neighbour).filter((tag) => tag !== "success")
  const memoryMiB = Math.round(outcome.memory / mebibyte)
  return {
    ok:
      outcome.faults.length === 0 &&
      failed.length === 0 &&
      outcome.neighbourIncarnation === 1 &&
      memoryMiB <= 64 &&
      outcome.turnCpuMs < 100 &&
      // By the clock it says something about this process only where it had a core for itself.
      (outcome.machineBusy || outcome.loopDelayMs < 100),
    loopDelayJudged: !outcome.machineBusy,
    ...outcome,
    memory: undefined,
    memoryMiB,
    kept: undefined,
    keptMiB: Math.round(outcome.kept / mebibyte)
  }
})

export const hostile: Proof = {
  what: "mutated frames without end, and every crafted attack that we know of, beside a neighbour that must not notice",
  unit: "mutated frames",
  times: 1_000_000,
  run
}
