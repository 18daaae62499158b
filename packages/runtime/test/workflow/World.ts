/**
 * What the tests of workflows share: a log that outlives daemons, records every append and can be made
 * to fail; a fake worker whose rounds the test scripts; and daemons that come and go over them.
 */
import { CurrentConfig, empty, type NerveConfig, type WorkflowConfig } from "@nerve/core/config/NerveConfig"
import { type ThreadId, WorkflowName } from "@nerve/core/domain/Ids"
import type { LogEntry, LogInput } from "@nerve/core/domain/LogEntry"
import type { RunStatus, ThreadMessage, ThreadStart } from "@nerve/core/domain/Thread"
import {
  type AnswerRefused,
  type CodeChanged,
  type ModeratorFailed,
  type RoleFailed,
  type RoundOutcome,
  type UnknownRole,
  WorkflowRpcs,
  type WorkflowUnavailable,
  WorkflowWorkerRpcs
} from "@nerve/core/wire/WorkflowRpcs"
import * as Worker from "@nerve/runtime/ipc/Worker"
import { LogStore, type LogStoreError } from "@nerve/runtime/log/LogStore"
import * as LogStoreMemory from "@nerve/runtime/log/LogStoreMemory"
import type { WorkerEvent } from "@nerve/runtime/supervision/WorkerEvent"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import * as ThreadHost from "@nerve/runtime/workflow/ThreadHost"
import * as WorkflowManager from "@nerve/runtime/workflow/WorkflowManager"
import { WorkflowWorkers } from "@nerve/runtime/workflow/WorkflowWorkers"
import { Context, Deferred, Effect, Exit, Layer, type Schema, Scope, Stream } from "effect"
import { type Fate, meddledStore } from "../log/meddledStore.ts"

export type RoundError = UnknownRole | RoleFailed | ModeratorFailed | WorkflowUnavailable | CodeChanged

export interface Round {
  readonly workflow: string
  readonly incarnation: number
  readonly start: ThreadStart
  readonly steps: ReadonlyArray<ThreadMessage>
  /** The code that the thread is to run on. */
  readonly version?: string | undefined
}

export type Script = (round: Round) => Effect.Effect<RoundOutcome, RoundError>

export const spoke = (content: string): RoundOutcome => ({ _tag: "Spoke", role: "speaker", content, meta: null })

export const over: RoundOutcome = { _tag: "Ended" }

/** Speaks `rounds` times, then ends. */
export const speaks =
  (rounds: number): Script =>
  ({ start, steps }) =>
    Effect.sync(() => {
      if (steps.length >= rounds) return over
      return steps.length < start.maxRounds ? spoke(`${start.prompt} ${steps.length + 1}`) : { _tag: "Exhausted" }
    })

export const workflowConfig = (over: Partial<WorkflowConfig> = {}): WorkflowConfig => ({
  name: WorkflowName.make("talk"),
  concurrency: 1,
  overflow: "queue",
  maxQueue: 100,
  onChange: "finish-on-old",
  budget: null,
  ...over
})

export const configOf = (...workflows: ReadonlyArray<Partial<WorkflowConfig>>): NerveConfig => ({
  ...empty,
  workflows: workflows.map(workflowConfig)
})

export interface World {
  readonly store: LogStore["Service"]
  /** What happened, in order: `TYPE threadPrompt` per entry, `ask PROMPT ROUND` per round asked of a worker. */
  readonly trace: Array<string>
  /** Rounds that a worker was asked for, in order. */
  readonly asked: Array<Round>
  /** What the workers do from now on. */
  script: Script
  /** Whether workers hang when asked to confirm that a round has stopped. */
  hangs: boolean
  /** Whether workers know `StopRound` at all; counts for those started from now on. */
  confirms: boolean
  /** How workers judge an answer. */
  check: (asked: { readonly role: string; readonly answer: Schema.Json }) => Effect.Effect<Schema.Json, AnswerRefused>
  /** What becomes of the next append. */
  fate: () => Fate
  /** While true, appends fail. */
  readonly disk: { full: boolean }
  readonly events: Array<WorkerEvent<WorkflowName>>
  /** Waits for an event of a worker. */
  readonly happened: (tag: WorkerEvent<WorkflowName>["_tag"]) => Effect.Effect<void>
  readonly children: FakeSpawner.FakeChildren["Service"]
  /** A daemon starts. Closing its scope is its end: nothing of it runs on. */
  readonly daemon: (config: NerveConfig, options?: WorkflowManager.Options) => Effect.Effect<Daemon, LogStoreError>
  /** Waits until the log has such an entry of the thread. */
  readonly logged: (threadId: ThreadId, type: string, round?: number) => Effect.Effect<LogEntry>
  readonly entries: (threadId: ThreadId) => Effect.Effect<ReadonlyArray<string>>
  readonly run: (
    threadId: ThreadId
  ) => Effect.Effect<{ status: RunStatus; exitCode: number | null; reason: string; rounds: number; crashes: number }>
}

export interface Daemon {
  readonly manager: WorkflowManager.WorkflowManager["Service"]
  readonly trigger: (prompt: string, over?: Partial<WorkflowManager.Launch>) => Effect.Effect<ThreadId>
  /** Dies: nothing is drained, nothing is said. */
  readonly die: Effect.Effect<void>
}

