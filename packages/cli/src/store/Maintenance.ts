/**
 * Maintenance of the log: by the daemon, which owns it, or, when none runs, by this process under the
 * daemon's lock, so that none can start meanwhile. The code for the file is loaded only then.
 */
import type {
  ArchiveReport,
  RebuildReport,
  StoreStats,
  VacuumReport,
  VerifyReport
} from "@nerve/core/wire/StoreReports"
import { type ArchiveRequest, StoreUnavailable } from "@nerve/core/wire/StoreRpcs"
import * as ControlClient from "@nerve/node/control/ControlClient"
import type { Workspace } from "@nerve/node/daemon/Workspace"
import * as Effect from "effect/Effect"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import { existsSync } from "node:fs"

type Answer<A> = Effect.Effect<A, StoreUnavailable | RpcClientError>

export interface Maintenance {
  readonly archive: (request: ArchiveRequest) => Answer<ArchiveReport>
  readonly verify: Answer<VerifyReport>
  readonly rebuild: Answer<RebuildReport>
  readonly vacuum: Answer<VacuumReport>
  readonly stats: Answer<StoreStats>
}

const ofClient = (client: ControlClient.ControlClient): Maintenance => ({
  archive: (request) => client.ArchiveStore(request),
  verify: client.VerifyStore(),
  rebuild: client.RebuildStore(),
  vacuum: client.VacuumStore(),
  stats: client.GetStoreStats()
})

const useFile = <A, E, R>(workspace: Workspace, f: (maintenance: Maintenance) => Effect.Effect<A, E, R>) =>
  existsSync(workspace.logFile)
    ? Effect.flatMap(
        Effect.promise(() => import("./FileMaintenance.ts")),
        (module) => module.use(workspace, f)
      )
    : Effect.fail(
        new StoreUnavailable({ message: `there is no log yet: ${workspace.logFile} is created by the daemon` })
      )

/** Hands the maintenance of the workspace's log to `f`. */
export const use = <A, E, R>(workspace: Workspace, f: (maintenance: Maintenance) => Effect.Effect<A, E, R>) =>
  Effect.catchIf(
    ControlClient.use(workspace, (client) => f(ofClient(client))),
    // One that lives and does not listen holds the lock.
    (error): error is ControlClient.DaemonNotRunning =>
      error instanceof ControlClient.DaemonNotRunning && error.pid === null,
    () => useFile(workspace, f)
  )
