/**
 * One life of a worker, as far as it has come: its process, and what that has said of itself.
 */
import * as Latch from "effect/Latch"
import type * as Schema from "effect/Schema"
import type { Child } from "../Spawner.ts"
import type { Source } from "./outputQueue.ts"
import type * as pulse from "./pulse.ts"

/** The output of an incarnation. While it is paused nothing is heard of it, and that is not its fault. */
export interface OutputSource extends Source {
  readonly isPaused: () => boolean
}

export interface Incarnation {
  readonly number: number
  readonly child: Child
  readonly source: OutputSource
  channelAlive: boolean
  /** Open once it has said `ready`. */
  readonly greeting: Latch.Latch
  greeted: boolean
  /** What it reported with its `ready`. */
  info: Schema.Json
  /** Told of its signs of life, once it is ready, where it answers pings. */
  pulse: pulse.Pulse | undefined
  loopDelayMs: number | null
  memoryBytes: number | null
}

/** One that has just been spawned. `mayPause`: whether it may be left unread while its output has no reader. */
export const make = (number: number, child: Child, mayPause: () => boolean): Incarnation => ({
  number,
  child,
  source: sourceOf(child, mayPause),
  channelAlive: true,
  greeting: Latch.makeUnsafe(false),
  greeted: false,
  info: null,
  pulse: undefined,
  loopDelayMs: null,
  memoryBytes: null
})

const sourceOf = ({ reading }: Child, mayPause: () => boolean): OutputSource => {
  let isPaused = false
  return {
    isPaused: () => isPaused,
    pauseUnsafe: () => {
      if (reading === undefined || !mayPause()) return
      isPaused = true
      reading.pauseUnsafe()
    },
    resumeUnsafe: () => {
      isPaused = false
      reading?.resumeUnsafe()
    }
  }
}
