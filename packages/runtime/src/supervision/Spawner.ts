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
  /** Its resident memory in bytes, where the Spawner can tell. Fails when the process is gone. */
  readonly memory?: Effect.Effect<number, unknown>
  /** Signals the child's whole process group; false when nothing was there to signal. */
  readonly kill: (signal: Signal) => Effect.Effect<boolean>
}

/** What the spawner tells about the output that it captures, line by line (R10). */
export interface OutputSink {
  readonly line: (stream: "stdout" | "stderr", text: string) => void
}

export class Spawner extends Context.Service<
  Spawner,
  {
    /**
     * Starts a child. When the scope closes, what is left of its process group is killed and reaped.
     * `incarnation` and `key` reach the child's environment as `NERVE_INCARNATION` and `NERVE_WORKER_KEY`.
     */
    readonly spawn: (
      spec: WorkerSpec,
      options: {
        readonly key: string
        readonly incarnation: number
        readonly output: OutputSink
      }
    ) => Effect.Effect<Child, SpawnFailed, Scope>
  }
>()("@nerve/runtime/supervision/Spawner") {}
