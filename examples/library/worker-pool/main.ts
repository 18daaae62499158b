/** Counts the primes below a million, in slices, on all cores: `node examples/library/worker-pool/main.ts` */
import { NodeSpawner } from "@nerve/node"
import { WorkerPool, WorkerSpec } from "@nerve/runtime"
import { Console, Effect } from "effect"
import { availableParallelism } from "node:os"
import { PrimeRpcs } from "./PrimeRpcs.ts"

const limit = 1_000_000
const slice = 50_000

const main = Effect.gen(function* () {
  const pool = yield* WorkerPool.make({
    rpcs: PrimeRpcs,
    worker: () => WorkerSpec.module(new URL("./primes.worker.ts", import.meta.url)),
    size: availableParallelism(),
    execTimeout: "10 seconds",
    // PRIMES_SIZE=2, PRIMES_EXEC_TIMEOUT=1s and so on override what is said here.
    ...(yield* WorkerPool.config("PRIMES"))
  })
  const slices = Array.from({ length: limit / slice }, (_, n) => ({ from: n * slice, to: (n + 1) * slice }))
  const counts = yield* Effect.forEach(slices, (one) => pool.client.CountPrimes(one), { concurrency: "unbounded" })
  yield* Console.log(`${counts.reduce((sum, count) => sum + count, 0)} primes below ${limit}`)
  // Each took the next slice when it had done one: a fast one more of them.
  const { workers } = yield* pool.info
  for (const { jobs, slot } of workers)
    yield* Console.log(`worker ${slot} counted in ${jobs} of ${slices.length} slices`)
})

await Effect.runPromise(main.pipe(Effect.scoped, Effect.provide(NodeSpawner.layer())))
