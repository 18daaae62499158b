/**
 * What all workers of this process amount to, as metrics: few series, none per key. `runtime` is the name
 * that a `WorkerRuntime` or a `WorkerPool` was given.
 */
import type { ExitCause } from "@nerve/core/domain/WorkerExit"
import type { WorkerStateName } from "@nerve/core/wire/ControlRpcs"
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"

/** Keys by the state of their worker (`nerve_workers{runtime,state}`). */
const workers = Metric.gauge("nerve_workers", { description: "Workers by state" })

/** `nerve_worker_exits_total{runtime,cause}`. */
const exits = Metric.counter("nerve_worker_exits_total", {
  description: "Workers that ended, by cause",
  incremental: true
})

/** `nerve_respawns_total{runtime}`. */
const respawns = Metric.counter("nerve_respawns_total", {
  description: "Respawns that were scheduled after a crash",
  incremental: true
})

/** `nerve_worker_hangs_total{runtime}`. */
const hangs = Metric.counter("nerve_worker_hangs_total", {
  description: "Workers that did not answer the heartbeat and were killed",
  incremental: true
})

/** `nerve_worker_loop_delay_ms{runtime}`. */
const loopDelay = Metric.histogram("nerve_worker_loop_delay_ms", {
  description: "How long the event loop of a worker was held up, at each heartbeat, in milliseconds",
  boundaries: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000]
})

/** `nerve_spares{runtime,state}`: booting, warm. */
const spares = Metric.gauge("nerve_spares", { description: "Spare workers by state" })

/** `nerve_spares_used_total{runtime}`. */
const sparesUsed = Metric.counter("nerve_spares_used_total", {
  description: "Starts that took a spare",
  incremental: true
})

/** `nerve_spare_deaths_total{runtime}`. */
const spareDeaths = Metric.counter("nerve_spare_deaths_total", {
  description: "Spares that died before they were needed",
  incremental: true
})

/** The metrics of one runtime. */
export interface WorkerMetrics {
  readonly state: (from: WorkerStateName | null, to: WorkerStateName | null) => void
  readonly exited: (cause: ExitCause) => void
  readonly respawn: () => void
  readonly hung: () => void
  readonly loopDelayMs: (delayMs: number) => void
  /** How many boot and how many wait, now. */
  readonly spares: (booting: number, warm: number) => void
  readonly spareUsed: () => void
  readonly spareDied: () => void
}

/** Metrics that are told under the name of a runtime, in the registry of the context. */
export const make = (runtime: string, context: Context.Context<never>): WorkerMetrics => {
  const of = <Input, State>(metric: Metric.Metric<Input, State>, tags: Readonly<Record<string, string>> = {}) =>
    Metric.withAttributes(metric, { runtime, ...tags })
  const shift = (state: WorkerStateName | null, by: number) => {
    if (state !== null) of(workers, { state }).modifyUnsafe(by, context)
  }
  let known = { booting: 0, warm: 0 }
  const [respawned, hung, delay] = [of(respawns), of(hangs), of(loopDelay)]
  return {
    state: (from, to) => {
      shift(from, -1)
      shift(to, 1)
    },
    exited: (cause) => of(exits, { cause }).updateUnsafe(1, context),
    respawn: () => respawned.updateUnsafe(1, context),
    hung: () => hung.updateUnsafe(1, context),
    loopDelayMs: (delayMs) => delay.updateUnsafe(delayMs, context),
    spares: (booting, warm) => {
      of(spares, { state: "booting" }).modifyUnsafe(booting - known.booting, context)
      of(spares, { state: "warm" }).modifyUnsafe(warm - known.warm, context)
      known = { booting, warm }
    },
    spareUsed: () => of(sparesUsed).updateUnsafe(1, context),
    spareDied: () => of(spareDeaths).updateUnsafe(1, context)
  }
}
