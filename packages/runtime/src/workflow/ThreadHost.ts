/**
 * Where the loops of threads run. Here: in fibers of this process. The seam is small on purpose, so
 * that an implementation may run them elsewhere: it is given one function that runs any thread from
 * its id alone, and is asked to run and to interrupt threads by id.
 */
import type { ThreadId } from "@nerve/core/domain/Ids"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

/** Threads that run under a host. */
export interface Threads {
  /**
   * Runs the thread. One that runs already runs again when it has ended: a loop that gives its slot up
   * may be given the next one before it is gone. Returns once the host has taken it over.
   */
  readonly run: (threadId: ThreadId) => Effect.Effect<void>
  /** Interrupts the thread's loop and waits until it has ended; no-op when it does not run. */
  readonly interrupt: (threadId: ThreadId) => Effect.Effect<void>
}

export class ThreadHost extends Context.Service<
  ThreadHost,
  {
    /**
     * Tells the host how a thread is run. Closing the scope interrupts all its threads. `thread` must
     * find all it needs by the id: it may be called in another process than `run`.
     */
    readonly open: (thread: (threadId: ThreadId) => Effect.Effect<void>) => Effect.Effect<Threads, never, Scope.Scope>
  }
>()("@nerve/runtime/workflow/ThreadHost") {}

/** Runs threads as fibers of this process. */
export const layerLocal: Layer.Layer<ThreadHost> = Layer.succeed(ThreadHost, {
  open: Effect.fnUntraced(function* (thread): Effect.fn.Return<Threads, never, Scope.Scope> {
    const fibers = yield* FiberMap.make<ThreadId, void>()
    // The context of here, not of whoever asks: a thread must not hang under the span of the thread
    // before it, nor carry the annotations of a request.
    const fork = yield* FiberMap.runtime(fibers)()
    /** Threads that run, and whether they are to run again. */
    const running = new Map<ThreadId, boolean>()
    const loop = (threadId: ThreadId): Effect.Effect<void> =>
      Effect.flatMap(
        Effect.suspend(() => {
          running.set(threadId, false)
          return thread(threadId)
        }),
        // Looked at and taken out in one step, so that a request to run again is not lost.
        () => {
          if (running.get(threadId) === true) return loop(threadId)
          running.delete(threadId)
          return Effect.void
        }
      )
    return {
      run: (threadId) =>
        Effect.sync(() => {
          if (running.has(threadId)) return void running.set(threadId, true)
          running.set(threadId, false)
          fork(threadId, loop(threadId))
        }),
      // A fiber that is interrupted before its first step takes nothing out itself.
      interrupt: (threadId) =>
        Effect.andThen(
          FiberMap.remove(fibers, threadId),
          Effect.sync(() => running.delete(threadId))
        )
    }
  })
})
