/**
 * How the worker of a sense group is started: its process has a limit to its heap, so that a sense that takes
 * all memory there is takes it from nobody else. V8's own limit is some gigabytes.
 */
import type { WorkerSpec } from "@nerve/runtime/supervision/WorkerSpec"
import type * as Schema from "effect/Schema"
import * as NodeCommand from "../worker/NodeCommand.ts"

/** Megabytes, unless the daemon's environment has `NERVE_SENSE_HEAP_MB`. */
export const defaultHeapMb = 512

/** `root`: the workspace. */
export const senseWorkerSpec = (root: string, init?: Schema.Json): WorkerSpec => {
  const wanted = Number(process.env["NERVE_SENSE_HEAP_MB"])
  return NodeCommand.entrySpec("senseWorker", {
    cwd: root,
    heapSizeMb: Number.isInteger(wanted) && wanted > 0 ? wanted : defaultHeapMb,
    ...(init === undefined ? {} : { init })
  })
}
