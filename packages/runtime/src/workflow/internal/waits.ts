/**
 * Ends waits: when their time has come, and when the child that a thread waits for has ended. It owns
 * the timers and the watches of children, one fiber per waiting thread, and nothing durable: whoever
 * waits is in the log, and is armed anew at each start.
 */
import type { Decision } from "@nerve/core/authoring/Wait"
import type { ThreadId } from "@nerve/core/domain/Ids"
import type { RoundRecorded } from "@nerve/core/domain/RunProjection"
import type { ThreadWait, WorkflowRun } from "@nerve/core/domain/Thread"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import type * as Scope from "effect/Scope"
import type { Children, ChildWait } from "./children.ts"

export interface Options {
  /** Records the round that a thread waits for, and has the thread go on. */
  readonly settle: (threadId: ThreadId, round: number, recorded: RoundRecorded) => Effect.Effect<void>
  /** Ends a waiting thread as failed. */
  readonly fail: (threadId: ThreadId, reason: string) => Effect.Effect<void>
  readonly children: Pick<Children, "start" | "kill">
  /** The run of a thread once it has ended. */
  readonly ended: (threadId: ThreadId) => Effect.Effect<WorkflowRun>
  /** The last message of a run; undefined when nobody spoke. */
  readonly lastMessage: (run: WorkflowRun) => Effect.Effect<RoundRecorded | undefined>
  readonly scope: Scope.Scope
}

export interface Waits {
  readonly arm: (threadId: ThreadId, wait: ThreadWait) => Effect.Effect<void>
  /** The thread has been ended while it waited: nothing comes of the wait, and its child is ended too. */
  readonly withdraw: (threadId: ThreadId, wait: ThreadWait) => Effect.Effect<void>
}

/** A clock that is set, or a machine that sleeps, is noticed after at most this long. */
const longestSleep = Duration.toMillis("1 minute")

/** Returns at that point of time by the clock, however far off it is. */
export const sleepUntil = Effect.fnUntraced(function* (until: number) {
  while (true) {
    const left = until - (yield* Clock.currentTimeMillis)
    if (left <= 0) return
    yield* Effect.sleep(Duration.millis(Math.min(left, longestSleep)))
  }
})

/** What an answer reads as a message. */
export const decided = (role: string, meta: Decision): RoundRecorded => {
  const why = meta.reason === "" ? "" : `: ${meta.reason}`
  const content =
    meta.decision === "timed-out" ? "nobody answered in time" : `${meta.decision} by ${meta.by || "somebody"}${why}`
  return { role, content, meta: { ...meta } }
}

/** Nobody is waited for yet. */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Waits, never, Scope.Scope> {
  const fibers = yield* FiberMap.make<ThreadId, void>()
  const fork = yield* FiberMap.runtime(fibers)()

  const child = Effect.fnUntraced(function* (threadId: ThreadId, { role, round }: ThreadWait, wait: ChildWait) {
    const started = yield* options.children.start(threadId, round, wait)
    if ("problem" in started) return yield* options.fail(threadId, `role ${role}: ${started.problem}`)
    const run = yield* options.ended(started.threadId)
    const { exitCode, reason, status } = run
    const last = yield* options.lastMessage(run)
    yield* options.settle(threadId, round, {
      role,
      content: last?.content ?? `${status}${reason === "" ? "" : `: ${reason}`}`,
      meta: { threadId: started.threadId, status, exitCode, reason, meta: last?.meta ?? null }
    })
  })

  const watch = (threadId: ThreadId, waits: ThreadWait): Effect.Effect<void> | undefined => {
    const { role, round, wait } = waits
    switch (wait._tag) {
      case "Approval":
        return wait.until === null
          ? undefined
          : Effect.andThen(
              sleepUntil(wait.until),
              options.settle(
                threadId,
                round,
                decided(role, { decision: "timed-out", by: "", reason: "nobody answered in time", answer: null })
              )
            )
      case "Sleep":
        return Effect.andThen(
          sleepUntil(wait.until),
          Effect.suspend(() =>
            options.settle(threadId, round, {
              role,
              content: `slept until ${iso(wait.until)}`,
              meta: { until: wait.until }
            })
          )
        )
      case "Child":
        return child(threadId, waits, wait)
    }
  }

  return {
    arm: (threadId, waits) =>
      Effect.sync(() => {
        const watching = watch(threadId, waits)
        if (watching !== undefined) fork(threadId, watching)
      }),
    withdraw: (threadId, { round, wait }) =>
      // Apart: the one who ends the thread may hold what stopping the watch waits for.
      FiberMap.remove(fibers, threadId).pipe(
        Effect.andThen(wait._tag === "Child" ? options.children.kill(threadId, round, wait) : Effect.void),
        Effect.forkIn(options.scope),
        Effect.asVoid
      )
  }
})

const iso = (milliseconds: number): string => DateTime.formatIso(DateTime.makeUnsafe(milliseconds))
