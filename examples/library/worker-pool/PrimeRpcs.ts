import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

/** How many primes there are from `from` up to, and without, `to`. */
export const PrimeRpcs = RpcGroup.make(
  Rpc.make("CountPrimes", { payload: { from: Schema.Int, to: Schema.Int }, success: Schema.Int })
)
