/**
 * The moments between two steps of which the second must not happen without the first. A test puts a
 * death there; otherwise nothing happens at them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

export const BOUNDARIES = [
  /** A large payload is in its blob, its entry not yet in the log. */
  "blob-written",
  /** The day is in its file, its rows still in the log. */
  "day-written",
  /** The watermark has moved and the rows are gone; what did not fit into one transaction may remain. */
  "day-archived",
  /** A day is forgotten by the database, its file still there. */
  "day-forgotten",
  /** The file of a forgotten day is gone, blobs that only it needed are not. */
  "day-removed",
  /** One unneeded blob is gone, others are not. */
  "blob-removed"
] as const
export type Boundary = (typeof BOUNDARIES)[number]

/** What happens at a boundary. */
export const AtBoundary = Context.Reference<(boundary: Boundary) => Effect.Effect<void>>(
  "@nerve/runtime/log/Boundary/AtBoundary",
  { defaultValue: () => () => Effect.void }
)

export const pass = (boundary: Boundary): Effect.Effect<void> =>
  Effect.flatMap(AtBoundary, (atBoundary) => atBoundary(boundary))
