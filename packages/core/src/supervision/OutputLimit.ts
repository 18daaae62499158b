/**
 * How many lines of a worker's output go into the log: a worker that prints in a loop must not fill
 * the disk or hold up its neighbours. Pure: a count per second and key.
 */

/** Lines of one worker that are kept per second; what is beyond is counted, and the count is kept. */
export const linesPerSecond = 50

export interface OutputLimit {
  /** Start of the present second, in milliseconds. */
  readonly since: number
  readonly kept: number
  readonly dropped: number
}

export const initial: OutputLimit = { since: 0, kept: 0, dropped: 0 }

export interface Decision {
  readonly limit: OutputLimit
  readonly keep: boolean
  /** Lines that the second before has lost; 0 when none. */
  readonly lost: number
}

/** Whether a line that comes at `now` (milliseconds) is kept. */
export const decide = (limit: OutputLimit, now: number): Decision => {
  // A clock that was set back starts a new second, too: it must not silence the worker until it has caught up.
  if (now - limit.since >= 1000 || now < limit.since) {
    return { limit: { since: now, kept: 1, dropped: 0 }, keep: true, lost: limit.dropped }
  }
  return limit.kept < linesPerSecond
    ? { limit: { ...limit, kept: limit.kept + 1 }, keep: true, lost: 0 }
    : { limit: { ...limit, dropped: limit.dropped + 1 }, keep: false, lost: 0 }
}
