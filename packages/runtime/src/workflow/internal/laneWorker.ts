/**
 * What a lane knows of its worker, and asks of it: to confirm that a round has stopped, or else it is killed
 * (M8), and to come back after it was given up.
 */
import type { ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import type { Problem } from "@nerve/core/domain/Problem"
import { WorkflowWorkerReady } from "@nerve/core/wire/WorkflowRpcs"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { WorkerEvent } from "../../supervision/WorkerEvent.ts"
import type { WorkerInfo } from "../../supervision/WorkerRuntime.ts"
import type { WorkflowRuntime } from "./laneContract.ts"

export interface LaneWorker {
  /** Why it was given up; undefined while it was not. */
  readonly givenUp: () => string | undefined
  /** The roles that it has loaded. */
  readonly roles: () => ReadonlyArray<string>
  /** Why it does not load, or is there no more. */
  readonly problem: () => Problem | null
  /** Takes over what an event tells of it. A worker that was given up refuses nobody before that was told. */
  readonly learn: (event: WorkerEvent<WorkflowName>) => void
  /** Waits until the role has stopped in the worker; a worker that hangs is killed. */
  readonly confirmStopped: (threadId: ThreadId) => Effect.Effect<void>
  /** Gives a worker that was given up another chance. */
  readonly revive: Effect.Effect<void>
}

export const make = (runtime: WorkflowRuntime, workflow: WorkflowName, killBound: Duration.Duration): LaneWorker => {
  const info: Effect.Effect<WorkerInfo> = runtime.info(workflow)
  let ready: WorkflowWorkerReady | undefined
  let givenUp: string | undefined

  const learn = (event: WorkerEvent<WorkflowName>): void => {
    if (event._tag === "WorkerReady") ready = Option.getOrUndefined(decodeReady(event.info))
    if (event._tag === "WorkerGivenUp") givenUp = event.reason
  }

  const problem = (): Problem | null => (givenUp === undefined ? (ready?.problem ?? null) : isGone(workflow, givenUp))

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
    givenUp = undefined
  })

  return { givenUp: () => givenUp, roles: () => ready?.roles ?? [], problem, learn, confirmStopped, revive }
}

const isGone = (workflow: WorkflowName, why: string): Problem => ({
  code: "worker-given-up",
  message: `the worker of workflow ${workflow} was given up: ${why}`,
  file: null,
  hint: "mend the workflow's code: when it is saved, its worker gets another chance"
})

const decodeReady = Schema.decodeUnknownOption(Schema.toCodecJson(WorkflowWorkerReady))
