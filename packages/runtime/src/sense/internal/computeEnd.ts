/**
 * What a compute came to, as the worker answered or failed to. Pure.
 */
import type { SenseName } from "@nerve/core/domain/Ids"
import type { Problem } from "@nerve/core/domain/Problem"
import type { ComputeOutcome, SenseRpcs } from "@nerve/core/wire/SenseRpcs"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import type { WorkerError } from "../../supervision/WorkerError.ts"
import { boundMs, type Sense } from "./senseState.ts"

export type SenseRpc = RpcGroup.Rpcs<typeof SenseRpcs>
export type ComputeExit = Exit.Exit<ComputeOutcome, Rpc.Error<SenseRpc> | WorkerError>

export type End =
  | ({ readonly _tag: "SignalEmitted" } & Omit<Extract<ComputeOutcome, { readonly _tag: "Signal" }>, "_tag">)
  | { readonly _tag: "ComputeEnded"; readonly reason: string | null }
  | { readonly _tag: "ComputeFailed"; readonly message: string; readonly stack: string | null }
  | { readonly _tag: "Unavailable"; readonly problem: Problem }
  | { readonly _tag: "ComputeTimedOut"; readonly timeoutMs: number }
  | { readonly _tag: "ComputeKilled"; readonly boundMs: number; readonly others: ReadonlyArray<SenseName> }
  | { readonly _tag: "ComputeInterrupted"; readonly reason: string }

export const failed = (message: string, stack: string | null = null): End => ({ _tag: "ComputeFailed", message, stack })

export const errorIn = (exit: ComputeExit) =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined

/** The incarnation that died under the compute; null if none did. */
export const deathIn = (exit: ComputeExit): number | null => {
  const error = errorIn(exit)
  return error?._tag === "WorkerDied" ? error.incarnation : null
}

/**
 * What a compute came to. When its worker went away under it, it runs again, but only once: a compute
 * under which two workers died in a row is taken to be the cause, and waits for its next trigger.
 */
export const classify = (sense: Sense, exit: ComputeExit): End => {
  if (Exit.isSuccess(exit)) {
    return exit.value._tag === "Signal"
      ? { ...exit.value, _tag: "SignalEmitted" }
      : { _tag: "ComputeEnded", reason: exit.value.reason }
  }
  const error = errorIn(exit)
  switch (error?._tag) {
    case undefined:
      return failed(Cause.pretty(exit.cause))
    case "ComputeFailed":
      return failed(error.message, error.stack)
    case "ComputeTimeout":
      return { _tag: "ComputeTimedOut", timeoutMs: error.timeoutMs }
    case "SenseUnavailable":
      return error.problem === null ? failed(error.message) : { _tag: "Unavailable", problem: error.problem }
    case "WorkerDied":
    case "WorkerStopped":
      if (sense.overran !== null) {
        const others = sense.overran.map(({ config }) => config.name)
        return { _tag: "ComputeKilled", boundMs: boundMs(sense), others }
      }
      return sense.interrupted
        ? failed(`${error.message}, for the second time in a row`)
        : { _tag: "ComputeInterrupted", reason: error.message }
    case "RespawnLimitReached":
    case "MailboxFull":
    case "CallTimeout":
    case "ProtocolViolation":
      return failed(error.message)
  }
}
