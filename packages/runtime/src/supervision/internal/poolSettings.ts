/**
 * Settings of a pool as its decisions take them: a range of sizes, whole numbers, milliseconds.
 */
import type * as PoolState from "@nerve/core/supervision/PoolState"
import type { StopPolicy } from "@nerve/core/supervision/StopPolicy"
import * as Duration from "effect/Duration"
import type { PoolSettings } from "../WorkerPool.ts"

export type Size = number | { readonly minimum: number; readonly maximum: number }

/** Settings whose size is known. */
type Sized = PoolSettings & { readonly size: Size }

export const rangeOf = (size: Size) => {
  const { maximum, minimum } = typeof size === "number" ? { minimum: size, maximum: size } : size
  const least = Math.max(0, Math.floor(minimum))
  return { minimum: least, maximum: Math.max(1, least, Math.floor(maximum)) }
}

export const millis = (input: Duration.Input | undefined, otherwise: number): number =>
  input === undefined ? otherwise : Duration.toMillis(Duration.fromInputUnsafe(input))

/** What is decided by. */
export const of = (options: Sized, stop: StopPolicy): PoolState.Settings => ({
  ...rangeOf(options.size),
  queue: options.queue ?? 1024,
  concurrency: Math.max(1, options.concurrencyPerWorker ?? 1),
  maxJobs: options.maxJobs ?? 0,
  ttlMs: millis(options.ttl, Infinity),
  growAfterMs: millis(options.growAfter, 50),
  idleMs: millis(options.idleTimeout, 60_000),
  cancelMs: millis(options.cancelTimeout, 1000),
  drainMs: stop.drainMs
})

/** The bounds that a call or a boot has unless told otherwise. */
export interface Bounds {
  readonly execMs: number
  readonly waitMs: number
  readonly bootMs: number
}

export const bounds = (options: PoolSettings): Bounds => ({
  execMs: millis(options.execTimeout, Infinity),
  waitMs: millis(options.waitTimeout, Infinity),
  bootMs: millis(options.bootTimeout, 10_000)
})
