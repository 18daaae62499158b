/**
 * One compute of a sense for good, where no daemon runs: it takes the workspace's lock, so that none can start
 * meanwhile, and writes to the log what a daemon would. Workflows that the signal launches are recorded; the
 * next daemon starts them, as it does with what its predecessor had no time for.
 */
import type { NerveConfig } from "@nerve/core/config/NerveConfig"
import * as KernelLog from "@nerve/runtime/kernel/KernelLog"
import * as Signals from "@nerve/runtime/kernel/Signals"
import { LogStore, type LogStoreError } from "@nerve/runtime/log/LogStore"
import type { Spawner } from "@nerve/runtime/supervision/Spawner"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as DaemonLock from "../daemon/DaemonLock.ts"
import type { RunDirUnusable, Workspace } from "../daemon/Workspace.ts"
import * as LogStoreSqlite from "../sqlite/LogStoreSqlite.ts"
import * as SenseTrial from "./SenseTrial.ts"

export interface Options {
  readonly workspace: Workspace
  readonly config: NerveConfig
  readonly sense: NerveConfig["senses"][number]
  readonly version: string
}

/** What it came to, and the id of its signal in the log. */
export interface Committed {
  readonly trial: SenseTrial.Trial
  readonly signal: number | null
}

type Failure =
  | DaemonLock.DaemonAlreadyRunning
  | DaemonLock.DaemonLockFailed
  | RunDirUnusable
  | LogStoreSqlite.StoreOpenFailed
  | LogStoreError

export const commitCompute = (options: Options): Effect.Effect<Committed, Failure, Spawner> =>
  Effect.gen(function* () {
    yield* DaemonLock.acquire(options.workspace, { version: options.version })
    return yield* Effect.provide(compute(options), LogStoreSqlite.layer(options.workspace.logFile))
  }).pipe(Effect.scoped)

const compute = Effect.fnUntraced(function* ({
  config,
  sense,
  workspace
}: Options): Effect.fn.Return<Committed, LogStoreError, LogStore | Spawner> {
  const store = yield* LogStore
  let signal: number | null = null
  const trial = yield* SenseTrial.onOwn(
    { workspace: workspace.root, config, sense },
    {
      recorded: yield* Signals.lastKey(sense.name),
      record: Effect.fnUntraced(function* ({ key, launches, value }, { durationMs, lines }) {
        const endedAt = yield* Clock.currentTimeMillis
        const startedAt = endedAt - durationMs
        const entries = KernelLog.ofSense({
          _tag: "SignalEmitted",
          sense: sense.name,
          group: sense.group,
          cause: { _tag: "Manual" },
          dueAt: startedAt,
          startedAt,
          durationMs,
          lines,
          linesLeftOut: 0,
          value,
          launches,
          ...(key === undefined ? {} : { key })
        })
        const written = yield* store.appendAll(entries)
        signal = written[0]?.id ?? null
      })
    }
  )
  return { trial, signal }
})
