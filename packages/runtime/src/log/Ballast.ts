/**
 * Room that is kept for the day the disk is full. Then it is given up, and what was kept goes to what must be
 * recorded so that everything can stop in order: rounds and ends of threads, and what the daemon does. What senses say
 * and workers print is refused until there is room again, for it would take all of it within minutes.
 *
 * This is the seam; the file is `@nerve/node/sqlite/BallastFile`.
 */
import type { LogSource } from "@nerve/core/domain/LogEntry"
import type * as Effect from "effect/Effect"
import type { LogStoreError } from "./LogStore.ts"

export interface Ballast {
  /** Whether it was given up. */
  readonly isReleased: () => boolean
  /** Gives it up if the error says that the disk is full; whether there is more room now than before. */
  readonly release: (error: LogStoreError) => Effect.Effect<boolean>
  /** Takes it back if there is room again; whether nothing needs to be refused any more. */
  readonly restore: Effect.Effect<boolean>
}

/** Whether such an entry is what the ballast was kept for. */
export const isEssential = (source: LogSource): boolean => source === "workflow" || source === "kernel"
