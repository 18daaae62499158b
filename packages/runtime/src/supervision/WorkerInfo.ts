/**
 * What is known of one key's worker, as a value (R2, R10).
 */
import type * as WorkerMachine from "@nerve/core/supervision/WorkerMachine"
import type { WorkerStateName } from "@nerve/core/wire/ControlRpcs"

/** What is known of one key. */
export interface WorkerInfo {
  readonly state: WorkerStateName
  /** Null unless a process lives. */
  readonly pid: number | null
  /** 0 when it was never started. */
  readonly incarnation: number
  /** Crashes since the first start or the last reset. */
  readonly crashes: number
  /** The last 2048 characters of what the present or last incarnation wrote to stderr. */
  readonly stderrTail: string
  /** How long its event loop was held up at the last heartbeat, in milliseconds; null before the first. */
  readonly loopDelayMs: number | null
  /** Its resident memory in bytes, when that was last told or looked at; null before. */
  readonly memoryBytes: number | null
}

/** Of a key that nobody has asked for. */
export const neverStarted: WorkerInfo = {
  state: "stopped",
  pid: null,
  incarnation: 0,
  crashes: 0,
  stderrTail: "",
  loopDelayMs: null,
  memoryBytes: null
}

/** A state as views and metrics name it. */
export const stateName = (state: WorkerMachine.WorkerState): WorkerStateName => {
  switch (state._tag) {
    case "Stopped":
      return "stopped"
    case "Starting":
      return "starting"
    case "Ready":
      return "ready"
    case "Draining":
      return "draining"
    case "Backoff":
      return "backoff"
    case "GivenUp":
      return "given-up"
  }
}
