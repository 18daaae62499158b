import * as Worker from "@nerve/runtime/ipc/Worker"
import { Effect } from "effect"
import { PrimeRpcs } from "./PrimeRpcs.ts"

const isPrime = (n: number): boolean => {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false
  return n > 1
}

export default Worker.serve(PrimeRpcs, {
  CountPrimes: ({ from, to }) =>
    Effect.sync(() => {
      let count = 0
      for (let n = from; n < to; n++) if (isPrime(n)) count += 1
      return count
    })
})
