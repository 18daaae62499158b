/**
 * What keeps a log healthy over years: archive, verification, rebuilding of runs, compacting, numbers.
 * `nerve store …` and the daemon's daily round ask for it. One of them runs at a time.
 */
import type {
  ArchiveReport,
  RebuildReport,
  StoreStats,
  VacuumReport,
  VerifyReport
} from "@nerve/core/wire/StoreReports"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Policy } from "./Archive.ts"
import type { LogStoreError } from "./LogStore.ts"

export class StoreMaintenance extends Context.Service<
  StoreMaintenance,
  {
    /** Moves cold days to the archive, removes what is too old, collects blobs nobody needs (D3, D4). */
    readonly archive: (policy: Policy) => Effect.Effect<ArchiveReport, LogStoreError>
    /** Looks at file, chain, archive, blobs and runs. Problems are its result, not an error. */
    readonly verify: Effect.Effect<VerifyReport, LogStoreError>
    /** Computes all runs anew from the log alone. */
    readonly rebuild: Effect.Effect<RebuildReport, LogStoreError>
    /** Gives the space of deleted rows back to the disk. */
    readonly vacuum: Effect.Effect<VacuumReport, LogStoreError>
    readonly stats: Effect.Effect<StoreStats, LogStoreError>
  }
>()("@nerve/runtime/log/StoreMaintenance") {}
