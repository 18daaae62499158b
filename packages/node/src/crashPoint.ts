/**
 * For tests only: the process kills itself at a named moment, where `NERVE_CRASH_AT=NAME` (or `NAME:3`, the
 * third time) is in its environment. A worker takes its daemon along. It imports nothing, so that threads
 * can have it as well.
 */
const [wanted, nth = "1"] = (process.env["NERVE_CRASH_AT"] ?? "").split(":")

let left = Number(nth)

/** Whether any moment is named. */
export const isArmed = wanted !== ""

/** The moment has come; returns unless it is the one. */
export const crashAt = (name: string): void => {
  if (name !== wanted || --left > 0) return
  if (process.env["NERVE_DAEMON_ID"] !== undefined) process.kill(process.ppid, "SIGKILL")
  process.kill(process.pid, "SIGKILL")
}
