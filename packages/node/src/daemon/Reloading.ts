/**
 * Joins what happens to a workspace's files to the kernel: reads nerve.yaml anew when it changed, finds
 * out whose code is another, and answers who asks for a reload. What follows is the kernel's business.
 */
import * as ConfigProblem from "@nerve/core/config/ConfigProblem"
import type { NerveConfig } from "@nerve/core/config/NerveConfig"
import type { Kernel } from "@nerve/runtime/kernel/Kernel"
import type { Touched } from "@nerve/runtime/kernel/Reload"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type { FileWatch } from "../watch/FileWatch.ts"
import * as Sources from "../watch/Sources.ts"
import type { Workspace } from "./Workspace.ts"
import * as WorkspaceConfig from "./WorkspaceConfig.ts"

export interface Options {
  readonly workspace: Workspace
  readonly watch: FileWatch
  readonly kernel: Kernel["Service"]
  /** Told of a configuration before it is put in force. */
  readonly onConfig: (config: NerveConfig) => void
}

/** Follows the files for as long as it runs. */
export const run = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<never> {
  const { watch, workspace } = options
  const { reload } = options.kernel
  const asked = Latch.makeUnsafe(false)
  const asking: Array<Deferred.Deferred<Effect.Success<typeof reload.request>>> = []
  const listen = Effect.forever(
    Effect.map(Queue.take(reload.requests), (request) => {
      asking.push(request)
      asked.openUnsafe()
    })
  )

  /** What was different; none when nerve.yaml cannot be used. */
  const readConfig: Effect.Effect<ReadonlyArray<string>> = WorkspaceConfig.check(workspace).pipe(
    Effect.flatMap((checked) => {
      if (checked._tag === "Invalid") return Effect.as(reload.refuse(refusal(checked.error)), [])
      options.onConfig(checked.config)
      return reload.configure(checked.config)
    }),
    Effect.catchTag("ConfigUnreadable", (error) =>
      Effect.as(reload.refuse({ message: error.message, problems: [] }), [])
    ),
    // `watch` may be another now.
    Effect.tap(() => Effect.sync(watch.hint))
  )

  /** Whose code is another. Who is new reads all code when it starts. */
  const touched = (
    kind: Sources.Unit["kind"],
    names: ReadonlyArray<{ readonly name: string }>,
    { after, before }: { readonly after: Sources.Snapshot; readonly before: Sources.Snapshot }
  ): ReadonlyArray<Touched> =>
    names.flatMap(({ name }) => {
      const files = Sources.changesOf(workspace, before, after, { kind, name })
      return files.length === 0 ? [] : [{ name, files }]
    })

  yield* Effect.forkChild(listen)
  // It may have changed between being read for the start and being watched.
  yield* readConfig
  while (true) {
    const noticed = yield* Effect.raceFirst(Effect.as(asked.await, null), watch.next)
    asked.closeUnsafe()
    const requests = asking.splice(0)
    const change = noticed ?? (yield* watch.now)
    const { senses, workflows } = reload.config()
    const changed = {
      senses: touched("sense", senses, change),
      workflows: touched("workflow", workflows, change)
    }
    const isConfig = requests.length > 0 || Sources.isConfigChanged(workspace, change.before, change.after)
    const changes = isConfig ? yield* readConfig : []
    yield* reload.codeChanged(changed)
    const outcome = {
      changes,
      senses: changed.senses.map(({ name }) => name),
      workflows: changed.workflows.map(({ name }) => name),
      config: yield* reload.state
    }
    for (const request of requests) yield* Deferred.succeed(request, outcome)
  }
})

const refusal = (error: ConfigProblem.ConfigInvalid) => {
  const [first] = error.problems
  const others = error.problems.length + error.omitted - 1
  const more = others === 0 ? "" : ` (and ${others} more)`
  return {
    message: first === undefined ? error.message : `${ConfigProblem.formatProblem(first, error.file)}${more}`,
    problems: error.problems
  }
}
