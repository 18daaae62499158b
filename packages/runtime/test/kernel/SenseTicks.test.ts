/**
 * What the history says of each way in which a tick can end, over the real pool with fake workers.
 */
import { assert, describe, it } from "@effect/vitest"
import { empty } from "@nerve/core/config/NerveConfig"
import { SenseName, WorkflowName } from "@nerve/core/domain/Ids"
import type { Tick } from "@nerve/core/domain/Tick"
import { ComputeFailed, ComputeTimeout } from "@nerve/core/wire/SenseRpcs"
import { TickHistory } from "@nerve/runtime/sense/TickHistory"
import { Context, Effect } from "effect"
import { TestClock } from "effect/testing"
import { pass, sense } from "../sense/harness.ts"
import * as World from "./harness.ts"
import { config, launching, quiet, rest } from "./harness.ts"

const cpu = SenseName.make("cpu")

const started = Effect.fnUntraced(function* (world: World.World, own = config) {
  const { context, kernel } = yield* world.start({ config: own })
  const history = Context.get(context, TickHistory)
  return { kernel, ticks: (name: string) => Effect.orDie(history.query({ sense: name, limit: 1_000 })) }
})

const ends = (ticks: ReadonlyArray<Tick>) => ticks.map(({ cause, outcome }) => `${cause} ${outcome}`).reverse()

describe("ticks", () => {
  it.effect("say what came of each compute: signal and threads, nothing, a reason, an error, a timeout", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const { kernel, ticks } = yield* started(world)
      const outcomes: Array<() => ReturnType<World.World["compute"]>> = [
        () => Effect.succeed(launching("talk", "nobody")),
        () => Effect.succeed(quiet),
        () => Effect.succeed({ _tag: "NoSignal", reason: "on battery" } as const),
        () => Effect.fail(new ComputeFailed({ sense: cpu, message: "no such file", stack: null })),
        () => Effect.delay(Effect.fail(new ComputeTimeout({ sense: cpu, timeoutMs: 30_000 })), "30 seconds")
      ]
      world.compute = (name) =>
        Effect.suspend(() =>
          name === "cpu" ? (outcomes.shift() ?? (() => Effect.succeed(quiet)))() : Effect.succeed(quiet)
        )
      for (let nth = 0; nth < 5; nth++) {
        yield* kernel.senses.trigger("cpu")
        yield* rest
        yield* TestClock.adjust("30 seconds")
        yield* rest
      }
      const [timeout, error, skipped, none, signal] = yield* ticks("cpu")
      const [run] = yield* world.store.runs({})
      const [entry] = yield* world.entries({ type: "signal" })
      assert.deepInclude(signal, {
        outcome: "signal",
        cause: "manual",
        dueAt: 0,
        startedAt: 0,
        durationMs: 0,
        signal: entry?.id ?? -1,
        threads: [run?.threadId ?? ""]
      })
      assert.deepInclude(none, { outcome: "no-signal", detail: null, dueAt: 30_000, startedAt: 30_000 })
      assert.deepInclude(skipped, { outcome: "skipped", detail: "on battery" })
      assert.deepInclude(error, { outcome: "error", detail: "no such file", threads: [] })
      assert.deepInclude(timeout, { outcome: "timeout", durationMs: 30_000 })
      assert.deepStrictEqual(ends(yield* ticks("alarm")), ["on:cpu no-signal"])
    })
  )

  it.effect("say which were killed, which were interrupted by it and ran again, and which came meanwhile", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const group = { group: "one", timeoutMs: 1_000, gracePeriodMs: 1_000 }
      const { kernel, ticks } = yield* started(world, {
        ...empty,
        senses: [sense("stuck", group), sense("innocent", { ...group, timeoutMs: 60_000 })]
      })
      let innocent = 0
      world.compute = (name) =>
        name === "stuck" || innocent++ === 0
          ? Effect.andThen(Effect.never, Effect.succeed(quiet))
          : Effect.succeed(quiet)
      yield* kernel.senses.trigger("stuck")
      yield* kernel.senses.trigger("innocent")
      yield* pass(500)
      for (const _ of [1, 2, 3]) yield* kernel.senses.trigger("innocent")
      yield* pass(10_000)
      assert.deepStrictEqual(ends(yield* ticks("stuck")), ["manual killed"])
      const [after, ...before] = yield* ticks("innocent")
      assert.deepStrictEqual(ends(before), [
        "manual collapsed",
        "manual collapsed",
        "manual interrupted",
        "restart collapsed"
      ])
      assert.deepInclude(after, { cause: "manual", outcome: "no-signal", dueAt: 500 })
    })
  )

  it.effect("say which were throttled, and which were missed", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const { kernel, ticks } = yield* started(world, {
        ...empty,
        senses: [
          sense("throttled", { throttleMs: 10_000 }),
          sense("late", { intervalMs: 10_000, catchUp: "skip" }),
          sense("daily", { cron: { expression: "0 0 * * *", timeZone: "UTC" } })
        ]
      })
      world.compute = (name) => Effect.delay(Effect.succeed(quiet), name === "late" ? "15 seconds" : 0)
      for (const _ of [1, 2, 3]) {
        yield* kernel.senses.trigger("throttled")
        yield* rest
      }
      yield* pass(86_400_000, 1_000_000)
      yield* rest
      assert.deepStrictEqual(ends(yield* ticks("throttled")), [
        "manual no-signal",
        "manual throttled",
        "manual no-signal"
      ])
      assert.deepStrictEqual(ends(yield* ticks("daily")), ["cron no-signal"])
      assert.strictEqual((yield* ticks("daily"))[0]?.dueAt, 86_400_000)
      const late = yield* ticks("late")
      assert.isTrue(late.some(({ outcome }) => outcome === "missed"))
      assert.isTrue(late.every(({ dueAt, startedAt }) => startedAt === null || startedAt - dueAt <= 1_000))
    })
  )

  it.effect("are there also when the log could not take the signal, and nothing followed from it", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      world.compute = () => Effect.succeed(launching("talk"))
      const { kernel, ticks } = yield* started(world, {
        ...config,
        workflows: [{ name: WorkflowName.make("talk"), concurrency: 1, overflow: "drop", maxQueue: 1 }]
      })
      world.disk.full = true
      yield* kernel.senses.trigger("cpu")
      yield* rest
      const [tick] = yield* ticks("cpu")
      assert.deepInclude(tick, { outcome: "signal", signal: null, threads: [] })
      assert.deepStrictEqual(yield* ticks("alarm"), [])
    })
  )
})
