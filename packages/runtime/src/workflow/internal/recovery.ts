/**
 * Takes up the runs that an earlier daemon left active (M7): each goes to the lane of its workflow, whoever
 * waits is waited for again, and what nobody works on any more is ended.
 */
import type { ThreadId } from "@nerve/core/domain/Ids"
import { RunOpened } from "@nerve/core/domain/RunProjection"
import { ExitCode, type ThreadWait, type WorkflowRun } from "@nerve/core/domain/Thread"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { LogStore, LogStoreError } from "../../log/LogStore.ts"
import * as RunLog from "../RunLog.ts"
import type { Lane, Leftover } from "./laneContract.ts"

export interface Options {
  readonly store: LogStore["Service"]
  readonly lanes: ReadonlyMap<string, Lane>
  /** Waits for what a thread of one of the lanes waits for. */
  readonly arm: (threadId: ThreadId, wait: ThreadWait) => Effect.Effect<void>
  /** Ends a child whose parent has been ended. */
  readonly endIfAbandoned: (child: WorkflowRun) => Effect.Effect<void, LogStoreError>
}

export const recover = Effect.fnUntraced(function* ({
  arm,
  endIfAbandoned,
  lanes,
  store
}: Options): Effect.fn.Return<void, LogStoreError> {
  const runs = yield* activeRuns(store)
  for (const [workflow, lane] of lanes) {
    const own = runs.filter((run) => run.workflow === workflow)
    if (own.length > 0) yield* lane.recover(yield* Effect.forEach(own, (run) => leftover(store, run)))
  }
  // Only now: a child may be of any lane.
  for (const { threadId, wait, workflow } of runs) {
    if (wait !== null && lanes.get(workflow)?.has(threadId) === true) yield* arm(threadId, wait)
  }
  for (const run of runs) yield* endIfAbandoned(run)
  // Nobody would ever work on them, and active runs are what one waits for.
  const orphans = runs.filter((run) => !lanes.has(run.workflow))
  if (orphans.length > 0) yield* store.appendAll(orphans.map(orphaned))
})

const activeRuns = (store: LogStore["Service"]) =>
  Effect.catchIf(store.activeRuns, isDamage, (error) =>
    Effect.logWarning(`computing all runs anew from the log: ${error.message}`).pipe(
      Effect.andThen(store.rebuildRuns),
      Effect.andThen(store.activeRuns)
    )
  )

const leftover = Effect.fnUntraced(function* (
  store: LogStore["Service"],
  run: WorkflowRun
): Effect.fn.Return<Leftover, LogStoreError> {
  const [first] = yield* store
    .query({ source: "workflow", refId: run.threadId, limit: 1, archived: false })
    .pipe(Effect.catchIf(isDamage, () => Effect.succeed([])))
  const { dryRun, maxRounds, prompt, workflow } = run
  // The run says all but what caused it; its first entry does.
  const opened = Option.getOrElse(decodeOpened(first?.payload), () => ({
    workflow,
    prompt,
    dryRun,
    cause: "unknown"
  }))
  return { run, opened: { ...opened, maxRounds } }
})

const orphaned = ({ threadId, workflow }: WorkflowRun) =>
  RunLog.ended(threadId, "interrupted", ExitCode.interrupted, `there is no workflow ${workflow} in the config any more`)

const isDamage = (error: LogStoreError): boolean => error.permanent === true

const decodeOpened = Schema.decodeUnknownOption(RunOpened)
