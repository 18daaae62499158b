/**
 * Whether somebody has asked that nothing of a workflow is started. Durable: entries of source `kernel` about
 * the workflow say so.
 */
import type { WorkflowName } from "@nerve/core/domain/Ids"
import type { LogInput } from "@nerve/core/domain/LogEntry"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { LogStore, LogStoreError } from "../../log/LogStore.ts"

export interface Options {
  readonly workflow: WorkflowName
  readonly store: LogStore["Service"]
  /** Runs with the lane to itself. */
  readonly locked: <A, E>(change: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Told that nothing is started any more. */
  readonly held: () => void
  /** Starts whoever may start now; only under the lock. */
  readonly released: Effect.Effect<unknown, LogStoreError>
}

export interface LaneHold {
  /** Why nothing is started; undefined when nobody asked for that. */
  readonly reason: () => string | undefined
  /** Takes over what the log says; only under the lock. */
  readonly recover: Effect.Effect<void, LogStoreError>
  /** Whoever is active goes on. Whether that is new. */
  readonly hold: (reason: string) => Effect.Effect<boolean, LogStoreError>
  /** Whether there was anything to release. */
  readonly release: Effect.Effect<boolean, LogStoreError>
}

export const make = ({ held, locked, released, store, workflow }: Options): LaneHold => {
  let why: string | undefined

  const recover = Effect.gen(function* () {
    const [latest] = yield* store.query({
      source: "kernel",
      refId: workflow,
      order: "desc",
      limit: 1,
      archived: false
    })
    if (latest?.type === PAUSED) why = reasonOf(latest.payload)
  })

  const hold = (reason: string) =>
    locked(
      Effect.gen(function* () {
        const isNew = why === undefined
        if (why !== reason) yield* store.append(entry(PAUSED, workflow, reason))
        why = reason
        held()
        return isNew
      })
    )

  const release = locked(
    Effect.gen(function* () {
      if (why === undefined) return false
      const before = why
      yield* store.append(entry(RESUMED, workflow, ""))
      why = undefined
      yield* Effect.onError(released, () => Effect.sync(() => (why = before)))
      return true
    })
  )

  return { reason: () => why, recover, hold, release }
}

/** Types of the entries. */
const PAUSED = "workflow-paused"
const RESUMED = "workflow-resumed"

/** Says whether a workflow is paused. */
const entry = (type: string, workflow: WorkflowName, reason: string): LogInput => ({
  source: "kernel",
  type,
  refId: workflow,
  payload: { reason }
})

/** Why, as such an entry says. */
const reasonOf = (payload: Schema.Json): string =>
  typeof payload === "object" && payload !== null && "reason" in payload && typeof payload.reason === "string"
    ? payload.reason
    : ""
