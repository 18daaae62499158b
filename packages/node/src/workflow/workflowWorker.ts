/**
 * What a workflow worker process runs: only assembly. Which workflow it is for comes from the parent,
 * by `init`; the port is provided by the entry that starts it.
 */
import { WorkflowWorkerInit, WorkflowWorkerReady, WorkflowWorkerRpcs } from "@nerve/core/wire/WorkflowRpcs"
import * as Worker from "@nerve/runtime/ipc/Worker"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as WorkflowHost from "./WorkflowHost.ts"

const encodeReady = Schema.encodeSync(Schema.toCodecJson(WorkflowWorkerReady))

/** Loads the workflow, says ready, and serves WorkflowWorkerRpcs until the parent stops it or is gone. */
export const main: Effect.Effect<void, never, Worker.WorkerPort> = Effect.gen(function* () {
  const { channel } = yield* Worker.WorkerPort
  const scope = yield* Scope.Scope
  const outside = Effect.promise(() => import("./RoleServices.ts")).pipe(
    Effect.flatMap((services) => Layer.buildWithScope(services.layer, scope))
  )
  const init = yield* Worker.init(WorkflowWorkerInit)
  const serve = Effect.gen(function* () {
    const { handlers, ready } = yield* WorkflowHost.make(init, outside)
    yield* Worker.serve(WorkflowWorkerRpcs, handlers, { info: encodeReady(ready) })
  })
  yield* Effect.provide(serve, Logger.layer([Worker.logger(channel)]))
}).pipe(Effect.scoped)
