/**
 * The local host: fibers of this process, by thread id.
 */
import { describe, expect, it } from "@effect/vitest"
import { ThreadId } from "@nerve/core/domain/Ids"
import * as ThreadHost from "@nerve/runtime/workflow/ThreadHost"
import { Deferred, Effect, Exit, Scope } from "effect"

const id = ThreadId.make("talk-1")

/** A host whose threads run until they are interrupted, and what they did. */
const open = Effect.gen(function* () {
  const host = yield* ThreadHost.ThreadHost
  const log: Array<string> = []
  const running = yield* Deferred.make<void>()
  const threads = yield* host.open((threadId) =>
    Effect.sync(() => log.push(`run ${threadId}`)).pipe(
      Effect.andThen(Deferred.succeed(running, undefined)),
      Effect.andThen(Effect.never),
      Effect.onInterrupt(() =>
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => log.push(`interrupted ${threadId}`))
        )
      )
    )
  )
  return { threads, log, running: Deferred.await(running) }
})

describe("ThreadHost.layerLocal", () => {
  it.effect("runs a thread once, however often it is asked to", () =>
    Effect.gen(function* () {
      const { log, running, threads } = yield* open
      yield* threads.run(id)
      yield* running
      yield* threads.run(id)
      expect(log).toEqual(["run talk-1"])
    }).pipe(Effect.provide(ThreadHost.layerLocal))
  )

  it.effect("waits until an interrupted thread has ended, and runs it again when asked", () =>
    Effect.gen(function* () {
      const { log, running, threads } = yield* open
      yield* threads.interrupt(id)
      yield* threads.run(id)
      yield* running
      yield* threads.interrupt(id)
      expect(log).toEqual(["run talk-1", "interrupted talk-1"])
      yield* threads.run(id)
      yield* Effect.yieldNow
      expect(log).toHaveLength(3)
    }).pipe(Effect.provide(ThreadHost.layerLocal))
  )

  it.effect("interrupts all threads when its scope closes, and runs none afterwards", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { log, running, threads } = yield* Scope.provide(open, scope)
      yield* threads.run(id)
      yield* running
      yield* Scope.close(scope, Exit.void)
      expect(log).toEqual(["run talk-1", "interrupted talk-1"])
      yield* threads.run(id)
      yield* Effect.yieldNow
      expect(log).toHaveLength(2)
    }).pipe(Effect.provide(ThreadHost.layerLocal))
  )
})
