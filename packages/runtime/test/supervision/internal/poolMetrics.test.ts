/** The metrics of pools, as an exporter reads them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Metric } from "effect"
import { TestClock } from "effect/testing"
import { begin, setup } from "../PoolWorker.ts"

/** Series of their own, so that no other pool of this process is in them. */
const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, Metric.MetricRegistry, new Map())

const read = (id: string, attributes: Readonly<Record<string, string>> = {}) =>
  Effect.map(Metric.snapshot, (all) => {
    const found = all.filter(
      (one) => one.id === id && Object.entries(attributes).every(([name, value]) => one.attributes?.[name] === value)
    )
    assert.strictEqual(found.length, 1, `${id} ${JSON.stringify(attributes)}`)
    return found[0]
  })

const value = (id: string, attributes: Readonly<Record<string, string>> = {}) =>
  Effect.map(read(id, attributes), (one) =>
    one?.type === "Gauge" ? Number(one.state.value) : one?.type === "Counter" ? Number(one.state.count) : Number.NaN
  )

describe("poolMetrics", () => {
  it.effect("tell size, calls that wait and calls that run, now", () =>
    isolated(
      setup({ name: "pdf", size: { minimum: 1, maximum: 2 }, growAfter: 100 }, ({ pool, probe }) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* value("nerve_pool_size", { runtime: "pdf" }), 1)
          const calls = yield* begin(
            Effect.forEach(["a", "b", "c"], (gate) => pool.client.Wait({ gate }), { concurrency: "unbounded" })
          )
          assert.strictEqual(yield* value("nerve_pool_queued"), 2)
          assert.strictEqual(yield* value("nerve_pool_running"), 1)
          yield* TestClock.adjust(100)
          assert.strictEqual(yield* value("nerve_pool_size"), 2)
          assert.strictEqual(yield* value("nerve_pool_queued"), 1)
          assert.strictEqual(yield* value("nerve_pool_running"), 2)
          yield* probe.open("a", "b", "c")
          yield* Fiber.join(calls)
          assert.strictEqual(yield* value("nerve_pool_running"), 0)
        })
      )
    )
  )

  it.effect("count calls that were turned away, by reason", () =>
    isolated(
      setup({ size: 1, queue: 1 }, ({ pool, probe }) =>
        Effect.gen(function* () {
          const first = yield* begin(pool.client.Wait({ gate: "first" }))
          const second = yield* begin(Effect.flip(pool.client.Wait({ gate: "second" }, { waitMs: 500 })))
          yield* Effect.flip(pool.client.Echo({ text: "no" }))
          yield* Effect.flip(pool.client.Echo({ text: "no" }))
          yield* TestClock.adjust(500)
          yield* Fiber.join(second)
          assert.strictEqual(yield* value("nerve_pool_busy_total", { reason: "queue-full" }), 2)
          assert.strictEqual(yield* value("nerve_pool_busy_total", { reason: "waited" }), 1)
          yield* probe.open("first")
          yield* Fiber.join(first)
        })
      )
    )
  )

  it.effect("tell how long calls waited for a worker, those that did not among them", () =>
    isolated(
      setup({ size: 1 }, ({ pool, probe }) =>
        Effect.gen(function* () {
          const first = yield* begin(pool.client.Wait({ gate: "first" }))
          const second = yield* begin(pool.client.Echo({ text: "second" }))
          const third = yield* begin(pool.client.Echo({ text: "third" }))
          yield* TestClock.adjust("90 seconds")
          const fourth = yield* begin(pool.client.Echo({ text: "fourth" }))
          yield* TestClock.adjust(150)
          yield* probe.open("first")
          for (const call of [first, second, third, fourth]) yield* Fiber.join(call)
          const wait = yield* read("nerve_pool_wait_ms")
          if (wait?.type !== "Histogram") return assert.fail("no histogram")
          const { buckets, ...rest } = wait.state
          assert.deepStrictEqual(rest, { count: 4, min: 0, max: 90_150, sum: 2 * 90_150 + 150 })
          const below = new Map(buckets)
          assert.deepStrictEqual(
            [0, 1, 100, 200, 60_000].map((boundary) => below.get(boundary)),
            [1, 1, 1, 2, 2]
          )
        })
      )
    )
  )

  it.effect("are one series for pools of one name, and forget a pool that has ended but not what it counted", () =>
    isolated(
      Effect.gen(function* () {
        yield* setup({ size: 2 }, ({ pool }) =>
          Effect.gen(function* () {
            yield* pool.client.Echo({ text: "here" })
            yield* setup({ size: 3 }, (other) =>
              Effect.gen(function* () {
                yield* other.pool.client.Echo({ text: "there" })
                assert.strictEqual(yield* value("nerve_pool_size"), 5)
              })
            )
            assert.strictEqual(yield* value("nerve_pool_size"), 2)
          })
        )
        assert.strictEqual(yield* value("nerve_pool_size"), 0)
        const wait = yield* read("nerve_pool_wait_ms")
        assert.strictEqual(wait?.type === "Histogram" ? wait.state.count : -1, 2)
      })
    )
  )
})