const promptOf = (prompts: Map<string, string>, input: LogInput): string => {
  const { payload, refId } = input
  if (refId === null) return "-"
  if (typeof payload === "object" && payload !== null && "prompt" in payload) prompts.set(refId, String(payload.prompt))
  return prompts.get(refId) ?? refId
}

/** A world with an empty log. */
export const make: Effect.Effect<World, never, Scope.Scope> = Effect.gen(function* () {
  const memory = yield* LogStoreMemory.make
  const scope = yield* Effect.scope
  const trace: Array<string> = []
  const prompts = new Map<string, string>()
  const asked: Array<Round> = []
  const events: Array<WorkerEvent<WorkflowName>> = []
  const awaited = new Map<string, Deferred.Deferred<void>>()
  const happened = (tag: string): Deferred.Deferred<void> => {
    const known = awaited.get(tag) ?? Deferred.makeUnsafe<void>()
    awaited.set(tag, known)
    return known
  }
  // Durable before anybody can act on it: traced as the store takes it.
  const { disk, store } = meddledStore(memory, {
    onAppended: (input) => {
      const name = `${input.type} ${promptOf(prompts, input)}`
      trace.push(input.round === undefined ? name : `${name} ${input.round}`)
    },
    fate: () => world.fate()
  })

  const world: Pick<World, "script" | "hangs" | "confirms" | "check" | "fate"> = {
    script: speaks(2),
    hangs: false,
    confirms: true,
    check: ({ answer }) => Effect.succeed(answer),
    fate: () => "made"
  }

  const spawner = yield* Layer.buildWithScope(
    FakeSpawner.layer((_, { incarnation, key }) => {
      const RunRound = ({ start, steps, version }: Pick<Round, "start" | "steps" | "version">) =>
        Effect.suspend(() => {
          const round = { workflow: key, incarnation, start, steps, version }
          asked.push(round)
          trace.push(`ask ${start.prompt} ${steps.length + 1}`)
          return world.script(round)
        })
      const StopRound = () => Effect.suspend(() => (world.hangs ? Effect.never : Effect.succeed(true)))
      const CheckAnswer: World["check"] = (asked) => world.check(asked)
      const options = { info: { roles: ["speaker"], problem: null } }
      return world.confirms
        ? Worker.serve(WorkflowWorkerRpcs, { RunRound, StopRound, CheckAnswer }, options)
        : Worker.serve(WorkflowRpcs, { RunRound }, options)
    }),
    scope
  )

  const daemon: World["daemon"] = Effect.fnUntraced(function* (config, options = {}) {
    const own = yield* Scope.make()
    yield* Scope.addFinalizer(scope, Scope.close(own, Exit.void))
    const context = yield* Layer.buildWithScope(
      WorkflowManager.layer({
        ...options,
        onWorkerEvent: (event) =>
          Effect.sync(() => {
            events.push(event)
            Deferred.doneUnsafe(happened(event._tag), Effect.void)
          })
      }).pipe(
        Layer.provide(
          Layer.mergeAll(
            Layer.succeed(LogStore, store),
            Layer.succeed(CurrentConfig, config),
            Layer.succeed(WorkflowWorkers, { spec: (workflow) => WorkerSpec.module(`file:///${workflow}.ts`) }),
            Layer.succeedContext(spawner),
            ThreadHost.layerLocal
          )
        )
      ),
      own
    )
    const manager = Context.get(context, WorkflowManager.WorkflowManager)
    return {
      manager,
      trigger: (prompt, over = {}) =>
        manager.trigger({ workflow: "talk", prompt, cause: "manual", ...over }).pipe(
          Effect.map((triggered) => triggered.threadId),
          Effect.orDie
        ),
      die: Scope.close(own, Exit.void)
    }
  })

  const logged: World["logged"] = (threadId, type, round) =>
    store.follow({ source: "workflow", type, refId: threadId, cursor: 0 }).pipe(
      Stream.filter((entry) => round === undefined || entry.round === round),
      Stream.take(1),
      Stream.runCollect,
      Effect.map(([entry]) => {
        if (entry === undefined) throw new Error(`no ${type} of ${threadId}`)
        return entry
      }),
      Effect.orDie
    )

  return Object.assign(world, {
    store,
    trace,
    asked,
    disk,
    events,
    happened: (tag) => Deferred.await(happened(tag)),
    children: Context.get(spawner, FakeSpawner.FakeChildren),
    daemon,
    logged,
    entries: (threadId) =>
      store.query({ source: "workflow", refId: threadId, limit: 1000 }).pipe(
        Effect.map((entries) =>
          entries.map((entry) => (entry.round === null ? entry.type : `${entry.type} ${entry.round}`))
        ),
        Effect.orDie
      ),
    run: (threadId) =>
      store.run(threadId).pipe(
        Effect.orDie,
        Effect.map((run) => {
          if (run === undefined) throw new Error(`no run ${threadId}`)
          const { crashes, exitCode, reason, rounds, status } = run
          return { status, exitCode, reason, rounds, crashes }
        })
      )
  } satisfies Omit<World, "script" | "hangs" | "confirms" | "check" | "fate">)
})

/** A gate that rounds wait at until the test opens it, and that tells when somebody waits. */
export const makeGate = () => {
  const opened = Deferred.makeUnsafe<void>()
  const reached = Deferred.makeUnsafe<void>()
  return {
    open: Deferred.succeed(opened, undefined),
    reached: Deferred.await(reached),
    wait: Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(opened))
  }
}
