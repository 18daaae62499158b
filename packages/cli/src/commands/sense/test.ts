/**
 * `nerve sense test NAME`
 */
import * as Suggest from "@nerve/core/config/Suggest"
import type { NerveConfig, SenseConfig } from "@nerve/core/config/NerveConfig"
import { UnknownSense } from "@nerve/core/wire/ControlRpcs"
import * as ControlClient from "@nerve/node/control/ControlClient"
import * as WorkspaceConfig from "@nerve/node/daemon/WorkspaceConfig"
import type { Workspace } from "@nerve/node/daemon/Workspace"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Global from "../../flags/Global.ts"
import { Failed } from "../../output/Failed.ts"
import * as Output from "../../output/Output.ts"
import { show } from "../../output/Show.ts"
import * as TrialView from "../../render/TrialView.ts"
import { version } from "../../version.ts"

export const test = Command.make(
  "test",
  {
    name: Argument.String("name").pipe(Argument.withDescription("Name of the sense")),
    commit: Flag.Boolean("commit").pipe(
      Flag.withDescription("Compute for good: keep the rows, record the signal, launch its workflows"),
      Flag.withDefault(false)
    )
  },
  ({ commit, name }) =>
    Effect.gen(function* () {
      const workspace = yield* Global.workspace
      const config = yield* valid(workspace)
      const sense = config.senses.find((other) => other.name === name)
      if (sense === undefined) {
        const known = config.senses.map((other) => other.name)
        const nearest = Suggest.nearest(name, known)
        if (nearest !== null) yield* Output.note(`did you mean ${nearest}?`)
        return yield* new UnknownSense({ sense: name, known })
      }
      const shown = yield* commit ? committed(workspace, config, sense) : tried(workspace, config, sense)
      yield* show(shown, TrialView.render)
      if (TrialView.hasFailed(shown)) return yield* new Failed({ message: "" })
    })
).pipe(Command.withDescription("Run one compute on a copy of the sense's database, and show what it would do"))

const valid = Effect.fnUntraced(function* (workspace: Workspace) {
  const checked = yield* WorkspaceConfig.check(workspace)
  return checked._tag === "Valid" ? checked.config : yield* new Failed({ message: checked.text })
})

/** Workers are heavy to load: no other command needs them. */
const modules = Effect.promise(() => import("./testModules.ts"))

const tried = Effect.fnUntraced(function* (workspace: Workspace, config: NerveConfig, sense: SenseConfig) {
  const { NodeSpawner, SenseTrial } = yield* modules
  const trial = yield* SenseTrial.onCopy({ workspace: workspace.root, config, sense }).pipe(
    Effect.provide(NodeSpawner.layer({ env: config.env }))
  )
  return TrialView.of(trial, { committed: false, signal: null, threads: [] })
})

/** By the daemon, where one runs. */
const committed = (workspace: Workspace, config: NerveConfig, sense: SenseConfig) =>
  Effect.catchTag(byDaemon(workspace, sense), "DaemonNotRunning", () => byItself(workspace, config, sense))

const byItself = Effect.fnUntraced(function* (workspace: Workspace, config: NerveConfig, sense: SenseConfig) {
  const { NodeSpawner, commitCompute } = yield* modules
  const { signal, trial } = yield* commitCompute({ workspace, config, sense, version }).pipe(
    Effect.provide(NodeSpawner.layer({ env: config.env }))
  )
  if (trial.outcome._tag === "Signal" && trial.outcome.launches.length > 0) {
    yield* Output.note("no daemon runs: the workflows start when the next one does")
  }
  return TrialView.of(trial, { committed: true, signal, threads: [] })
})

const byDaemon = (workspace: Workspace, sense: SenseConfig) =>
  ControlClient.use(workspace, (client) =>
    Effect.gen(function* () {
      const { byDaemon } = yield* modules
      return yield* byDaemon(client, workspace, sense)
    })
  )
