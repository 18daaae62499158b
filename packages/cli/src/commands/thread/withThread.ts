/**
 * What commands on one thread share: its argument, and a client of the daemon with the full id.
 */
import type { WorkflowRun } from "@nerve/core/domain/Thread"
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as Argument from "effect/cli/Argument"
import * as Effect from "effect/Effect"
import * as Global from "../../flags/Global.ts"
import { findThread } from "../../history/findThread.ts"
import * as History from "../../history/History.ts"

export const id = Argument.String("id").pipe(Argument.withDescription("Id of the thread, or a unique beginning of it"))

/** Hands the daemon's client, the thread's full id and its run to `f`. */
export const withThread = <A, E, R>(
  idOrPrefix: string,
  f: (client: ControlClient.ControlClient, threadId: string, run: WorkflowRun) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function* () {
    const workspace = yield* Global.workspace
    return yield* ControlClient.use(workspace, (client) =>
      Effect.flatMap(findThread(History.ofClient(client), idOrPrefix), (run) => f(client, run.threadId, run))
    )
  })
