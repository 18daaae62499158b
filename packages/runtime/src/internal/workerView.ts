/** A worker as people are shown it. */
import type { WorkerView } from "@nerve/core/wire/ControlRpcs"

/** Of what is known of a worker, what is shown. */
export const workerView = (key: string, { crashes, incarnation, pid, state }: Omit<WorkerView, "key">): WorkerView => ({
  key,
  state,
  pid,
  incarnation,
  crashes
})
