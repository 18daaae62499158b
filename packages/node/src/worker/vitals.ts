/**
 * What a worker on Node tells of itself at a heartbeat: how long its event loop was held up since the one
 * before, and its resident memory. A timer is late by as long as the loop was held up; it runs only where
 * somebody asks.
 */
import type { Vitals } from "@nerve/core/wire/Frame"
import { monotonicMs } from "../ipc/monotonicMs.ts"

/** Between two looks at the clock: often enough to see what a user would notice, cheap in a worker that idles. */
const everyMs = 500

/** Measures from the first call on; what the loop was held up before that is not known. */
export const make = (): (() => Vitals) => {
  let due: number | undefined
  let worst = 0

  const late = () => (due === undefined ? 0 : Math.max(0, monotonicMs() - due))
  const look = () => {
    worst = Math.max(worst, late())
    due = monotonicMs() + everyMs
  }

  return () => {
    // A ping that waited behind a stuck loop is read before the timer that was due meanwhile.
    const delayMs = Math.max(worst, late())
    if (due === undefined) {
      look()
      setInterval(look, everyMs).unref()
    }
    worst = 0
    return { delayMs: Math.round(delayMs), memory: process.memoryUsage.rss() }
  }
}
