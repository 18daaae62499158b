/** Faults that supervisors on Node have had, with real processes side by side (docs/testing.md, pitfalls). */
import { assert, describe, it } from "@effect/vitest"
import * as RespawnPolicy from "@nerve/core/supervision/RespawnPolicy"
import * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import * as NodeSpawner from "@nerve/node/supervision/NodeSpawner"
import { Spawner } from "@nerve/runtime/supervision/Spawner"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerRuntime from "@nerve/runtime/supervision/WorkerRuntime"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import { Effect, Exit, Fiber, Latch, Schedule, type Scope } from "effect"
import { fileURLToPath } from "node:url"
import { EchoRpcs } from "./EchoRpcs.ts"
import { PitfallRpcs } from "./PitfallRpcs.ts"

const echo = WorkerSpec.module(new URL("./echo.worker.ts", import.meta.url))
const pitfall = WorkerSpec.module(new URL("./pitfall.worker.ts", import.meta.url))

/** A worker that is not nerve's: what it does is said by its argument. */
const strange = (what: string) =>
  WorkerSpec.command(process.execPath, [fileURLToPath(new URL("./pitfall.fixture.mjs", import.meta.url)), what])

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const tagOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const error = exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error
  return typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : "no typed error"
}

type Told = WorkerEvent<string>

/** A runtime of these workers, and all that it tells. */
const make = Effect.fnUntraced(function* (
  worker: () => WorkerSpec.WorkerSpec,
  options: Partial<Omit<WorkerRuntime.Options<string, WorkerRuntime.RpcsOf<typeof EchoRpcs>>, "rpcs" | "worker">> = {}
) {
  const told: Array<Told> = []
  const runtime = yield* WorkerRuntime.make({
    rpcs: EchoRpcs,
    worker,
    respawn: RespawnPolicy.never,
    stop: StopPolicy.make({ drain: "1 minute", polite: "1 minute", term: "1 second" }),
    onEvent: (event) => Effect.sync(() => void told.push(event)),
    ...options
  })
  const of = <Tag extends Told["_tag"]>(tag: Tag) =>
    told.filter((event): event is Extract<Told, { readonly _tag: Tag }> => event._tag === tag)
  return { runtime, told, of, a: yield* runtime.client("a") }
})

/** Looks until it is so, a minute at most. */
const until = (what: string, is: Effect.Effect<boolean>): Effect.Effect<void> =>
  Effect.repeat(is, { until: (so: boolean) => so, schedule: Schedule.spaced("10 millis") }).pipe(
    Effect.asVoid,
    Effect.timeoutOrElse({ duration: "1 minute", orElse: () => Effect.die(new Error(`a minute without: ${what}`)) })
  )

const live = (name: string, body: Effect.Effect<void, unknown, Spawner | Scope.Scope>) =>
  it.live(name, () => Effect.scoped(body).pipe(Effect.provide(NodeSpawner.layer())), 120_000)

