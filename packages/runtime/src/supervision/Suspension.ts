/**
 * Suspending and resuming as far as it goes (L8): what was done, and which workers could not take part, by
 * their path from the root.
 */
import * as Effect from "effect/Effect"
import { SuspendFailed, type SuspendFailure } from "./LifecycleError.ts"

/** What came of suspending or resuming. */
export interface Suspension {
  /** Whether the state has changed; a supervisor's does although some of its children's do not. */
  readonly taken: boolean
  /** Empty when all went well. */
  readonly failures: ReadonlyArray<SuspendFailure>
}

/** A failed suspension of one worker. */
export const refused = (id: string, reason: string): Suspension => ({
  taken: false,
  failures: [{ path: [id], reason }]
})

export const taken: Suspension = { taken: true, failures: [] }

/** The suspension as its owner is told of it. */
export const orFail = (
  operation: "suspend" | "resume",
  suspension: Effect.Effect<Suspension>
): Effect.Effect<void, SuspendFailed> =>
  Effect.flatMap(suspension, ({ failures }) =>
    failures.length === 0 ? Effect.void : Effect.fail(new SuspendFailed({ operation, failures }))
  )
