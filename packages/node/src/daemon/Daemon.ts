/**
 * The daemon: the Layer graph of a workspace, and nothing else. Opening it takes the workspace's lock,
 * takes up what an earlier daemon left, and starts the senses; closing its scope stops all of it in
 * the reverse order.
 */
import { CurrentConfig, type NerveConfig } from "@nerve/core/config/NerveConfig"
import * as Redaction from "@nerve/core/domain/Redaction"
import type { WorkflowWorkerInit } from "@nerve/core/wire/WorkflowRpcs"
import { WorkflowWorkerInit as WorkflowWorkerInitSchema } from "@nerve/core/wire/WorkflowRpcs"
import * as ControlHandlers from "@nerve/runtime/control/ControlHandlers"
import * as Kernel from "@nerve/runtime/kernel/Kernel"
import * as Redacting from "@nerve/runtime/log/Redacting"
import { LogStore, type LogStoreError } from "@nerve/runtime/log/LogStore"
import { SenseWorkers } from "@nerve/runtime/sense/SenseWorkers"
import { SleepMeter } from "@nerve/runtime/sense/SleepMeter"
import * as StoreRounds from "@nerve/runtime/log/StoreRounds"
import * as ThreadHost from "@nerve/runtime/workflow/ThreadHost"
import { WorkflowWorkers } from "@nerve/runtime/workflow/WorkflowWorkers"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { Scope } from "effect/Scope"
import { hostname, uptime } from "node:os"
import * as ControlServer from "../control/ControlServer.ts"
import { senseWorkerSpec } from "../sense/senseWorkerSpec.ts"
import * as LogStoreSqlite from "../sqlite/LogStoreSqlite.ts"
import * as FileWatch from "../watch/FileWatch.ts"
import * as NodeSpawner from "../supervision/NodeSpawner.ts"
import * as NodeCommand from "../worker/NodeCommand.ts"
import * as CrashPoints from "./CrashPoints.ts"
import * as DaemonLock from "./DaemonLock.ts"
import * as Reloading from "./Reloading.ts"
import type { Workspace, RunDirUnusable } from "./Workspace.ts"

export interface Options {
  readonly workspace: Workspace
  /** Decoded and cross-checked nerve.yaml. */
  readonly config: NerveConfig
  readonly version: string
  /** How long threads may take to finish when the daemon stops; 30 seconds unless told. */
  readonly drainBound?: Duration.Input
}

export interface Daemon {
  readonly log: LogStore["Service"]
  readonly kernel: Kernel.Kernel["Service"]
  /** Done when somebody asked it to stop over its control socket. */
  readonly stopRequested: Effect.Effect<void>
}

/** Why a daemon does not start. Each says what to do. */
export type DaemonError =
  | DaemonLock.DaemonAlreadyRunning
  | DaemonLock.DaemonLockFailed
  | RunDirUnusable
  | LogStoreSqlite.StoreOpenFailed
  | LogStoreError
  | ControlServer.ControlServerFailed

const encodeWorkflowInit = Schema.encodeSync(Schema.toCodecJson(WorkflowWorkerInitSchema))

/** Each sense group runs in the bundled sense worker, in the workspace. */
const senseWorkers = (root: string): Layer.Layer<SenseWorkers> =>
  Layer.succeed(SenseWorkers, { spec: () => senseWorkerSpec(root) })

const workflowInit = (
  root: string,
  config: NerveConfig,
  workflow: WorkflowWorkerInit["workflow"]
): WorkflowWorkerInit => ({
  workflow,
  workspace: root,
  agents: Object.fromEntries(
    config.agents.map(({ model, name, timeoutMs, type }) => [name, { type, model, timeoutMs }])
  ),
  extract: config.extract
})

/** Each workflow runs in a bundled workflow worker of its own, in the workspace. */
const workflowWorkers = (options: Options, current: () => NerveConfig): Layer.Layer<WorkflowWorkers> =>
  Layer.succeed(WorkflowWorkers, {
    spec: (workflow) =>
      NodeCommand.entrySpec("workflowWorker", {
        cwd: options.workspace.root,
        init: encodeWorkflowInit(workflowInit(options.workspace.root, current(), workflow))
      })
  })

/** What must not reach the log: the API's token, and what workers get from the environment under a telling name. */
const secrets = ({ api, env }: NerveConfig): ReadonlyArray<string> => [
  ...(typeof api?.token === "string" ? [api.token] : []),
  ...Redaction.secretsOf(env.map((name) => [name, process.env[name]]))
]

const identity = (options: Options): Kernel.Identity => ({
  version: options.version,
  pid: process.pid,
  hostname: hostname(),
  workspace: options.workspace.root
})

/**
 * The services of a daemon, on the lock that makes it the workspace's only one.
 *
 * ```
 * Spawner ─► WorkerRuntime ─┬► SensePool ──────┐
 *                           └► WorkflowManager ├► Kernel ─► ControlHandlers ─► ControlServer
 * SqlClient ─► LogStore ────┴► (both)  ────────┘
 * ```
 */
const layer = (options: Options, current: () => NerveConfig) => {
  const kernel = Kernel.layer({ identity: identity(options), drainBound: options.drainBound })
  const ports = Layer.mergeAll(
    senseWorkers(options.workspace.root),
    workflowWorkers(options, current),
    ThreadHost.layerLocal,
    NodeSpawner.layer({ env: options.config.env, leftovers: options.workspace.processesFile }),
    Layer.succeed(CurrentConfig, options.config),
    // Counts what the machine slept, which the clock of timers does not.
    Layer.succeed(SleepMeter, { upMs: () => uptime() * 1_000 })
  )
  const redact = Redaction.make(secrets(options.config))
  return ControlServer.layer.pipe(
    Layer.provide(ControlHandlers.layer),
    Layer.provideMerge(kernel),
    Layer.provide(ports),
    Layer.merge(StoreRounds.layer),
    Layer.provideMerge(Layer.merge(Redacting.layer(redact), Redacting.layerTicks(redact))),
    Layer.provide(CrashPoints.layerLog(LogStoreSqlite.layerWithTicks(options.workspace.logFile))),
    Layer.provide(Layer.succeed(StoreRounds.StorePolicy, options.config.log))
  )
}

/** A running daemon, for as long as the scope is open. A second one in the same workspace is refused. */
export const open = Effect.fn("Daemon.open")(function* (
  options: Options
): Effect.fn.Return<Daemon, DaemonError, Scope> {
  const lock = yield* DaemonLock.acquire(options.workspace, { version: options.version })
  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  let current = options.config
  // Before anything is loaded: what changes from now on is noticed.
  const watch = yield* FileWatch.make({
    workspace: options.workspace,
    mode: () => current.watch,
    onDegraded: (reason) =>
      runFork(
        Effect.logWarning(`files are watched by looking every second, for the system has no watch left: ${reason}`)
      )
  })
  const services = yield* Layer.build(
    Layer.provide(
      layer(options, () => current),
      Layer.merge(Layer.succeed(DaemonLock.DaemonLock, lock), CrashPoints.layerBoundaries)
    )
  )
  const kernel = Context.get(services, Kernel.Kernel)
  // Before the layers close: the control socket answers until the threads have finished.
  yield* Effect.addFinalizer(() => kernel.finish)
  const onConfig = (config: NerveConfig) => void (current = config)
  yield* Effect.forkScoped(Reloading.run({ workspace: options.workspace, watch, kernel, onConfig }))
  return { log: Context.get(services, LogStore), kernel, stopRequested: kernel.stopRequested }
})
