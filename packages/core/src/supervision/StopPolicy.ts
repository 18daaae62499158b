/**
 * The stop ladder: ask politely, wait, SIGTERM, wait, SIGKILL, wait for the exit (R9). Pure.
 */
import * as Duration from "effect/Duration"

/** Bounds of the steps, in milliseconds. */
export interface StopPolicy {
  /** For what is in flight to finish, when draining, before the ladder begins. */
  readonly drainMs: number
  /** After the polite shutdown message. 0 skips the step. */
  readonly politeMs: number
  /** After SIGTERM. 0 skips the step. */
  readonly termMs: number
}

export const make = (
  options: {
    readonly drain?: Duration.Input
    readonly polite?: Duration.Input
    readonly term?: Duration.Input
  } = {}
): StopPolicy => ({
  drainMs: Duration.toMillis(Duration.fromInputUnsafe(options.drain ?? "30 seconds")),
  politeMs: Duration.toMillis(Duration.fromInputUnsafe(options.polite ?? "5 seconds")),
  termMs: Duration.toMillis(Duration.fromInputUnsafe(options.term ?? "2 seconds"))
})

/** 30 s to finish what is in flight, 5 s for the polite step, 2 s after SIGTERM, then SIGKILL. */
export const standard: StopPolicy = make()

/** SIGKILL at once. */
export const kill: StopPolicy = { drainMs: 0, politeMs: 0, termMs: 0 }

/** Whether `a`'s ladder ends sooner than `b`'s. */
export const isShorter = (a: StopPolicy, b: StopPolicy): boolean => a.politeMs + a.termMs < b.politeMs + b.termMs

export type Step =
  | { readonly _tag: "Ask"; readonly waitMs: number }
  | { readonly _tag: "Terminate"; readonly waitMs: number }
  | { readonly _tag: "Kill" }

/** The steps to take in order; a dead channel cannot be asked. */
export const steps = (policy: StopPolicy, channelAlive: boolean): ReadonlyArray<Step> => [
  ...(channelAlive && policy.politeMs > 0 ? [{ _tag: "Ask", waitMs: policy.politeMs } as const] : []),
  ...(policy.termMs > 0 ? [{ _tag: "Terminate", waitMs: policy.termMs } as const] : []),
  { _tag: "Kill" }
]
