/**
 * Maintenance of the workspace's log file by this process, under the daemon's lock. A module of its own,
 * because it loads SQLite.
 */
import { StoreUnavailable } from "@nerve/core/wire/StoreRpcs"
import * as DaemonLock from "@nerve/node/daemon/DaemonLock"
import type { Workspace } from "@nerve/node/daemon/Workspace"
import * as WorkspaceConfig from "@nerve/node/daemon/WorkspaceConfig"
import * as LogStoreSqlite from "@nerve/node/sqlite/LogStoreSqlite"
import type { LogStoreError } from "@nerve/runtime/log/LogStore"
import { StoreMaintenance } from "@nerve/runtime/log/StoreMaintenance"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { version } from "../version.ts"
import type { Maintenance } from "./Maintenance.ts"

const unavailable = (error: LogStoreError | LogStoreSqlite.StoreOpenFailed): StoreUnavailable =>
  new StoreUnavailable({ message: error.message })

/** What nerve.yaml says of the log. A broken one is an error: it may say what must be kept. */
const policyOf = (workspace: Workspace) =>
  Effect.flatMap(
    Effect.mapError(WorkspaceConfig.check(workspace), (error) => new StoreUnavailable({ message: error.message })),
    (checked) =>
      checked._tag === "Valid"
        ? Effect.succeed(checked.config.log)
        : Effect.fail(
            new StoreUnavailable({ message: "nerve.yaml is broken, and may say what is kept: see nerve validate" })
          )
  )

export const use = <A, E, R>(workspace: Workspace, f: (maintenance: Maintenance) => Effect.Effect<A, E, R>) =>
  Effect.scoped(
    Effect.gen(function* () {
      yield* DaemonLock.acquire(workspace, { version })
      const opened = yield* Effect.mapError(Layer.build(LogStoreSqlite.layerWithTicks(workspace.logFile)), unavailable)
      const maintenance = Context.get(opened, StoreMaintenance)
      return yield* f({
        archive: Effect.fnUntraced(function* ({ archiveAfterMs, keepMs }) {
          const policy = yield* policyOf(workspace)
          return yield* Effect.mapError(
            maintenance.archive({
              archiveAfter: archiveAfterMs ?? policy.archiveAfter,
              keep: keepMs ?? policy.keep
            }),
            unavailable
          )
        }),
        verify: Effect.mapError(maintenance.verify, unavailable),
        rebuild: Effect.mapError(maintenance.rebuild, unavailable),
        vacuum: Effect.mapError(maintenance.vacuum, unavailable),
        stats: Effect.mapError(maintenance.stats, unavailable)
      })
    })
  )
