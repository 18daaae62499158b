/**
 * Threads that other threads wait for: found by a key that follows from who waits, started once however
 * often it is asked, ended with whoever waited for them.
 */
import type { ThreadId } from "@nerve/core/domain/Ids"
import { isActive, type Wait, type WorkflowRun } from "@nerve/core/domain/Thread"
import type { UnknownWorkflow } from "@nerve/core/wire/ControlRpcs"
import * as Effect from "effect/Effect"
import type { LogStore, LogStoreError } from "../../log/LogStore.ts"
import type { End } from "./laneContract.ts"
import { killing } from "./laneEntries.ts"
import { untilStored } from "./untilStored.ts"

export type ChildWait = Extract<Wait, { readonly _tag: "Child" }>

/** What asks for a child. */
export interface ChildLaunch {
  readonly workflow: string
  readonly prompt: string
  readonly cause: string
  readonly key: string
  readonly parent: ThreadId
  readonly maxRounds?: number
}

export interface Options {
  readonly store: LogStore["Service"]
  /** The same key yields the same thread. */
  readonly trigger: (
    launch: ChildLaunch
  ) => Effect.Effect<{ readonly threadId: ThreadId }, UnknownWorkflow | LogStoreError>
  /** Takes up a thread that has ended. */
  readonly retry: (threadId: ThreadId) => Effect.Effect<unknown, unknown>
  /** Records the end of a workflow's thread and has it stopped. */
  readonly end: (workflow: string, threadId: ThreadId, end: End) => Effect.Effect<unknown, LogStoreError>
}

export interface Children {
  /** Starts the child of a thread's round; why it cannot be started otherwise. */
  readonly start: (
    parent: ThreadId,
    round: number,
    wait: ChildWait
  ) => Effect.Effect<{ readonly threadId: ThreadId } | { readonly problem: string }>
  /** Ends the child that was started for a round whose thread has been ended, if there is one. */
  readonly kill: (parent: ThreadId, round: number, wait: ChildWait) => Effect.Effect<void>
  /** Ends a child whose parent was ended by somebody, while this daemon's predecessor died. */
  readonly endIfAbandoned: (child: WorkflowRun) => Effect.Effect<void, LogStoreError>
}

/** Name of the key that a child has, so that it is started once. */
const childKey = (parent: ThreadId, round: number): string => `child:${parent}:${round}`

/**
 * How deep threads may start threads that they wait for: a workflow that starts itself without end ends
 * here. Deeper than anybody plans, and small enough that the chain is looked through for each child.
 */
const MAX_DEPTH = 16

const tooDeep = (workflow: string): string =>
  `threads that wait for one another are nested ${MAX_DEPTH} deep, which is the most: no thread of ${workflow} was started`

/** Why a child was killed when its parent was ended. A parent that is retried takes it up again. */
const abandoned = (parent: ThreadId): string => `the thread that waited for it (${parent}) was ended`

/** The child that was started for a thread's round; undefined when there is none. */
export const find = (
  store: LogStore["Service"],
  parent: ThreadId,
  round: number,
  { workflow }: ChildWait
): Effect.Effect<WorkflowRun | undefined, LogStoreError> =>
  Effect.map(store.runs({ workflow, key: childKey(parent, round), limit: 1 }), ([run]) => run)

export const make = ({ end, retry, store, trigger }: Options): Children => {
  /** How many threads wait for this one, directly or through others; no more than there may be. */
  const depthOf = Effect.fnUntraced(function* (threadId: ThreadId) {
    let depth = 0
    for (
      let at = yield* store.run(threadId);
      at !== undefined && at.parent !== null;
      at = yield* store.run(at.parent)
    ) {
      if (++depth >= MAX_DEPTH) break
    }
    return depth
  })

  const start = Effect.fnUntraced(function* (parent: ThreadId, round: number, wait: ChildWait) {
    const { maxRounds, prompt, workflow } = wait
    const known = yield* find(store, parent, round, wait)
    // Ended with its parent, which has been retried since: the child goes on where it was.
    if (known?.status === "killed" && known.reason === abandoned(parent)) {
      yield* Effect.ignoreCause(retry(known.threadId))
    }
    if (known === undefined && (yield* depthOf(parent)) + 1 >= MAX_DEPTH) return { problem: tooDeep(workflow) }
    return yield* trigger({
      workflow,
      prompt,
      cause: `thread:${parent}`,
      key: childKey(parent, round),
      parent,
      ...(maxRounds === null ? {} : { maxRounds })
    })
  })

  const kill = Effect.fnUntraced(function* (parent: ThreadId, round: number, wait: ChildWait) {
    const child = yield* untilStored(find(store, parent, round, wait))
    const waiting = yield* untilStored(store.run(parent))
    // Taken up again meanwhile: then the child is waited for as before.
    if (child === undefined || (waiting !== undefined && isActive(waiting.status))) return
    yield* untilStored(end(wait.workflow, child.threadId, killing(abandoned(parent))))
  })

  const endIfAbandoned = Effect.fnUntraced(function* ({ parent, threadId, workflow }: WorkflowRun) {
    const waiting = parent === null ? undefined : yield* store.run(parent)
    if (parent === null || (waiting?.status !== "killed" && waiting?.status !== "interrupted")) return
    yield* end(workflow, threadId, killing(abandoned(parent)))
  })

  return {
    start: (parent, round, wait) =>
      untilStored(
        Effect.catchTag(start(parent, round, wait), "UnknownWorkflow", (error) =>
          Effect.succeed({ problem: error.message })
        )
      ),
    kill,
    endIfAbandoned
  }
}
