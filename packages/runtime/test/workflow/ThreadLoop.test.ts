/**
 * One thread's loop against a scripted client: what it asks for, what it records, how it ends.
 */
import { describe, expect, it } from "@effect/vitest"
import { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import type { Budget } from "@nerve/core/workflow/Budget"
import { RoundOutcome } from "@nerve/core/wire/WorkflowRpcs"
import { LogStore } from "@nerve/runtime/log/LogStore"
import * as LogStoreMemory from "@nerve/runtime/log/LogStoreMemory"
import {
  CallTimeout,
  MailboxFull,
  ProtocolViolation,
  RespawnLimitReached,
  WorkerDied,
  type WorkerError,
  WorkerStopped
} from "@nerve/runtime/supervision/WorkerError"
import * as RunLog from "@nerve/runtime/workflow/RunLog"
import * as ThreadLoop from "@nerve/runtime/workflow/ThreadLoop"
import { Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"

const id = ThreadId.make("talk-1")
const key = "talk"
const spoke = (content: string): RoundOutcome => ({ _tag: "Spoke", role: "speaker", content, meta: { n: 1 } })
const ended: RoundOutcome = { _tag: "Ended" }
const exhausted: RoundOutcome = { _tag: "Exhausted" }

/** Runs a started thread against answers given one after the other; also the contents sent with each request. */
const converse = Effect.fnUntraced(function* (
  answers: ReadonlyArray<RoundOutcome | WorkerError>,
  options: { readonly maxRounds?: number; readonly budget?: Budget } = {}
) {
  const store = yield* LogStore
  yield* store.append(
    RunLog.started(id, {
      workflow: WorkflowName.make(key),
      prompt: "hello",
      maxRounds: options.maxRounds ?? 10,
      dryRun: true,
      cause: "manual"
    })
  )
  const sent: Array<ReadonlyArray<string>> = []
  const loop = yield* ThreadLoop.make({
    budget: () => options.budget ?? null,
    client: () =>
      Effect.succeed({
        RunRound: ({ start, steps }) =>
          Effect.suspend((): Effect.Effect<RoundOutcome, WorkerError> => {
            expect(start).toMatchObject({ threadId: id, prompt: "hello", dryRun: true })
            sent.push(steps.map((step) => step.content))
            const answer = answers[sent.length - 1] ?? ended
            return isOutcome(answer) ? Effect.succeed(answer) : Effect.fail(answer)
          })
      })
  })
  return { loop, sent, store }
})

const isOutcome = Schema.is(RoundOutcome)

const types = Effect.fnUntraced(function* (store: LogStore["Service"]) {
  return (yield* store.query({ refId: id })).map((entry) => entry.type)
})

const died = new WorkerDied({ key, incarnation: 1, exit: { code: 1, signal: null }, stderrTail: "" })

describe("ThreadLoop", () => {
  it.effect("sends each request with all rounds so far, as they were recorded", () =>
    Effect.gen(function* () {
      const { loop, sent, store } = yield* converse([spoke("one"), spoke("two"), ended])
      expect(yield* loop(id)).toEqual({ _tag: "Completed" })
      expect(sent).toEqual([[], ["one"], ["one", "two"]])
      expect(yield* store.messages(id)).toMatchObject([
        { round: 1, role: "speaker", content: "one", meta: { n: 1 } },
        { round: 2, content: "two" }
      ])
    }).pipe(Effect.provide(LogStoreMemory.layer))
  )

  it.effect("pauses over its budget before the next round, and goes on with a new one when it is resumed", () =>
    Effect.gen(function* () {
      const usage = { calls: 1, inputTokens: 40, outputTokens: 10, costUsd: null }
      const costly = (content: string): RoundOutcome => ({ _tag: "Spoke", role: "r", content, meta: null, usage })
      const { loop, sent, store } = yield* converse(["a", "b", "c", "d", "e"].map(costly), {
        budget: { tokens: 100, costUsd: null }
      })
      const over = { _tag: "Pauses", by: "budget", reason: "it has taken 100 tokens of the 100 in its budget" } as const
      expect(yield* loop(id)).toEqual({ ...over, rounds: 2 })
      // Not written yet: a loop that starts again finds the same.
      expect(yield* loop(id)).toEqual({ ...over, rounds: 2 })
      yield* store.append(RunLog.paused(id, { by: "budget", reason: over.reason, rounds: 2 }))
      yield* store.append(RunLog.resumed(id, { newCode: false, reason: "" }))
      expect(yield* loop(id)).toEqual({ ...over, rounds: 4 })
      expect(sent).toHaveLength(4)
    }).pipe(Effect.provide(LogStoreMemory.layer))
  )

  it.effect("completes when the moderator ends it after its last round, and fails when it goes on", () =>
    Effect.gen(function* () {
      const { loop, sent } = yield* converse([spoke("one"), spoke("two"), ended], { maxRounds: 2 })
      expect(yield* loop(id)).toEqual({ _tag: "Completed" })
      expect(sent).toHaveLength(3)
    }).pipe(Effect.provide(LogStoreMemory.layer))
  )

  it.effect("records no round beyond the last, even if a worker answers one", () =>
    Effect.gen(function* () {
      const { loop, store } = yield* converse([spoke("one"), spoke("two"), spoke("three")], { maxRounds: 2 })
      expect(yield* loop(id)).toEqual({ _tag: "RoundsExhausted", maxRounds: 2 })
      expect(yield* store.messages(id)).toHaveLength(2)
    }).pipe(Effect.provide(LogStoreMemory.layer))
  )

  it.effect("asks again after a death, once per incarnation, and records each", () =>
    Effect.gen(function* () {
      const { loop, sent, store } = yield* converse([spoke("one"), died, died, spoke("two"), ended])
      expect(yield* loop(id)).toEqual({ _tag: "Completed" })
      expect(sent).toEqual([[], ["one"], ["one"], ["one"], ["one", "two"]])
      expect(yield* types(store)).toEqual(["started", "message", "crashed", "crashed", "message"])
    }).pipe(Effect.provide(LogStoreMemory.layer))
  )

  it.effect("goes on with the round that was recorded first, whatever is answered later", () =>
    Effect.gen(function* () {
      const { store } = yield* converse([])
      const sent: Array<ReadonlyArray<string>> = []
      const another = Effect.orDie(
        store.append(RunLog.message(id, 1, { role: "speaker", content: "first", meta: null }))
      )
      const loop = yield* ThreadLoop.make({
        client: () =>
          Effect.succeed({
            RunRound: ({ steps }) => {
              sent.push(steps.map((step) => step.content))
              // Another loop is faster between this one's reading and its append.
              return steps.length === 0 ? Effect.as(another, spoke("late")) : Effect.succeed(ended)
            }
          })
      })
      expect(yield* loop(id)).toEqual({ _tag: "Completed" })
      expect(sent).toEqual([[], ["first"]])
    }).pipe(Effect.provide(LogStoreMemory.layer))
  )

  it.effect("waits and tries again when the worker's mailbox is full", () =>
    Effect.gen(function* () {
      const { loop, sent } = yield* converse([new MailboxFull({ key, capacity: 1 }), spoke("one"), ended])
      const fiber = yield* Effect.forkChild(loop(id), { startImmediately: true })
      expect(sent).toHaveLength(1)
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(fiber)).toEqual({ _tag: "Completed" })
      expect(sent).toHaveLength(3)
    }).pipe(Effect.provide(LogStoreMemory.layer))
  )

  it.effect("is over when the worker says so at maxRounds, also when they were recorded before", () =>
    Effect.gen(function* () {
      const { loop, sent } = yield* converse([spoke("one"), spoke("two"), exhausted, exhausted], { maxRounds: 2 })
      expect(yield* loop(id)).toEqual({ _tag: "RoundsExhausted", maxRounds: 2 })
      expect(yield* loop(id)).toEqual({ _tag: "RoundsExhausted", maxRounds: 2 })
      expect(sent).toHaveLength(4)
    }).pipe(Effect.provide(LogStoreMemory.layer))
  )

  it.effect("is given up, stopped or failed as the call says, and records no end itself", () =>
    Effect.gen(function* () {
      const outcomes = yield* Effect.forEach(
        [
          new RespawnLimitReached({ key, crashes: 6, lastFailure: "exit code 1" }),
          new WorkerStopped({ key }),
          new ProtocolViolation({ key, method: "RunRound", detail: "no answer but noise" }),
          new CallTimeout({ key, method: "RunRound", timeoutMs: 5 })
        ],
        (error) =>
          Effect.gen(function* () {
            const { loop, store } = yield* converse([error])
            const outcome = yield* loop(id)
            expect(yield* types(store)).toEqual(["started"])
            return outcome
          }).pipe(Effect.provide(LogStoreMemory.layer, { local: true }))
      )
      expect(outcomes).toEqual([
        {
          _tag: "GivenUp",
          reason: "worker given up: worker talk was given up after 6 crashes; the last one: exit code 1"
        },
        { _tag: "Stopped" },
        { _tag: "Failed", reason: "RunRound of worker talk: no answer but noise" },
        { _tag: "Failed", reason: "no answer from worker talk to RunRound within 5 ms" }
      ])
    })
  )
})
