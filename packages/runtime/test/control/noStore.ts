/** Handlers of a daemon whose log nobody can maintain. */
import { StoreUnavailable } from "@nerve/core/wire/StoreRpcs"
import { Effect } from "effect"

const refuse = () => Effect.fail(new StoreUnavailable({ message: "there is no log here" }))

export const noStore = {
  ArchiveStore: refuse,
  VerifyStore: refuse,
  RebuildStore: refuse,
  VacuumStore: refuse,
  GetStoreStats: refuse
}
