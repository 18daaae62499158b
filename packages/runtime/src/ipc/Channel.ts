/**
 * A two-way channel of frames to one worker incarnation, whatever carries it: a pipe, a socket, two
 * queues in a test. Frames are JSON values; how they are split and capped is the carrier's business.
 *
 * It is callback-shaped on purpose: it carries every message of every call, and a fiber or a queue
 * per frame would halve the throughput.
 */
import type * as Effect from "effect/Effect"

/** Why a channel ended. `Closed`: the other side closed it. `Broken`: it sent what is no frame. */
export type ChannelEnd = { readonly _tag: "Closed" } | { readonly _tag: "Broken"; readonly message: string }

/** What became of a frame. `not-json`: it cannot be written (a bigint, a cycle, nested too deep). */
export type SendResult = "sent" | "too-large" | "not-json" | "ended"

/** Told of a frame, and how many characters it had on its way, where the carrier counts them. */
export type Receive = (frame: unknown, characters?: number) => void

export interface Channel {
  /**
   * Sends a frame. The frames of one tick leave in one write, long ones each by itself and at once. A frame is taken
   * also when the carrier's buffer is full, see `drained`; one that is larger than the carrier's cap, is no JSON, or
   * comes after the end, is not sent. It never throws. `alone`: none is expected to follow soon, so that a carrier may
   * write it without waiting for the end of the tick.
   */
  readonly sendUnsafe: (frame: unknown, alone?: boolean) => SendResult
  /**
   * Writes at once what this tick has gathered, for what must be heard even if the code that runs next
   * hangs or ends the process.
   */
  readonly flushUnsafe: () => void
  /** Done at once while the carrier takes more; else when its buffer has emptied or the channel ended. */
  readonly drained: Effect.Effect<void>
  /** Characters sent so far, where the carrier counts them. */
  readonly sentUnsafe?: () => number
  /** Whether the carrier's buffer is full, so that a sender should wait for `drained`. */
  readonly isFullUnsafe: () => boolean
  /** Sets the one receiver. Frames that came before it was set are delivered to it first, in order. */
  readonly onFrameUnsafe: (receive: Receive) => void
  /** Sets the one listener for the end; called at once if it has ended. */
  readonly onEndUnsafe: (listener: (end: ChannelEnd) => void) => void
  /** Stops and restarts reading: backpressure on the other side. */
  readonly pauseUnsafe: () => void
  readonly resumeUnsafe: () => void
  /** Closes our side after what was sent has been flushed. */
  readonly closeUnsafe: () => void
}
