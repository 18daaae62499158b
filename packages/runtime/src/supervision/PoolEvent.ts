/**
 * What happens in a pool, as data: the events of its workers, whose key is their slot and whose
 * incarnation is counted over the whole pool, and what the pool does with them.
 */
import type { RecycleReason } from "@nerve/core/supervision/PoolState"
import type { WorkerEvent } from "./WorkerEvent.ts"

export type PoolEvent =
  | WorkerEvent<number>
  /** A healthy worker is due; it serves until `successor` is ready. */
  | {
      readonly _tag: "WorkerRecycling"
      readonly key: number
      readonly incarnation: number
      readonly successor: number
      readonly reason: RecycleReason
    }
  /** The successor would not boot and its policy gave up: the worker goes on, until the next reload. */
  | { readonly _tag: "RecycleAbandoned"; readonly key: number; readonly crashes: number; readonly reason: string }
  | {
      readonly _tag: "CallTimedOut"
      readonly key: number
      readonly incarnation: number
      readonly method: string
      readonly timeoutMs: number
    }
  /** The pool has this many slots now. */
  | { readonly _tag: "PoolResized"; readonly size: number }
