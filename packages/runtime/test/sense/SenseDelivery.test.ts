/**
 * What the pool does so that no signal is lost or recorded twice (S6), and what it does with a sense whose boot takes
 * longer than its worker's.
 */
import { describe, expect, it } from "@effect/vitest"
import type { SenseBoot } from "@nerve/core/wire/SenseRpcs"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import { noSignal, sense, settle, start } from "./harness.ts"

describe("the key of a signal", () => {
  it.effect("goes with the next compute once it is recorded, and not before", () =>
    Effect.gen(function* () {
      const { pool, starts } = yield* start({
        senses: [sense("a", { intervalMs: null })],
        recorded: () => Effect.succeed("of an earlier daemon"),
        compute: ({ nth }) =>
          Effect.succeed(nth === 3 ? noSignal : { _tag: "Signal", value: nth, launches: [], key: `k${nth}` }),
        // The second signal cannot be recorded.
        onEvent: (event) =>
          event._tag === "SignalEmitted" && event.value === 1 ? Effect.die("the disk is full") : Effect.void
      })
      for (let turn = 0; turn < 5; turn++) {
        yield* pool.trigger("a")
        yield* settle
      }
      expect(starts.map(({ recorded }) => recorded)).toEqual(["of an earlier daemon", "k0", "k0", "k2", "k2"])
    })
  )

  it.effect("that the worker has and the log has not is asked for at once, though nothing is due", () =>
    Effect.gen(function* () {
      const setup = (recorded: string) => ({
        senses: [sense("a", { intervalMs: null })],
        recorded: () => Effect.succeed(recorded),
        report: () => ({ lastSignal: "k7" })
      })
      const behind = yield* start(setup("k6"))
      yield* TestClock.adjust("1 minute")
      yield* settle
      expect(behind.starts.map(({ recorded }) => recorded)).toEqual(["k6"])
      const even = yield* start(setup("k7"))
      yield* TestClock.adjust("1 minute")
      yield* settle
      expect(even.starts).toEqual([])
    })
  )
})

describe("a sense that still boots when its worker is ready", () => {
  it.effect("waits, while its neighbour computes, and computes when it is done", () =>
    Effect.gen(function* () {
      const booted = yield* Deferred.make<SenseBoot>()
      const { pool, starts } = yield* start({
        senses: [sense("quick", { intervalMs: 1_000 }), sense("slow", { intervalMs: 1_000 })],
        booting: (name) => (name === "slow" ? Deferred.await(booted) : undefined)
      })
      yield* TestClock.adjust("1 minute")
      yield* settle
      const status = Effect.map(pool.views, (views) => views.map((view) => [view.name, view.status]))
      expect(yield* status).toEqual([
        ["quick", "ok"],
        ["slow", "waiting"]
      ])
      expect(new Set(starts.map((one) => one.sense))).toEqual(new Set(["quick"]))
      yield* Deferred.succeed(booted, { name: sense("slow", {}).name, problem: null })
      yield* settle
      yield* TestClock.adjust("3 seconds")
      yield* settle
      expect(starts.filter((one) => one.sense === "slow").length).toBeGreaterThan(0)
      expect(yield* status).toEqual([
        ["quick", "ok"],
        ["slow", "ok"]
      ])
    })
  )

  it.effect("is failed, with its problem, when its boot comes to that", () =>
    Effect.gen(function* () {
      const booted = yield* Deferred.make<SenseBoot>()
      const { events, pool, starts } = yield* start({
        senses: [sense("slow", { intervalMs: 1_000 })],
        booting: () => Deferred.await(booted)
      })
      const problem = {
        code: "migration-failed",
        message: "no such table",
        file: "senses/slow/migrations/1.sql",
        hint: ""
      }
      yield* Deferred.succeed(booted, { name: sense("slow", {}).name, problem })
      yield* settle
      yield* TestClock.adjust("1 minute")
      expect((yield* pool.views)[0]).toMatchObject({ status: "failed", problem })
      expect(events.filter(({ _tag }) => _tag === "SenseBroken")).toHaveLength(1)
      expect(starts).toEqual([])
    })
  )
})
