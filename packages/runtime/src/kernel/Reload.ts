/**
 * Changes while the kernel runs: another configuration is put in force by what is different, and the
 * senses and workflows whose code has changed load it anew. Each waits for its own idle moment; nothing
 * that runs is cut. It is told what has changed: who finds out, and reads nerve.yaml, is the daemon's.
 *
 * A configuration that cannot be used changes nothing: the one before stays in force, and the log and
 * the status say why.
 */
import * as ConfigDiff from "@nerve/core/config/ConfigDiff"
import type { ConfigProblem } from "@nerve/core/config/ConfigProblem"
import type { NerveConfig } from "@nerve/core/config/NerveConfig"
import type { ConfigRefused, ConfigState, ReloadOutcome } from "@nerve/core/wire/ControlRpcs"
import type { LogInput } from "@nerve/core/domain/LogEntry"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Queue from "effect/Queue"
import type { Scope } from "effect/Scope"
import type { LogStore } from "../log/LogStore.ts"
import type { SensePool } from "../sense/SensePool.ts"
import type { WorkflowManager } from "../workflow/WorkflowManager.ts"
import * as KernelLog from "./KernelLog.ts"

/** A sense or workflow, and its files that have changed, relative to the workspace. */
export interface Touched {
  readonly name: string
  readonly files: ReadonlyArray<string>
}

/** Why nerve.yaml cannot be used. */
export interface Refusal {
  /** The first problem in one line, with its place. */
  readonly message: string
  readonly problems: ReadonlyArray<ConfigProblem>
}

export interface Reload {
  /** The configuration in force. */
  readonly config: () => NerveConfig
  readonly state: Effect.Effect<ConfigState>
  /** Puts a configuration in force. Answers what was different, when all have been told of it. */
  readonly configure: (next: NerveConfig) => Effect.Effect<ReadonlyArray<string>>
  /** nerve.yaml is another now and cannot be used. */
  readonly refuse: (refusal: Refusal) => Effect.Effect<void>
  /** Code has changed. Answers when it has been noted, before anything is loaded. */
  readonly codeChanged: (touched: {
    readonly senses: ReadonlyArray<Touched>
    readonly workflows: ReadonlyArray<Touched>
  }) => Effect.Effect<void>
  /** Asks whoever watches the files to look now. */
  readonly request: Effect.Effect<ReloadOutcome>
  /** Whoever asks and waits for an answer. */
  readonly requests: Queue.Dequeue<Deferred.Deferred<ReloadOutcome>>
}

/** Requests that may wait; who comes then waits before it asks. */
const maxRequests = 16

export const make = Effect.fnUntraced(function* (options: {
  readonly config: NerveConfig
  readonly store: LogStore["Service"]
  readonly senses: SensePool["Service"]
  readonly workflows: WorkflowManager["Service"]
}): Effect.fn.Return<Reload, never, Scope> {
  const { senses, store, workflows } = options
  const requests = yield* Queue.bounded<Deferred.Deferred<ReloadOutcome>>(maxRequests)
  // Workflows take their time: they wait for threads.
  const waiting = yield* FiberSet.make()
  let config = options.config
  let since = yield* Clock.currentTimeMillis
  let refused: ConfigRefused | null = null

  // A full disk must not keep a reload from happening: it may be what frees it.
  const tell = (input: LogInput) =>
    Effect.catch(store.append(input), (error) => Effect.logError(`${input.type} is not in the log: ${error.message}`))

  const restart = (): ReadonlyArray<string> => ConfigDiff.needRestart(ConfigDiff.diff(options.config, config))

  const configure = Effect.fn("Reload.configure")(function* (next: NerveConfig) {
    const changes = ConfigDiff.diff(config, next)
    const wasRefused = refused !== null
    if (changes.length === 0 && !wasRefused) return []
    config = next
    refused = null
    since = yield* Clock.currentTimeMillis
    const words = changes.map(ConfigDiff.describe)
    yield* tell(KernelLog.configReloaded(words, ConfigDiff.needRestart(changes)))
    if (changes.length === 0) return []
    yield* senses.configure(next.senses)
    yield* FiberSet.run(waiting, configureWorkflows(changes, next))
    return words
  })

  const configureWorkflows = Effect.fnUntraced(function* (
    changes: ReadonlyArray<ConfigDiff.Change>,
    next: NerveConfig
  ) {
    yield* workflows.configure(next)
    const stale = ConfigDiff.staleWorkflows(changes, next)
    yield* Effect.forEach(ConfigDiff.touchedWorkflows(changes, next), workflows.reset, { discard: true })
    // What its worker is told is as good as code to a thread: `on_change` says what becomes of those that run.
    yield* Effect.forEach(stale, workflows.codeChanged, { concurrency: "unbounded", discard: true })
  })

  const refuse = Effect.fn("Reload.refuse")(function* (refusal: Refusal) {
    // Saved again with the same mistakes: nothing new to tell.
    if (refused !== null && JSON.stringify(refused.problems) === JSON.stringify(refusal.problems)) {
      if (refused.message === refusal.message) return
    }
    refused = { ...refusal, at: yield* Clock.currentTimeMillis }
    yield* tell(KernelLog.configRefused(refusal.message, refusal.problems))
  })

  const codeChanged: Reload["codeChanged"] = Effect.fn("Reload.codeChanged")(function* (touched) {
    for (const { files, name } of touched.senses) yield* senses.reload(name, files)
    for (const { files, name } of touched.workflows) {
      yield* tell(KernelLog.workflowChanged(name, files))
      yield* FiberSet.run(waiting, workflows.codeChanged(name))
    }
  })

  const request = Effect.gen(function* () {
    const answer = yield* Deferred.make<ReloadOutcome>()
    yield* Queue.offer(requests, answer)
    return yield* Deferred.await(answer)
  })

  return {
    config: () => config,
    state: Effect.sync(() => ({ since, refused, restart: restart() })),
    configure,
    refuse,
    codeChanged,
    request,
    requests
  }
})
