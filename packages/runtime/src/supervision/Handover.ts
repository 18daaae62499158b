/**
 * What one incarnation of a worker is told of itself and of the one before (L5), as a value and as the
 * environment variables that processes and threads are started with.
 */
import * as SecureRandom from "effect/crypto/SecureRandom"

/** What an incarnation is told of itself and of the one before (L5). */
export interface Handover {
  readonly id: string
  /** The same for all incarnations of a worker, until it is removed. */
  readonly resumeId: string
  /** From 1. */
  readonly incarnation: number
  /** How the incarnation before ended: its exit code or its signal. Null for the first one. */
  readonly previousExit: string | null
}

/** The handover as environment variables; processes and threads are started with them. */
export const handoverEnvironment = (handover: Handover): Readonly<Record<string, string>> => ({
  NERVE_RESUME_ID: handover.resumeId,
  ...(handover.previousExit === null ? {} : { NERVE_PREV_EXIT: handover.previousExit })
})

/** A resume id that nobody has. */
export const newResumeId = (): string => SecureRandom.uuidV4Unsafe()
