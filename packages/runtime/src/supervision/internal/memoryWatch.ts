/**
 * Looks at the memory of one incarnation, at intervals, and tells when it is above a limit. What becomes of
 * the worker is not its business.
 */
import * as ByteSize from "effect/ByteSize"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Child } from "../Spawner.ts"

/** As `WorkerRuntime` and `WorkerPool` take it. */
export interface Options {
  /** Resident memory above which a worker is replaced when it has ended its calls, such as `"512 MiB"`. */
  readonly memoryLimit?: ByteSize.Input | undefined
  /** Resident memory above which a worker is killed. */
  readonly memoryHardLimit?: ByteSize.Input | undefined
  /** Resident memory of a process in bytes, in place of what the Spawner tells; `ProcessMemory.rss` on Node. */
  readonly rss?: ((pid: number) => Effect.Effect<number, unknown>) | undefined
  /** How often memory is looked at; 5 seconds unless told. */
  readonly rssEvery?: Duration.Input | undefined
}

export interface Limits {
  /** `Infinity` where there is none. */
  readonly softBytes: number
  readonly hardBytes: number
  readonly everyMs: number
  readonly rss: ((pid: number) => Effect.Effect<number, unknown>) | undefined
}

const bytesOf = (input: ByteSize.Input | undefined): number =>
  input === undefined ? Infinity : ByteSize.toNumberUnsafe(ByteSize.fromInputUnsafe(input))

/** Undefined when no limit is set: nobody looks. */
export const limitsOf = (options: Options): Limits | undefined =>
  options.memoryLimit === undefined && options.memoryHardLimit === undefined
    ? undefined
    : {
        softBytes: bytesOf(options.memoryLimit),
        hardBytes: bytesOf(options.memoryHardLimit),
        everyMs: Math.max(1, Duration.toMillis(Duration.fromInputUnsafe(options.rssEvery ?? "5 seconds"))),
        rss: options.rss
      }

export interface Host {
  readonly limits: Limits
  /** Resident memory in bytes, or a failure when it cannot be told now. */
  readonly read: Effect.Effect<number, unknown>
  /** Above the hard limit, or else above the soft one; told at each look for as long as it is. */
  readonly high: (limit: "soft" | "hard", bytes: number) => Effect.Effect<void>
}

/** What was given to look, else what the Spawner can tell, else what the worker told of itself, if it did. */
export const readOf = (
  limits: Limits,
  child: Pick<Child, "pid" | "memory">,
  told: () => number | null
): Effect.Effect<number, unknown> => {
  const byItself = Effect.suspend(() => {
    const bytes = told()
    return bytes === null ? Effect.fail("it does not tell") : Effect.succeed(bytes)
  })
  const looked = Effect.suspend(() => limits.rss?.(child.pid) ?? child.memory ?? byItself)
  return Effect.catch(looked, () => byItself)
}

/** Looks until it is interrupted. */
export const watch = ({ high, limits, read }: Host): Effect.Effect<never> => {
  const look = Effect.flatMap(read, (bytes) =>
    bytes > limits.hardBytes ? high("hard", bytes) : bytes > limits.softBytes ? high("soft", bytes) : Effect.void
  )
  // One whose memory cannot be read is going, or somebody else's to judge.
  return Effect.forever(Effect.andThen(Effect.sleep(limits.everyMs), Effect.ignoreCause(look)))
}
