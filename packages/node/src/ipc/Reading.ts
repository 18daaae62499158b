/**
 * Reads a stream in turns, so that a peer that sends without end does not hold up everybody else: Node reads up to 32
 * times in a row before anyone else has a turn. Its owner may also stop it for as long as it likes.
 */
import type { Readable } from "node:stream"
import { monotonicMs } from "./monotonicMs.ts"

/** What one stream may take, in milliseconds, before the others have their turn. */
const turnMs = 1

export interface Reading {
  readonly pauseUnsafe: () => void
  readonly resumeUnsafe: () => void
}

/** Hands what comes to `take`. */
export const readUnsafe = (stream: Readable, take: (chunk: Buffer) => void): Reading => {
  let isPaused = false
  let spentMs = 0
  const next = () => {
    if (!isPaused) stream.resume()
  }
  stream.on("data", (chunk: Buffer) => {
    const began = monotonicMs()
    take(chunk)
    spentMs += monotonicMs() - began
    if (spentMs < turnMs) return
    spentMs = 0
    stream.pause()
    setImmediate(next)
  })
  return {
    pauseUnsafe: () => {
      isPaused = true
      stream.pause()
    },
    resumeUnsafe: () => {
      isPaused = false
      stream.resume()
    }
  }
}
