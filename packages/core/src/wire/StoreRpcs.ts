/**
 * Maintenance of the log, as the command line and the HTTP API ask for it. Wire contract: no runtime
 * import here.
 */
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import { ArchiveReport, RebuildReport, StoreStats, VacuumReport, VerifyReport } from "./StoreReports.ts"

/** The log could not be read or written; `message` says why. */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>()("StoreUnavailable", {
  message: Schema.String
}) {}

/** A span in milliseconds. */
const Span = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** What is cold and what too old; absent: as the configuration says. */
export const ArchiveRequest = Schema.Struct({
  archiveAfterMs: Schema.optionalKey(Span),
  keepMs: Schema.optionalKey(Span)
})
export type ArchiveRequest = typeof ArchiveRequest.Type

export const ArchiveStore = Rpc.make("ArchiveStore", {
  payload: ArchiveRequest,
  success: ArchiveReport,
  error: StoreUnavailable
})
export const VerifyStore = Rpc.make("VerifyStore", { success: VerifyReport, error: StoreUnavailable })
export const RebuildStore = Rpc.make("RebuildStore", { success: RebuildReport, error: StoreUnavailable })
export const VacuumStore = Rpc.make("VacuumStore", { success: VacuumReport, error: StoreUnavailable })
export const GetStoreStats = Rpc.make("GetStoreStats", { success: StoreStats, error: StoreUnavailable })
