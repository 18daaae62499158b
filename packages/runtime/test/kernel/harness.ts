/**
 * Kernels that come and go over one log: with fake workers whose computes and rounds the test scripts,
 * and a trace of what was recorded and what workers were asked, in order.
 */
import { CurrentConfig, empty, type NerveConfig } from "@nerve/core/config/NerveConfig"
import { WorkflowName } from "@nerve/core/domain/Ids"
import type { LogEntry, LogInput, LogQuery } from "@nerve/core/domain/LogEntry"
import type { ThreadMessage, ThreadStart } from "@nerve/core/domain/Thread"
import {
  type ComputeFailed,
  type ComputeOutcome,
  type ComputeTimeout,
  SenseRpcs,
  SenseWorkerInit
} from "@nerve/core/wire/SenseRpcs"
import { type RoleFailed, type RoundOutcome, WorkflowWorkerRpcs } from "@nerve/core/wire/WorkflowRpcs"
import * as Worker from "@nerve/runtime/ipc/Worker"
import * as Kernel from "@nerve/runtime/kernel/Kernel"
import { LogStore, type LogStoreError } from "@nerve/runtime/log/LogStore"
import * as LogStoreMemory from "@nerve/runtime/log/LogStoreMemory"
import { layerMemory, type TickHistory } from "@nerve/runtime/sense/TickHistory"
import { SenseWorkers } from "@nerve/runtime/sense/SenseWorkers"
import * as WorkerSpec from "@nerve/runtime/supervision/WorkerSpec"
import * as FakeSpawner from "@nerve/runtime/testing/FakeSpawner"
import * as ThreadHost from "@nerve/runtime/workflow/ThreadHost"
import { WorkflowWorkers } from "@nerve/runtime/workflow/WorkflowWorkers"
import { Context, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { meddledStore } from "../log/meddledStore.ts"
import { sense, settle } from "../sense/harness.ts"

/** Senses `cpu` and, on its signals, `alarm`; a workflow `talk`. Nothing computes by itself. */
export const config: NerveConfig = {
  ...empty,
  senses: [sense("cpu"), sense("alarm", { on: ["cpu"] })],
  workflows: [
    {
      name: WorkflowName.make("talk"),
      concurrency: 1,
      overflow: "queue",
      maxQueue: 10,
      onChange: "finish-on-old",
      budget: null
    }
  ]
}

export const identity: Kernel.Identity = { version: "1.2.3", pid: 4242, hostname: "here", workspace: "/workspace" }

/** A signal that launches workflows, each with the prompt `look`. */
export const launching = (...workflows: ReadonlyArray<string>): ComputeOutcome => ({
  _tag: "Signal",
  value: 1,
  launches: workflows.map((workflow) => ({ workflow: WorkflowName.make(workflow), prompt: "look" }))
})

export const quiet: ComputeOutcome = { _tag: "NoSignal", reason: null }

export interface Round {
  readonly start: ThreadStart
  readonly steps: ReadonlyArray<ThreadMessage>
}

/** Speaks `rounds` times, then ends. */
export const speaks =
  (rounds: number) =>
  ({ steps }: Round): Effect.Effect<RoundOutcome> =>
    Effect.succeed(
      steps.length < rounds
        ? { _tag: "Spoke", role: "speaker", content: `round ${steps.length + 1}`, meta: null }
        : { _tag: "Ended" }
    )

export interface World {
  readonly store: LogStore["Service"]
  readonly disk: { full: boolean }
  /** `SOURCE TYPE` per entry that was recorded, `compute SENSE` and `ask ROUND` per call to a worker. */
  readonly trace: Array<string>
  /** What computes and rounds come to from now on: nothing, and one round, unless told. */
  compute: (name: string) => Effect.Effect<ComputeOutcome, ComputeFailed | ComputeTimeout>
  round: (round: Round) => Effect.Effect<RoundOutcome, RoleFailed>
  /** Runs before an append. */
  before: (inputs: ReadonlyArray<LogInput>) => Effect.Effect<void>
  readonly children: FakeSpawner.FakeChildren["Service"]
  /** A kernel starts. */
  readonly start: (options?: Partial<Kernel.Options> & { readonly config?: NerveConfig }) => Effect.Effect<
    {
      readonly kernel: Kernel.Kernel["Service"]
      /** What the control handlers need. */
      readonly context: Context.Context<Kernel.Kernel | LogStore | TickHistory>
      /** Goes quietly. */
      readonly close: Effect.Effect<void>
    },
    LogStoreError
  >
  /** Waits for the first entry that matches, recorded or still to come. */
  readonly logged: (query: LogQuery) => Effect.Effect<LogEntry>
  readonly entries: (query: LogQuery) => Effect.Effect<ReadonlyArray<LogEntry>>
}

export const make: Effect.Effect<World, never, Scope.Scope> = Effect.gen(function* () {
  const memory = yield* LogStoreMemory.make
  const scope = yield* Effect.scope
  const trace: Array<string> = []
  const script: Pick<World, "compute" | "round" | "before"> = {
    compute: () => Effect.succeed(quiet),
    round: speaks(1),
    before: () => Effect.void
  }
  const { disk, store } = meddledStore(memory, {
    onAppended: ({ source, type }) => {
      trace.push(`${source} ${type}`)
    },
    before: (inputs) => script.before(inputs)
  })

  const serveSenses = Effect.gen(function* () {
    const init = yield* Worker.init(SenseWorkerInit)
    const RunCompute = ({ sense }: { readonly sense: string }) =>
      Effect.suspend(() => {
        trace.push(`compute ${sense}`)
        return script.compute(sense)
      })
    yield* Worker.serve(
      SenseRpcs,
      {
        RunCompute,
        AwaitBoot: ({ sense: name }) => Effect.succeed({ name, problem: null }),
        BootSense: ({ name }) => Effect.succeed({ name, problem: null }),
        DropSense: () => Effect.void,
        SetPeers: () => Effect.void
      },
      { info: { senses: init.senses.map(({ name }) => ({ name, problem: null })) } }
    )
  })
  const RunRound = (round: Round) =>
    Effect.suspend(() => {
      trace.push(`ask ${round.steps.length + 1}`)
      return script.round(round)
    })
  const serveRounds = Worker.serve(
    WorkflowWorkerRpcs,
    { RunRound, StopRound: () => Effect.succeed(true), CheckAnswer: ({ answer }) => Effect.succeed(answer) },
    { info: { roles: ["speaker"], problem: null } }
  )
  const spawner = yield* Layer.buildWithScope(
    FakeSpawner.layer((spec) => (spec._tag === "Module" && spec.module === "sense.js" ? serveSenses : serveRounds)),
    scope
  )
  const children = Context.get(spawner, FakeSpawner.FakeChildren)
  const ports = Layer.mergeAll(
    Layer.succeed(LogStore, store),
    layerMemory,
    Layer.succeed(SenseWorkers, { spec: () => WorkerSpec.module("sense.js") }),
    Layer.succeed(WorkflowWorkers, { spec: () => WorkerSpec.module("workflow.js") }),
    Layer.succeedContext(spawner),
    ThreadHost.layerLocal
  )

  const start: World["start"] = Effect.fnUntraced(function* (options = {}) {
    const own = yield* Scope.make()
    // Nobody moves the clock when a test is over, and a thread that never ends must not be waited for.
    yield* Scope.addFinalizer(
      scope,
      Effect.gen(function* () {
        const closing = yield* Effect.forkChild(Scope.close(own, Exit.void), { startImmediately: true })
        yield* rest
        yield* TestClock.adjust("1 hour")
        yield* Fiber.join(closing)
      })
    )
    const layer = Kernel.layer({ identity, ...options }).pipe(
      Layer.provideMerge(Layer.merge(ports, Layer.succeed(CurrentConfig, options.config ?? config)))
    )
    const context = yield* Layer.buildWithScope(layer, own)
    yield* rest
    return { kernel: Context.get(context, Kernel.Kernel), context, close: Scope.close(own, Exit.void) }
  })

  return Object.assign(script, {
    store,
    disk,
    trace,
    children,
    start,
    entries: (query: LogQuery) => Effect.orDie(store.query({ limit: 1000, ...query })),
    logged: (query: LogQuery) =>
      store.follow({ cursor: 0, ...query }).pipe(
        Stream.take(1),
        Stream.runCollect,
        Effect.map(([entry]) => {
          if (entry === undefined) throw new Error(`no entry ${JSON.stringify(query)}`)
          return entry
        }),
        Effect.orDie
      )
  })
})

/** Lets what is under way come to rest, through all layers. */
export const rest: Effect.Effect<void> = Effect.asVoid(Effect.repeat(settle, { times: 9 }))
