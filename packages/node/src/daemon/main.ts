/**
 * The daemon without a command line around it, for service managers: `node daemon.mjs WORKSPACE`.
 * SIGINT and SIGTERM stop it gracefully and it exits 0. What happens is in the workspace's log; stderr
 * is for what keeps it from running.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import manifest from "../../package.json" with { type: "json" }
import * as Daemon from "./Daemon.ts"
import * as Workspace from "./Workspace.ts"
import * as WorkspaceConfig from "./WorkspaceConfig.ts"

/** nerve.yaml has problems; the message lists all of them with line and column. */
class ConfigRejected extends Schema.TaggedError<ConfigRejected>()("ConfigRejected", { message: Schema.String }) {}

const main = Effect.gen(function* () {
  const workspace = yield* Workspace.find(process.argv[2] ?? process.cwd())
  const checked = yield* WorkspaceConfig.check(workspace)
  if (checked._tag === "Invalid") return yield* new ConfigRejected({ message: checked.text })
  const daemon = yield* Daemon.open({ workspace, config: checked.config, version: manifest.version })
  yield* reloadOnHangup(daemon)
  yield* daemon.stopRequested
}).pipe(Effect.scoped)

/** SIGHUP is how service managers ask for a reload. What comes of it is in the log. */
const reloadOnHangup = Effect.fnUntraced(function* (daemon: Daemon.Daemon) {
  const fork = yield* FiberSet.makeRuntime<never>()
  const listener = () => void fork(daemon.kernel.reload.request)
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("SIGHUP", listener)),
    () => Effect.sync(() => process.off("SIGHUP", listener))
  )
})

const layerLogs = Layer.mergeAll(
  Layer.succeed(Logger.LogToStderr, true),
  Layer.succeed(References.MinimumLogLevel, "Warn")
)

/** A stop that was asked for is no failure, whoever asked. */
const exitCode = (exit: Exit.Exit<unknown, unknown>): number =>
  Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1

NodeRuntime.runMain(Effect.provide(main, layerLogs), {
  disableErrorReporting: true,
  teardown: (exit, onExit) => {
    const code = exitCode(exit)
    if (Exit.isFailure(exit) && code !== 0) {
      const error = Cause.squash(exit.cause)
      process.stderr.write(`nerve: ${error instanceof Error ? error.message : String(error)}\n`)
    }
    onExit(code)
  }
})
