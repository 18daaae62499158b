/**
 * What happens to workers, as data. Every exit is among it (R11).
 */
import type { ExitCause, WorkerExit } from "@nerve/core/domain/WorkerExit"
import type * as Schema from "effect/Schema"

export type WorkerEvent<K> =
  | { readonly _tag: "WorkerStarting"; readonly key: K; readonly incarnation: number }
  | {
      readonly _tag: "WorkerReady"
      readonly key: K
      readonly incarnation: number
      readonly pid: number
      /** What the worker reported with its `ready`; null if nothing. */
      readonly info: Schema.Json
    }
  | {
      readonly _tag: "WorkerExited"
      readonly key: K
      readonly incarnation: number
      /** Null when the process could not even be spawned. */
      readonly pid: number | null
      readonly exit: WorkerExit
      /** Whether it was asked to go: by evict, drain, shutdown. */
      readonly expected: boolean
      /** What ended it. */
      readonly cause: ExitCause
      /** Why, in words: `exit code 1`, `SIGKILL`, `not ready within 10000 ms`, `drained`. */
      readonly reason: string
      readonly uptimeMs: number
      readonly stderrTail: string
    }
  /** It has not answered for so long; it is killed, and `WorkerExited` follows. */
  | { readonly _tag: "WorkerHung"; readonly key: K; readonly incarnation: number; readonly silentMs: number }
  /** `soft`: it is drained, unless a pool replaces it; `hard`: it is killed, and `WorkerExited` follows. */
  | {
      readonly _tag: "MemoryLimitPassed"
      readonly key: K
      readonly incarnation: number
      readonly limit: "soft" | "hard"
      readonly bytes: number
    }
  | { readonly _tag: "RespawnScheduled"; readonly key: K; readonly delayMs: number; readonly crashes: number }
  | { readonly _tag: "WorkerGivenUp"; readonly key: K; readonly crashes: number; readonly reason: string }
  | {
      readonly _tag: "WorkerOutput"
      readonly key: K
      readonly incarnation: number
      readonly stream: "stdout" | "stderr" | "log"
      readonly line: string
      /** Fields of a structured line; null for a captured one. */
      readonly fields: { readonly [key: string]: Schema.Json } | null
    }
  | { readonly _tag: "ProtocolViolated"; readonly key: K; readonly incarnation: number; readonly detail: string }
