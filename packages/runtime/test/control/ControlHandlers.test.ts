/**
 * Each RPC of the control contract (C4), through its handler, over a kernel with fake workers: health
 * (M11), triggers of what is unknown (M2), kills (M8).
 */
import { describe, expect, it } from "@effect/vitest"
import { ControlRpcs } from "@nerve/core/wire/ControlRpcs"
import * as ControlHandlers from "@nerve/runtime/control/ControlHandlers"
import { LogStore } from "@nerve/runtime/log/LogStore"
import * as LogStoreMemory from "@nerve/runtime/log/LogStoreMemory"
import { Context, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { RpcTest } from "effect/rpc"
import * as World from "../kernel/harness.ts"
import { launching, quiet, rest } from "../kernel/harness.ts"

/** A running kernel and a client of its handlers, which read from the kernel's log unless told. */
const start = Effect.fnUntraced(function* (log?: LogStore["Service"]) {
  const world = yield* World.make
  const { context, kernel } = yield* world.start()
  const services = log === undefined ? context : Context.add(context, LogStore, log)
  const handlers = yield* Layer.build(Layer.provide(ControlHandlers.layer, Layer.succeedContext(services)))
  const client = yield* Effect.provideContext(RpcTest.makeClient(ControlRpcs), handlers)
  return { kernel, client, world }
})

describe("ControlHandlers", () => {
  it.effect("GetStatus answers with the kernel's health", () =>
    Effect.gen(function* () {
      const { client, kernel } = yield* start()
      expect(yield* client.GetStatus()).toEqual(yield* kernel.status)
    })
  )

  it.effect("TriggerSense starts a compute, and answers an unknown sense with the known ones", () =>
    Effect.gen(function* () {
      const { client, world } = yield* start()
      yield* client.TriggerSense({ sense: "cpu" })
      yield* rest
      expect(world.trace).toContain("compute cpu")
      const error = yield* Effect.flip(client.TriggerSense({ sense: "cup" }))
      expect(error).toMatchObject({ _tag: "UnknownSense", sense: "cup", known: ["cpu", "alarm"] })
      expect(error.message).toBe('no sense "cup" in nerve.yaml; there are: cpu, alarm')
    })
  )

  it.effect("ListTicks answers with a sense's ticks, and an unknown sense with the known ones", () =>
    Effect.gen(function* () {
      const { client, world } = yield* start()
      world.compute = () => Effect.succeed({ _tag: "NoSignal", reason: "too early" })
      expect(yield* client.ListTicks({ sense: "cpu" })).toEqual([])
      yield* client.TriggerSense({ sense: "cpu" })
      yield* rest
      const ticks = yield* client.ListTicks({ sense: "cpu", outcome: "skipped", limit: 5 })
      expect(ticks).toMatchObject([{ cause: "manual", outcome: "skipped", detail: "too early", count: 1 }])
      expect(yield* client.ListTicks({ sense: "cpu", before: ticks[0]?.id ?? 0 })).toEqual([])
      const error = yield* Effect.flip(client.ListTicks({ sense: "cup" }))
      expect(error).toMatchObject({ _tag: "UnknownSense", sense: "cup", known: ["cpu", "alarm"] })
    })
  )

  it.effect("TriggerWorkflow starts a thread whose cause is manual, and answers with it", () =>
    Effect.gen(function* () {
      const { client, world } = yield* start()
      const { status, threadId } = yield* client.TriggerWorkflow({ workflow: "talk", prompt: "hello", maxRounds: 4 })
      expect(status).toBe("started")
      const started = yield* world.logged({ source: "workflow", type: "started" })
      expect(started).toMatchObject({
        refId: threadId,
        payload: { prompt: "hello", maxRounds: 4, dryRun: false, cause: "manual" }
      })
      const error = yield* Effect.flip(client.TriggerWorkflow({ workflow: "tlak", prompt: "hello" }))
      expect(error).toMatchObject({ _tag: "UnknownWorkflow", workflow: "tlak", known: ["talk"] })
    })
  )

  it.effect("ListThreads and ShowThread answer from the log", () =>
    Effect.gen(function* () {
      const { client, world } = yield* start()
      const first = yield* client.TriggerWorkflow({ workflow: "talk", prompt: "one" })
      yield* world.logged({ type: "completed", refId: first.threadId })
      world.round = () => Effect.never
      const second = yield* client.TriggerWorkflow({ workflow: "talk", prompt: "two" })
      const ids = (query: Parameters<typeof client.ListThreads>[0]) =>
        Effect.map(client.ListThreads(query), (runs) => runs.map((run) => run.threadId))
      expect(yield* ids({})).toEqual([second.threadId, first.threadId])
      expect(yield* ids({ limit: 1 })).toEqual([second.threadId])
      expect(yield* ids({ status: "completed" })).toEqual([first.threadId])
      expect(yield* ids({ workflow: "other" })).toEqual([])
      expect(yield* client.ShowThread({ threadId: first.threadId })).toMatchObject({
        run: { threadId: first.threadId, status: "completed", exitCode: 0 },
        messages: [{ round: 1, role: "speaker", content: "round 1" }]
      })
      const error = yield* Effect.flip(client.ShowThread({ threadId: "nobody" }))
      expect(error).toMatchObject({ _tag: "UnknownThread", threadId: "nobody" })
    })
  )

  it.effect("KillThread ends a thread and answers true; false for one that is unknown or has ended", () =>
    Effect.gen(function* () {
      const { client, world } = yield* start()
      world.round = () => Effect.never
      const { threadId } = yield* client.TriggerWorkflow({ workflow: "talk", prompt: "one" })
      yield* rest
      expect(yield* client.KillThread({ threadId })).toBe(true)
      expect(yield* client.ShowThread({ threadId })).toMatchObject({ run: { status: "killed", exitCode: 137 } })
      expect(yield* client.KillThread({ threadId })).toBe(false)
      expect(yield* client.KillThread({ threadId: "nobody" })).toBe(false)
    })
  )

  it.effect("QueryLogs answers with the entries that match", () =>
    Effect.gen(function* () {
      const { client, world } = yield* start()
      world.compute = (name) => Effect.succeed(name === "cpu" ? launching("talk") : quiet)
      yield* client.TriggerSense({ sense: "cpu" })
      yield* world.logged({ type: "completed" })
      const types = (query: Parameters<typeof client.QueryLogs>[0]) =>
        Effect.map(client.QueryLogs(query), (entries) => entries.map((entry) => entry.type))
      expect(yield* types({ source: "sense" })).toEqual(["signal", "launch"])
      expect(yield* types({ source: "sense", order: "desc", limit: 1 })).toEqual(["launch"])
      expect(yield* types({ type: "signal", refId: "memory" })).toEqual([])
    })
  )

  it.effect("TailLogs sends the past from the cursor on, then what comes, and lets go of a reader that leaves", () =>
    Effect.gen(function* () {
      const { client, world } = yield* start()
      world.compute = () => Effect.succeed({ _tag: "Signal", value: 1, launches: [] })
      yield* client.TriggerSense({ sense: "cpu" })
      yield* world.logged({ type: "signal", refId: "cpu" })
      const reader = yield* client
        .TailLogs({ cursor: 0, type: "signal", refId: "cpu" })
        .pipe(Stream.take(2), Stream.runCollect, Effect.forkChild({ startImmediately: true }))
      yield* rest
      expect(reader.pollUnsafe()).toBeUndefined()
      yield* client.TriggerSense({ sense: "cpu" })
      expect((yield* Fiber.join(reader)).map((entry) => entry.type)).toEqual(["signal", "signal"])
    })
  )

  it.effect("StopDaemon answers at once, and whoever runs the daemon is told", () =>
    Effect.gen(function* () {
      const { client, kernel } = yield* start()
      yield* client.StopDaemon()
      yield* kernel.stopRequested
    })
  )

  it.effect("answers what needs the store with StoreUnavailable when it fails, and the rest all the same", () =>
    Effect.gen(function* () {
      const { client, world } = yield* start()
      world.disk.full = true
      const error = yield* Effect.flip(client.TriggerWorkflow({ workflow: "talk", prompt: "hello" }))
      expect(error).toMatchObject({ _tag: "StoreUnavailable", message: "the disk is full" })
      expect((yield* client.GetStatus()).workflows).toMatchObject([{ active: 0, queued: 0 }])
    })
  )

  it.effect("answers reads with StoreUnavailable when the log cannot be read", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const unreadable = yield* Scope.provide(LogStoreMemory.make, scope)
      yield* Scope.close(scope, Exit.void)
      const { client } = yield* start(unreadable)
      const failures = [
        yield* Effect.flip(client.QueryLogs({})),
        yield* Effect.flip(Stream.runDrain(client.TailLogs({}))),
        yield* Effect.flip(client.ListThreads({})),
        yield* Effect.flip(client.ShowThread({ threadId: "any" }))
      ]
      for (const error of failures) {
        expect(error).toMatchObject({ _tag: "StoreUnavailable", message: "the log store is closed" })
      }
    })
  )
})
