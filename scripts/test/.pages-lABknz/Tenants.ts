import { WorkerLog, WorkerRuntime, WorkerSpec, type WorkerClient } from "@nerve/runtime"
import { Context, Effect, Layer, RcMap } from "effect"
import { HelloRpcs } from "./HelloRpcs.ts"

type Client = WorkerClient<WorkerRuntime.RpcsOf<typeof HelloRpcs>>

export class Tenants extends Context.Service<Tenants>()("Tenants", {
  make: Effect.gen(function* () {
    const runtime = yield* WorkerRuntime.make({
      name: "tenants",
      rpcs: HelloRpcs,
      worker: (_tenant: string) => WorkerSpec.module(new URL("./hello.worker.ts", import.meta.url)),
      onEvent: WorkerLog.log
    })
    // A tenant is used as long as a call of it runs, and evicted a minute after the last one has ended.
    const clients = yield* RcMap.make({
      lookup: (tenant: string) => Effect.acquireRelease(runtime.client(tenant), () => runtime.evict(tenant)),
      idleTimeToLive: "1 minute"
    })
    return {
      runtime,
      use: <A, E, R>(tenant: string, call: (client: Client) => Effect.Effect<A, E, R>) =>
        Effect.scoped(Effect.flatMap(RcMap.get(clients, tenant), call))
    }
  })
}) {
  static readonly layer = Layer.effect(this, this.make)
}
