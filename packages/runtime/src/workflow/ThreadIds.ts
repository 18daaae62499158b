/**
 * Ids for new threads: `WORKFLOW-TIME-RANDOM`, such as `investigate-load-mf3k2x1a-7c2k`. Short enough
 * to type, sorted by time within a workflow, unique within a workspace.
 */
import { ThreadId, type WorkflowName } from "@nerve/core/domain/Ids"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** Base 36 holds the milliseconds of the Unix epoch in 8 digits until the year 2059. */
const timeDigits = 8

const randomDigits = 4

/**
 * A generator. Its times strictly increase, also within one millisecond and when the clock is set
 * back; the random part keeps two daemons of one workspace, one after the other, apart.
 */
export const make: Effect.Effect<(workflow: WorkflowName) => Effect.Effect<ThreadId>> = Effect.sync(() => {
  let last = -1
  return Effect.fnUntraced(function* (workflow) {
    last = Math.max(yield* Clock.currentTimeMillis, last + 1)
    const random = yield* Random.nextIntBetween(0, 36 ** randomDigits)
    return ThreadId.make(`${workflow}-${digits(last, timeDigits)}-${digits(random, randomDigits)}`)
  })
})

const digits = (value: number, length: number): string => value.toString(36).padStart(length, "0")
