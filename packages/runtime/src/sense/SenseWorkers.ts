/**
 * The port that says which program a sense worker is. `@nerve/node` gives its bundled worker entry,
 * tests a program of their own. `SensePool` puts the worker's init into the spec itself.
 */
import type { SenseWorkerInit } from "@nerve/core/wire/SenseRpcs"
import * as Context from "effect/Context"
import type { WorkerSpec } from "../supervision/WorkerSpec.ts"

export class SenseWorkers extends Context.Service<
  SenseWorkers,
  {
    /** What to start for a group. Asked anew for each incarnation; its `options.init` is overwritten. */
    readonly spec: (init: SenseWorkerInit) => WorkerSpec
  }
>()("@nerve/runtime/sense/SenseWorkers") {}
