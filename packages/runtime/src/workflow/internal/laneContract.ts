/**
 * What a lane is to the manager: one workflow's threads, and what may be asked of them.
 */
import type { OnChange, WorkflowConfig } from "@nerve/core/config/NerveConfig"
import type { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import type { LogInput } from "@nerve/core/domain/LogEntry"
import type { RoundRecorded, RunOpened } from "@nerve/core/domain/RunProjection"
import type { RunStatus, ThreadWait, WorkflowRun } from "@nerve/core/domain/Thread"
import type * as StopPolicy from "@nerve/core/supervision/StopPolicy"
import type { WorkflowView } from "@nerve/core/wire/ControlRpcs"
import type { WorkflowWorkerRpcs } from "@nerve/core/wire/WorkflowRpcs"
import type { Situation } from "@nerve/core/workflow/Why"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import type * as Scope from "effect/Scope"
import type { LogStore, LogStoreError } from "../../log/LogStore.ts"
import type { WorkerEvent } from "../../supervision/WorkerEvent.ts"
import type { WorkerRuntime } from "../../supervision/WorkerRuntime.ts"
import type { Threads } from "../ThreadHost.ts"
import type { ThreadOutcome } from "../ThreadLoop.ts"

/** The runtime of all workflows' workers. */
export type WorkflowRuntime = WorkerRuntime<WorkflowName, RpcGroup.Rpcs<typeof WorkflowWorkerRpcs>>

export interface Options {
  readonly config: WorkflowConfig
  readonly store: LogStore["Service"]
  readonly runtime: WorkflowRuntime
  readonly threads: Threads
  /** How long a killed thread's role has to stop before its worker is killed. */
  readonly killBound: Duration.Duration
  /** The bounds of a drain. */
  readonly stop: StopPolicy.StopPolicy
  /** Told after each change of who runs and who waits. */
  readonly changed: () => void
  readonly closed: () => boolean
  /** Told that a thread waits, once that is in the log and its slot is free. */
  readonly waits: (threadId: ThreadId, wait: ThreadWait) => Effect.Effect<void>
  /** Told that a thread that waited has been ended meanwhile. */
  readonly withdrawn: (threadId: ThreadId, wait: ThreadWait) => Effect.Effect<void>
  /** Owns what must go on when its caller goes away: kills and drains. */
  readonly scope: Scope.Scope
}

/** A run that an earlier daemon left active, and what was asked for. */
export interface Leftover {
  readonly run: WorkflowRun
  readonly opened: RunOpened
}

/** How a thread is ended from outside. */
export interface End {
  readonly status: "killed" | "interrupted" | "failed"
  readonly exitCode: number
  readonly reason: string
}

/** What became of a newcomer. */
export interface Admitted {
  readonly threadId: ThreadId
  readonly status: RunStatus
  /** It was there already, by its key. */
  readonly existing?: boolean
}

/** Why a thread is not in the state that was asked for; undefined when it is. */
export type Refusal = "unknown" | "ending" | "paused" | "not-paused" | undefined

export interface Lane {
  /**
   * What became of the newcomer; undefined when the workflow has been removed meanwhile. `copied` are
   * rounds that it begins with, recorded together with it.
   */
  readonly admit: (
    threadId: ThreadId,
    opened: RunOpened,
    copied?: ReadonlyArray<LogInput>
  ) => Effect.Effect<Admitted | undefined, LogStoreError>
  /** A thread's loop has ended. */
  readonly over: (threadId: ThreadId, outcome: ThreadOutcome) => Effect.Effect<void>
  /** Records its end and has it stopped; whether there was anything to end. Does not wait for the stop. */
  readonly end: (threadId: ThreadId, end: End) => Effect.Effect<boolean, LogStoreError>
  /** Whether this ended it; answers when it has stopped. */
  readonly kill: (threadId: ThreadId, end: End) => Effect.Effect<boolean, LogStoreError>
  readonly pause: (threadId: ThreadId, reason: string) => Effect.Effect<Refusal, LogStoreError>
  readonly resume: (threadId: ThreadId, newCode: boolean) => Effect.Effect<Refusal, LogStoreError>
  /** Takes up a thread that had ended; false when it is here already, or the workflow has been removed. */
  readonly retry: (threadId: ThreadId, opened: RunOpened) => Effect.Effect<boolean, LogStoreError>
  /** Records the round that a thread waits for; false when it does not wait for it any more. */
  readonly settle: (threadId: ThreadId, round: number, recorded: RoundRecorded) => Effect.Effect<boolean, LogStoreError>
  /** What a thread waits for, once changes that are under way are made. */
  readonly waitOf: (threadId: ThreadId) => Effect.Effect<ThreadWait | undefined>
  /** Whether a thread is to hold still before its next round. */
  readonly halted: (threadId: ThreadId) => boolean
  /** Done when the thread has ended; at once when it is not here. */
  readonly gone: (threadId: ThreadId) => Effect.Effect<void>
  readonly recover: (leftovers: ReadonlyArray<Leftover>) => Effect.Effect<void, LogStoreError>
  readonly configure: (config: WorkflowConfig) => Effect.Effect<void>
  readonly remove: Effect.Effect<void>
  readonly drainAndRespawn: Effect.Effect<void>
  readonly drainWhenIdle: Effect.Effect<void>
  /** Rounds in flight are finished, the next ones go to a new worker. */
  readonly replaceWorker: Effect.Effect<void>
  /** Does what the config says of threads whose code has changed. */
  readonly codeChanged: Effect.Effect<void>
  readonly reset: Effect.Effect<void>
  /** Starts nothing until resumed; whether that is new. */
  readonly hold: (reason: string) => Effect.Effect<boolean, LogStoreError>
  readonly release: Effect.Effect<boolean, LogStoreError>
  readonly onEvent: (event: WorkerEvent<WorkflowName>) => Effect.Effect<void>
  readonly has: (threadId: ThreadId) => boolean
  readonly isIdle: () => boolean
  readonly onChange: () => OnChange
  readonly budget: () => WorkflowConfig["budget"]
  readonly view: () => WorkflowView
  /** Where a thread is among the others, for an explanation. */
  readonly situation: (threadId: ThreadId) => Situation
}
