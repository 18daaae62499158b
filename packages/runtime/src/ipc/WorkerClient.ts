/**
 * The typed client of a worker: one method per RPC of its group.
 */
import type * as Effect from "effect/Effect"
import type * as Rpc from "effect/rpc/Rpc"
import type * as Stream from "effect/Stream"
import type { WorkerError } from "../supervision/WorkerError.ts"

/** Bounds of one call. */
export interface CallOptions {
  /**
   * Milliseconds until `CallTimeout`; none unless told. Counts from the call, waiting included. Of a stream: how long
   * its reader may have to wait for the first items, and for those that follow; what the reader takes for itself
   * does not count.
   */
  readonly timeoutMs?: number
}

/** One method per RPC: an Effect, or a Stream where the RPC is declared `stream: true`. */
export type WorkerClient<Rpcs extends Rpc.Any> = {
  readonly [Current in Rpcs as Current["_tag"]]: (
    payload: Rpc.Payload<Current>,
    options?: CallOptions
  ) => Rpc.Success<Current> extends Stream.Stream<infer A, infer E, infer _R>
    ? Stream.Stream<A, E | Rpc.Error<Current> | WorkerError>
    : Effect.Effect<Rpc.Success<Current>, Rpc.Error<Current> | WorkerError>
}
