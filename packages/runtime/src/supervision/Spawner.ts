/**
 * The port through which nerve starts processes. It knows nothing of policies, time or restarts: it
 * starts one child, hands over its channel, and tells how it ended. `@nerve/node` implements it by
 * child processes, `testing/FakeSpawner` by Effect programs.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import type { WorkerExit } from "@nerve/core/domain/WorkerExit"
import type { Channel } from "../ipc/Channel.ts"
import type { WorkerSpec } from "./WorkerSpec.ts"

/** The process could not be started: no such executable, no memory, no descriptors left. */
export class SpawnFailed extends Schema.TaggedError<SpawnFailed>()("SpawnFailed", {
  message: Schema.String,
  cause: Schema.Defect()
}) {}

/** Signals that the stop ladder uses. */
export type Signal = "SIGTERM" | "SIGKILL" | "SIGSTOP" | "SIGCONT"

/** One running child. */
export interface Child {
  readonly pid: number
  /** The framed channel to it. */
  readonly channel: Channel
  /** Waits for the process to be reaped and its output read to the end. Any number may wait. */
  readonly exit: Effect.Effect<WorkerExit>
  /**
   * Stops and goes on reading all that it sends and prints, where the Spawner can. What is in the pipe when it exits is
   * read all the same.
   */
  readonly reading?: { readonly pauseUnsafe: () => void; readonly resumeUnsafe: () => void }
  /** Its resident memory in bytes, where the Spawner can tell. Fails when the process is gone. */
  readonly memory?: Effect.Effect<number, unknown>
  /** Signals the child's whole process group; false when nothing was there to signal. */
  readonly kill: (signal: Signal) => Effect.Effect<boolean>
}

/** What the spawner tells about the output that it captures, line by line (R10). */
export interface OutputSink {
  readonly line: (stream: "stdout" | "stderr", text: string) => void
}

/** Who is to be spawned. */
export interface SpawnContext {
  readonly key: string
  readonly incarnation: number
  readonly output: OutputSink
}

/** A booted process without a key, that becomes a worker by a message. */
export interface Spare {
  readonly pid: number
  /** Waits until it has booted. */
  readonly warm: Effect.Effect<void>
  /** Waits for its exit, also after it was assigned. */
  readonly exit: Effect.Effect<WorkerExit>
  /** Makes it the worker of `spec`. Fails when it cannot be: it is to be closed then, and another one taken. */
  readonly assign: (spec: WorkerSpec, context: SpawnContext) => Effect.Effect<Child, SpawnFailed>
}

/** Of which kind spares are. */
export interface SpareProfile {
  /** As in `NodeLimits`. */
  readonly heapSizeMb?: number | undefined
  /** URL of the module that they are to run, where it is one that is started as it is: a bundle. */
  readonly module?: string | undefined
}

/** How spares are made. What is said here cannot be changed when one is assigned. */
export interface Spares {
  /** Starts one. When the scope closes, what is left of its process group is killed and reaped, assigned or not. */
  readonly spawn: (profile: SpareProfile, output: OutputSink) => Effect.Effect<Spare, SpawnFailed, Scope>
  /** Whether such a spare can become this worker, and be no different from one that was started for it. */
  readonly fits: (spec: WorkerSpec, profile: SpareProfile) => boolean
}

export class Spawner extends Context.Service<
  Spawner,
  {
    /**
     * Starts a child. When the scope closes, what is left of its process group is killed and reaped.
     * `incarnation` and `key` reach the child's environment as `NERVE_INCARNATION` and `NERVE_WORKER_KEY`.
     */
    readonly spawn: (spec: WorkerSpec, options: SpawnContext) => Effect.Effect<Child, SpawnFailed, Scope>
    /** Undefined where there are none. */
    readonly spares?: Spares
  }
>()("@nerve/runtime/supervision/Spawner") {}
