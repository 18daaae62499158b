/**
 * What a lane asks of its worker: to confirm that a round has stopped, or else it is killed (M8), and to
 * come back after it was given up.
 */
import type { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { WorkerInfo } from "../../supervision/WorkerRuntime.ts"
import type { WorkflowRuntime } from "./laneContract.ts"

export interface LaneWorker {
  readonly info: Effect.Effect<WorkerInfo>
  /** Waits until the role has stopped in the worker; a worker that hangs is killed. */
  readonly confirmStopped: (threadId: ThreadId) => Effect.Effect<void>
  /** Gives a worker that was given up another chance. */
  readonly revive: Effect.Effect<void>
}

export const make = (runtime: WorkflowRuntime, workflow: WorkflowName, killBound: Duration.Duration): LaneWorker => {
  const info: Effect.Effect<WorkerInfo> = runtime.info(workflow)

  const infoUntil = (holds: (info: WorkerInfo) => boolean): Effect.Effect<void> =>
    runtime.changes.pipe(
      Stream.mapEffect(() => info),
      Stream.filter(holds),
      Stream.take(1),
      Stream.runDrain
    )

  const confirmStopped = Effect.fnUntraced(function* (threadId: ThreadId) {
    const before = yield* info
    if (before.state !== "ready") return
    const client = yield* runtime.client(workflow)
    const hangs = yield* client.StopRound({ threadId }, { timeoutMs: Duration.toMillis(killBound) }).pipe(
      Effect.as(false),
      // Any answer shows that it does not hang: the cancel came before this call.
      Effect.catch((error) => Effect.succeed(error._tag === "CallTimeout")),
      Effect.catchDefect(() => Effect.succeed(false))
    )
    if (!hangs) return
    yield* Effect.logWarning("a killed thread did not stop in time; its worker is killed", threadId)
    yield* runtime.kill(workflow, `thread ${threadId} was killed and did not stop within ${Duration.format(killBound)}`)
    // The next thread must not be sent into the dying worker.
    yield* Effect.timeoutOption(
      infoUntil((now) => now.pid !== before.pid),
      killBound
    )
  })

  const revive = Effect.gen(function* () {
    yield* runtime.reset(workflow)
    // Calls are refused until the worker has taken note.
    yield* infoUntil((now) => now.state !== "given-up")
  })

  return { info, confirmStopped, revive }
}
