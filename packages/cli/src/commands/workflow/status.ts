/**
 * `nerve workflow status [NAME]`: the state of one or all workflows, and their latest threads.
 */
import { UnknownWorkflow, type WorkflowView } from "@nerve/core/wire/ControlRpcs"
import type { WorkflowRun } from "@nerve/core/domain/Thread"
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Global from "../../flags/Global.ts"
import { show } from "../../output/Show.ts"
import type { Look } from "../../render/Look.ts"
import * as ThreadViews from "../../render/ThreadViews.ts"
import * as WorkflowViews from "../../render/WorkflowViews.ts"

/** Threads that are shown per workflow. */
const latest = 10

interface WorkflowState {
  readonly workflow: WorkflowView
  readonly threads: ReadonlyArray<WorkflowRun>
}

const page = (states: ReadonlyArray<WorkflowState>, look: Look): string =>
  [
    WorkflowViews.list(
      states.map(({ workflow }) => workflow),
      look
    ),
    ...states.filter(({ threads }) => threads.length > 0).map(({ threads }) => ThreadViews.list(threads, look))
  ].join("\n\n")

const states = (client: ControlClient.ControlClient, name: Option.Option<string>) =>
  Effect.gen(function* () {
    const { workflows } = yield* client.GetStatus()
    const chosen = workflows.filter((workflow) => Option.isNone(name) || name.value === workflow.name)
    if (Option.isSome(name) && chosen.length === 0) {
      return yield* new UnknownWorkflow({ workflow: name.value, known: workflows.map((workflow) => workflow.name) })
    }
    return yield* Effect.forEach(chosen, (workflow) =>
      Effect.map(client.ListThreads({ workflow: workflow.name, limit: latest }), (threads): WorkflowState => ({
        workflow,
        threads
      }))
    )
  })

export const status = Command.make(
  "status",
  {
    name: Argument.String("name").pipe(
      Argument.withDescription("Name of the workflow; all unless told"),
      Argument.optional
    )
  },
  ({ name }) =>
    Effect.gen(function* () {
      const found = yield* ControlClient.use(yield* Global.workspace, (client) => states(client, name))
      return yield* show(found, page)
    })
).pipe(Command.withDescription("Show workflows with their latest threads"))
