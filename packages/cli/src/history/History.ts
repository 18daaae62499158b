/**
 * Reads what happened: from the daemon, or, when none runs, from the workspace's log file. The code
 * for the file is loaded only then.
 */
import type { LogEntry, LogQuery } from "@nerve/core/domain/LogEntry"
import type { RunStatus, WorkflowRun } from "@nerve/core/domain/Thread"
import type { Tick, TickQuery } from "@nerve/core/domain/Tick"
import {
  type StoreUnavailable,
  type ThreadDetail,
  type UnknownSense,
  type UnknownThread
} from "@nerve/core/wire/ControlRpcs"
import * as ControlClient from "@nerve/node/control/ControlClient"
import type { Workspace } from "@nerve/node/daemon/Workspace"
import * as Effect from "effect/Effect"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import { existsSync } from "node:fs"
import * as Output from "../output/Output.ts"

/** Which threads to list, newest first. */
export interface ThreadQuery {
  readonly workflow?: string
  readonly status?: RunStatus
  readonly phase?: "waiting" | "paused"
  readonly limit?: number
}

/** Which of a thread's rounds to read: at most so many, and so many characters, after a round. */
export interface RoundsQuery {
  readonly afterRound?: number
  readonly limit?: number
  readonly characters?: number
}

/** What can go wrong with reading. The connection's own error is translated by `use`. */
type ReadError = StoreUnavailable | RpcClientError

export interface History {
  readonly query: (query: LogQuery) => Effect.Effect<ReadonlyArray<LogEntry>, ReadError>
  readonly threads: (query: ThreadQuery) => Effect.Effect<ReadonlyArray<WorkflowRun>, ReadError>
  readonly thread: (threadId: string, page?: RoundsQuery) => Effect.Effect<ThreadDetail, UnknownThread | ReadError>
  readonly ticks: (query: TickQuery) => Effect.Effect<ReadonlyArray<Tick>, UnknownSense | ReadError>
}

/** The daemon's. */
export const ofClient = (client: ControlClient.ControlClient): History => ({
  query: (query) => client.QueryLogs(query),
  threads: (query) => client.ListThreads(query),
  thread: (threadId, page = {}) => client.ShowThread({ threadId, ...page }),
  ticks: (query) => client.ListTicks(query)
})

/** The log file's, for when no daemon answers. */
const useFile = <A, E, R>(workspace: Workspace, pid: number | null, f: (history: History) => Effect.Effect<A, E, R>) =>
  Output.note(`${pid === null ? "no daemon runs" : `daemon ${pid} is stopping`}; read from ${workspace.logFile}`).pipe(
    Effect.andThen(Effect.promise(() => import("./FileHistory.ts"))),
    Effect.flatMap((module) => module.use(workspace.logFile, f))
  )

/** What goes wrong with the daemon. */
type DaemonError = ControlClient.DaemonNotRunning | ControlClient.DaemonLost

const useDaemon = <A, E, R>(
  workspace: Workspace,
  f: (history: History) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | DaemonError, R> => ControlClient.use(workspace, (client) => f(ofClient(client)))

/** Hands the history to `f`. Fails with `DaemonNotRunning` when there is neither a daemon nor a log. */
export const use = <A, E, R>(
  workspace: Workspace,
  f: (history: History) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | StoreUnavailable | DaemonError, R> =>
  Effect.catch(useDaemon(workspace, f), (error): Effect.Effect<A, E | StoreUnavailable | DaemonError, R> =>
    error instanceof ControlClient.DaemonNotRunning && existsSync(workspace.logFile)
      ? useFile(workspace, error.pid, f)
      : Effect.fail(error)
  )
