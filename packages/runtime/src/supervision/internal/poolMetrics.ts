/**
 * What pools amount to, as metrics: few series, `runtime` is the name of the pool. Size, queue and running calls are read
 * off the pools when somebody looks, and waits are counted here, because a metric that is told of each call would cost
 * more than the call's dispatch. Pools of one name are one series.
 */
import * as PoolState from "@nerve/core/supervision/PoolState"
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { Busy } from "../PoolError.ts"

/** `nerve_pool_size{runtime}`. */
const size = Metric.gauge("nerve_pool_size", { description: "Slots of a pool" })

/** `nerve_pool_queued{runtime}`. */
const queued = Metric.gauge("nerve_pool_queued", { description: "Calls that wait for a worker" })

/** `nerve_pool_running{runtime}`. */
const running = Metric.gauge("nerve_pool_running", { description: "Calls that workers run" })

/** `nerve_pool_busy_total{runtime,reason}`: queue-full, waited. */
const busy = Metric.counter("nerve_pool_busy_total", {
  description: "Calls that a pool turned away",
  incremental: true
})

/** The first is of those that found a free worker. */
const boundaries = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000]

/** `nerve_pool_wait_ms{runtime}`. */
const wait = Metric.histogram("nerve_pool_wait_ms", {
  description: "How long calls waited until they were given to a worker, in milliseconds",
  boundaries
})

/** A histogram that costs next to nothing to count in. */
class Waits {
  /** By boundary, and those beyond the last. */
  readonly #counts = Array.from({ length: boundaries.length + 1 }, () => 0)
  #count = 0
  #min = Number.MAX_VALUE
  #max = -Number.MAX_VALUE
  #sum = 0

  add(ms: number): void {
    const at = ms === 0 ? 0 : boundaries.findIndex((boundary) => ms <= boundary)
    const place = at === -1 ? boundaries.length : at
    this.#counts[place] = (this.#counts[place] ?? 0) + 1
    this.#count += 1
    this.#sum += ms
    if (ms < this.#min) this.#min = ms
    if (ms > this.#max) this.#max = ms
  }

  get(): Metric.HistogramState {
    let below = 0
    const buckets = boundaries.map((boundary, at): [number, number] => {
      below += this.#counts[at] ?? 0
      return [boundary, below]
    })
    return { buckets, count: this.#count, min: this.#min, max: this.#max, sum: this.#sum }
  }
}

/** The pools of one name. */
interface Series {
  readonly pools: Set<() => PoolState.PoolState>
  readonly waits: Waits
}

/** By registry, and there by name and by what else tells series apart. */
const registries = new WeakMap<Metric.MetricRegistry, Map<string, Series>>()

const nothing = () => {}

const register = (runtime: string, context: Context.Context<never>): Series => {
  const series: Series = { pools: new Set(), waits: new Waits() }
  const gauge = (metric: Metric.Gauge<number>, of: (state: PoolState.PoolState) => number) => {
    const get = () => ({ value: [...series.pools].reduce((sum, state) => sum + of(state()), 0) })
    Metric.registerUnsafe(Metric.withAttributes(metric, { runtime }), context, {
      get,
      update: nothing,
      modify: nothing
    })
  }
  gauge(size, ({ slots }) => slots.length)
  gauge(queued, ({ queue }) => queue.size)
  gauge(running, PoolState.running)
  Metric.registerUnsafe(Metric.withAttributes(wait, { runtime }), context, {
    get: () => series.waits.get(),
    update: nothing,
    modify: nothing
  })
  return series
}

const seriesOf = (runtime: string, context: Context.Context<never>): Series => {
  const registry = Context.get(context, Metric.MetricRegistry)
  const known = registries.get(registry) ?? new Map<string, Series>()
  registries.set(registry, known)
  const key = JSON.stringify([runtime, Context.get(context, Metric.CurrentMetricAttributes)])
  const series = known.get(key) ?? register(runtime, context)
  known.set(key, series)
  return series
}

/** The metrics of one pool. */
export interface PoolMetrics {
  /** A call was given to a worker, after so many milliseconds. */
  readonly waited: (ms: number) => void
  readonly busy: (reason: Busy["reason"]) => void
  /** The pool is no more. What was counted stays. */
  readonly end: () => void
}

/** In the registry of the context. */
export const make = (
  runtime: string,
  context: Context.Context<never>,
  state: () => PoolState.PoolState
): PoolMetrics => {
  const { pools, waits } = seriesOf(runtime, context)
  pools.add(state)
  return {
    waited: (ms) => waits.add(ms),
    busy: (reason) => Metric.withAttributes(busy, { runtime, reason }).updateUnsafe(1, context),
    end: () => {
      pools.delete(state)
    }
  }
}
