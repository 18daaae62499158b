/**
 * How a workflow's worker is started, as the workflow manager is told: a port, so that the manager
 * knows neither files nor processes.
 */
import type { WorkflowName } from "@nerve/core/domain/Ids"
import * as Context from "effect/Context"
import type { WorkerSpec } from "../supervision/WorkerSpec.ts"

export class WorkflowWorkers extends Context.Service<
  WorkflowWorkers,
  {
    /** What to start for a workflow. Asked anew for each incarnation. It serves `WorkflowWorkerRpcs`. */
    readonly spec: (workflow: WorkflowName) => WorkerSpec
  }
>()("@nerve/runtime/workflow/WorkflowWorkers") {}
