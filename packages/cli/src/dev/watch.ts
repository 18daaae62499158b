/**
 * Runs a daemon for as long as it is wanted, shows every entry of its log on stdout meanwhile, and
 * sums up at the end. It does not know how a daemon is built.
 */
import type { LogEntry } from "@nerve/core/domain/LogEntry"
import type { LogStore, LogStoreError } from "@nerve/runtime/log/LogStore"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { JsonFlag } from "../flags/Global.ts"
import * as EventPrinter from "../output/EventPrinter.ts"
import type { OutputClosed, OutputFailed } from "../output/Output.ts"
import * as Output from "../output/Output.ts"
import { ExitCode } from "../output/Report.ts"
import * as Summary from "../render/Summary.ts"
import { Signals } from "../Signals.ts"

/** A daemon that runs; closing the scope that it was opened in stops it gracefully. */
export interface Running {
  readonly log: LogStore["Service"]
  /** Done when the daemon was asked to stop by somebody else: over its control socket. */
  readonly stopRequested: Effect.Effect<void>
}

/**
 * Ctrl-C reaches the whole foreground group, and a wrapper such as npm passes it on once more: signals
 * that come together are one.
 */
const togetherMs = 500

/** A second signal means: now. What becomes of the workers then is the wardens' business. */
const stopOnSignal = Effect.fnUntraced(function* (stop: Deferred.Deferred<void>) {
  const signals = yield* Signals
  const clock = yield* Clock.Clock
  let first: number | undefined
  yield* signals.claim(() => {
    const now = clock.currentTimeMillisUnsafe()
    first ??= now
    if (now - first >= togetherMs) process.exit(ExitCode.interrupted)
    Deferred.doneUnsafe(stop, Exit.void)
  })
})

/** Prints what is logged from `startedAt` on until the log closes; the fold of it so far. */
const view = Effect.fnUntraced(function* (log: LogStore["Service"], startedAt: number) {
  const print = yield* EventPrinter.make
  let summary = Summary.empty
  const shown: Effect.Effect<void, LogStoreError | OutputClosed | OutputFailed> = log
    .follow({ since: startedAt, cursor: 0 })
    .pipe(
      Stream.runForEachArray((entries: ReadonlyArray<LogEntry>) =>
        Effect.suspend(() => {
          summary = entries.reduce(Summary.add, summary)
          return print(entries)
        })
      )
    )
  return { fiber: yield* Effect.forkScoped(shown), summary: () => summary }
})

/** How long stdout may take for the last entries and the summary once the daemon has stopped. */
const lastWords = "2 seconds"

/** Until a signal, the end of `forMs`, a stop over the socket, or the end of the view (its reader left). */
export const watch = Effect.fn("watch")(function* <E, R>(
  open: Effect.Effect<Running, E, R | Scope.Scope>,
  options: { readonly forMs: Option.Option<number>; readonly headline: string }
) {
  const json = yield* JsonFlag
  const startedAt = yield* Clock.currentTimeMillis
  const stop = yield* Deferred.make<void>()
  yield* stopOnSignal(stop)
  const signalled = Deferred.await(stop)
  const daemonScope = yield* Effect.acquireRelease(Scope.make(), Scope.close)
  const daemon = yield* Effect.raceFirst(
    Effect.asSome(Scope.provide(open, daemonScope)),
    Effect.as(signalled, Option.none<Running>())
  )
  if (Option.isNone(daemon)) return
  yield* Output.neverBlock
  if (!json) yield* Output.text(options.headline)
  const { fiber, summary } = yield* view(daemon.value.log, startedAt)
  yield* Effect.raceAllFirst([
    signalled,
    daemon.value.stopRequested,
    Option.match(options.forMs, { onNone: () => Effect.never, onSome: Effect.sleep }),
    Effect.asVoid(Fiber.await(fiber))
  ])
  yield* Scope.close(daemonScope, Exit.void)
  const endedAt = yield* Clock.currentTimeMillis
  const rest = Effect.andThen(
    Fiber.join(fiber),
    json ? Effect.void : Effect.suspend(() => Output.text(Summary.render(summary(), endedAt - startedAt)))
  )
  yield* Effect.timeoutOption(rest, lastWords)
}, Effect.scoped)