describe.concurrent("faults that supervisors on Node have had", () => {
  live(
    "SIGUSR1 opens no inspector",
    Effect.gen(function* () {
      const runtime = yield* WorkerRuntime.make({
        rpcs: PitfallRpcs,
        worker: (_key: "a") => pitfall,
        respawn: RespawnPolicy.never
      })
      const a = yield* runtime.client("a")
      yield* runtime.start("a")
      const { pid } = yield* runtime.info("a")
      process.kill(pid ?? 0, "SIGUSR1")
      // Either it goes on without one, or the signal ends it as any program that knows nothing of it.
      const url = yield* Effect.exit(a.InspectorUrl())
      if (Exit.isSuccess(url)) assert.strictEqual(url.value, null)
      else assert.strictEqual(tagOf(url), "WorkerDied")
      assert.notInclude((yield* runtime.info("a")).stderrTail, "Debugger")
    })
  )

  live(
    "an answer that is larger than the socket's buffer is delivered before a worker that was told to stop exits",
    Effect.gen(function* () {
      const spawner = yield* Spawner
      const ready = Latch.makeUnsafe(false)
      const done = Latch.makeUnsafe(false)
      let value: unknown
      const child = yield* spawner.spawn(echo, { key: "a", incarnation: 1, output: { line: () => {} } })
      child.channel.onFrameUnsafe((frame) => {
        if (typeof frame !== "object" || frame === null || !("t" in frame)) return
        if (frame.t === "ready") ready.openUnsafe()
        if (frame.t === "done" && "value" in frame) {
          value = frame.value
          done.openUnsafe()
        }
      })
      yield* ready.await
      child.channel.pauseUnsafe()
      child.channel.sendUnsafe({ t: "call", id: 1, method: "Huge", payload: { length: 3_000_000 } })
      child.channel.sendUnsafe({ t: "stop" })
      // It cannot be gone: nobody has read its answer.
      assert.strictEqual((yield* Effect.timeoutOption(child.exit, "300 millis"))._tag, "None")
      child.channel.resumeUnsafe()
      assert.deepStrictEqual(yield* child.exit, { code: 0, signal: null })
      yield* done.await
      assert.strictEqual(String(value).length, 3_000_000)
    })
  )

  live(
    "an answer that is larger than the socket's buffer is delivered when user code exits right after it",
    Effect.gen(function* () {
      const runtime = yield* WorkerRuntime.make({
        rpcs: PitfallRpcs,
        worker: (_key: "at once" | "later") => pitfall,
        respawn: RespawnPolicy.never
      })
      const length = 2_000_000
      for (const key of ["at once", "later"] as const) {
        const client = yield* runtime.client(key)
        const answer = yield* client.AnswerAndExit({ length, later: key === "later" })
        assert.isTrue(answer === "ü".repeat(length))
      }
    })
  )

  live(
    "a worker that exits while nobody reads what it has said waits for a moment, and not for ever",
    Effect.gen(function* () {
      const spawner = yield* Spawner
      const ready = Latch.makeUnsafe(false)
      const child = yield* spawner.spawn(pitfall, { key: "a", incarnation: 1, output: { line: () => {} } })
      child.channel.onFrameUnsafe(() => ready.openUnsafe())
      yield* ready.await
      child.channel.pauseUnsafe()
      child.channel.sendUnsafe({
        t: "call",
        id: 1,
        method: "AnswerAndExit",
        payload: { length: 2_000_000, later: true }
      })
      assert.deepStrictEqual(yield* child.exit, { code: 0, signal: null })
    })
  )

  live(
    "a worker that is not ready in time is gone before its successor starts, and the last one is gone, too",
    Effect.gen(function* () {
      const living: Array<ReadonlyArray<number>> = []
      const pids: Array<number> = []
      const { a, of } = yield* make(() => strange("mute"), {
        readyTimeout: "300 millis",
        respawn: RespawnPolicy.intensity({ max: 3, within: "1 hour", delay: 0 }),
        onOutputUnsafe: ({ line }) => {
          pids.push(Number(line))
          living.push(pids.filter(isAlive))
        }
      })
      assert.strictEqual(tagOf(yield* Effect.exit(a.Echo({ text: "x" }))), "RespawnLimitReached")
      assert.deepStrictEqual(
        of("WorkerExited").map(({ cause }) => cause),
        ["not-ready", "not-ready", "not-ready"]
      )
      for (const one of living) assert.isAtMost(one.length, 1)
      assert.deepStrictEqual(
        of("WorkerExited").flatMap(({ pid }) => (pid !== null && isAlive(pid) ? [pid] : [])),
        []
      )
    })
  )

  live(
    "what a dead worker's child says over its channel, ready and answers, is nobody's",
    Effect.gen(function* () {
      let n = 0
      const { a, of } = yield* make(() => (n++ === 0 ? strange("ghost") : echo), {
        respawn: RespawnPolicy.immediately
      })
      // As long as its exit was not told it is the same worker that speaks, whichever of its processes it is.
      const first = yield* Effect.exit(a.Echo({ text: "first" }))
      assert.include(["WorkerDied", "success"], tagOf(first))
      yield* until(
        "the exit",
        Effect.sync(() => of("WorkerExited").length > 0)
      )
      for (let call = 0; call < 20; call++) assert.strictEqual(yield* a.Echo({ text: `n${call}` }), `n${call}`)
      assert.deepStrictEqual(
        of("WorkerReady").map(({ incarnation }) => incarnation),
        [1, 2]
      )
      assert.lengthOf(of("WorkerExited"), 1)
    })
  )

  live(
    "calls that wait for a worker that cannot boot cause one fork at a time, and all end",
    Effect.gen(function* () {
      const { a, told } = yield* make(() => strange("broken"), {
        respawn: RespawnPolicy.intensity({ max: 3, within: "1 hour", delay: "10 millis" })
      })
      const calls = Array.from({ length: 50 }, () => Effect.exit(a.Echo({ text: "x" })))
      const exits = yield* Effect.all(calls, { concurrency: "unbounded" })
      assert.deepStrictEqual([...new Set(exits.map(tagOf))], ["RespawnLimitReached"])
      assert.deepStrictEqual(
        told.map(({ _tag }) => _tag).filter((tag) => tag === "WorkerStarting" || tag === "WorkerExited"),
        Array.from({ length: 3 }, () => ["WorkerStarting", "WorkerExited"] as const).flat()
      )
    })
  )

  live(
    "an eviction does not wait for the delay before a respawn, and nothing is started after it",
    Effect.gen(function* () {
      const { a, of, runtime } = yield* make(() => echo, { respawn: RespawnPolicy.spaced("1 hour") })
      yield* Effect.exit(a.Exit({ code: 1 }))
      yield* until(
        "the delay",
        Effect.map(runtime.info("a"), ({ state }) => state === "backoff")
      )
      const waiting = yield* Effect.forkChild(Effect.exit(a.Echo({ text: "x" })), { startImmediately: true })
      yield* runtime.evict("a")
      assert.strictEqual(tagOf(yield* Fiber.join(waiting)), "WorkerStopped")
      assert.isFalse(runtime.has("a"))
      assert.lengthOf(of("WorkerStarting"), 1)
    })
  )

  live(
    "callbacks that throw harm nobody: calls are answered, a crash is followed by a respawn",
    Effect.gen(function* () {
      let told = 0
      const { a } = yield* make(() => echo, {
        respawn: RespawnPolicy.immediately,
        onEvent: () => {
          told += 1
          throw new Error("thrown by onEvent")
        }
      })
      yield* a.Talk({ text: "hello" })
      assert.strictEqual(tagOf(yield* Effect.exit(a.Exit({ code: 1 }))), "WorkerDied")
      assert.strictEqual(yield* a.Echo({ text: "again" }), "again")
      assert.isAbove(told, 5)

      const vetoing = yield* make(() => echo, {
        respawn: RespawnPolicy.immediately,
        shouldRespawn: () => {
          throw new Error("thrown by shouldRespawn")
        }
      })
      yield* Effect.exit(vetoing.a.Exit({ code: 1 }))
      const refused = yield* Effect.exit(vetoing.a.Echo({ text: "x" }))
      assert.strictEqual(tagOf(refused), "RespawnLimitReached")
      assert.include(vetoing.of("WorkerGivenUp")[0]?.reason, "thrown by shouldRespawn")

      const unnamed = yield* make(() => {
        throw new Error("thrown by worker")
      })
      assert.strictEqual(tagOf(yield* Effect.exit(unnamed.a.Echo({ text: "x" }))), "RespawnLimitReached")
      assert.include(unnamed.of("WorkerExited")[0]?.reason, "thrown by worker")
    })
  )

  live(
    "a worker that is not read, for its consumer is behind, is read to its last line when it exits",
    Effect.gen(function* () {
      const exited = Latch.makeUnsafe(false)
      const lines: Array<string> = []
      const { runtime } = yield* make(() => strange("talkative"), {
        onEvent: (event) =>
          Effect.suspend(() => {
            if (event._tag === "WorkerExited") exited.openUnsafe()
            if (event._tag !== "WorkerOutput") return Effect.void
            lines.push(event.line)
            return exited.await
          })
      })
      yield* Effect.exit(runtime.start("a"))
      // Of 3000 it is paused after 1024; all of them fit into the pipe and into what may wait.
      yield* until(
        "the last line",
        Effect.sync(() => lines.length === 3000)
      )
      assert.deepStrictEqual(
        lines,
        Array.from({ length: 3000 }, (_, n) => `line ${n}`)
      )
    })
  )

  live(
    "a consumer that takes nothing keeps back no answer, and is no reason to take a worker for hung",
    Effect.gen(function* () {
      const open = Latch.makeUnsafe(false)
      const { a, of } = yield* make(() => echo, {
        heartbeat: { interval: "50 millis", timeout: "30 seconds" },
        onEvent: (event) => (event._tag === "WorkerOutput" ? open.await : Effect.void)
      })
      const line = `{"t":"log","level":"INFO","message":"m","fields":{}}\n`
      yield* a.WriteRaw({ text: line, times: 5000 })
      assert.strictEqual(yield* a.Echo({ text: "behind 5000 lines" }), "behind 5000 lines")
      open.openUnsafe()
      assert.lengthOf(of("WorkerExited"), 0)
    })
  )
})
