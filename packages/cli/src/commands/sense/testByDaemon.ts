/**
 * `nerve sense test NAME --commit` where a daemon runs: it triggers the sense, waits for what becomes of it,
 * and compares the database before and after. What another compute did in between is in the comparison too.
 */
import type { SenseConfig } from "@nerve/core/config/NerveConfig"
import type { Tick } from "@nerve/core/domain/Tick"
import { Launch } from "@nerve/core/wire/SenseRpcs"
import type * as ControlClient from "@nerve/node/control/ControlClient"
import type { Workspace } from "@nerve/node/daemon/Workspace"
import * as DatabaseDiff from "@nerve/node/sense/DatabaseDiff"
import * as SenseTrial from "@nerve/node/sense/SenseTrial"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { join } from "node:path"
import * as Output from "../../output/Output.ts"
import * as TrialView from "../../render/TrialView.ts"

export const byDaemon = Effect.fnUntraced(function* (
  client: ControlClient.ControlClient,
  workspace: Workspace,
  sense: SenseConfig
) {
  const folder = yield* SenseTrial.temporaryFolder
  const [before, after] = [join(folder, "before.db"), join(folder, "after.db")]
  const file = workspace.senseDatabase(sense.name)
  const existed = yield* SenseTrial.copy(file, before)
  const [latest] = yield* client.ListTicks({ sense: sense.name, limit: 1 })
  const now = yield* Clock.currentTimeMillis
  yield* client.TriggerSense({ sense: sense.name })
  const tick = yield* awaitTick(client, sense, latest?.id ?? 0, now)
  yield* SenseTrial.copy(file, after)
  const changes = existed ? yield* Effect.sync(() => DatabaseDiff.diff(before, after)) : null
  const outcome = yield* outcomeOf(client, tick)
  const trial = { sense, outcome, durationMs: tick.durationMs ?? 0, lines: tick.lines, changes, leftOver: false }
  return TrialView.of(trial, { committed: true, signal: tick.signal, threads: tick.threads })
}, Effect.scoped)

/** The first tick after the trigger that was computed and came to an end. */
const awaitTick = Effect.fnUntraced(function* (
  client: ControlClient.ControlClient,
  { name }: SenseConfig,
  latest: number,
  since: number
) {
  for (let turn = 0; ; turn++) {
    const ticks = yield* client.ListTicks({ sense: name, limit: 50 })
    const found = ticks
      .toReversed()
      .find(
        ({ id, outcome, startedAt }) =>
          id > latest && startedAt !== null && startedAt >= since && outcome !== "interrupted"
      )
    if (found !== undefined) return found
    if (turn === 20) yield* Output.note(`waiting until ${name} may compute; see: nerve sense list`)
    yield* Effect.sleep("100 millis")
  }
})

const decodeLaunch = Schema.decodeUnknownOption(Launch)

const outcomeOf = Effect.fnUntraced(function* (client: ControlClient.ControlClient, tick: Tick) {
  const detail = tick.detail ?? ""
  switch (tick.outcome) {
    case "no-signal":
    case "skipped":
      return { _tag: "NoSignal", reason: tick.detail } as const
    case "timeout":
      return { _tag: "TimedOut", message: detail } as const
    case "killed":
      return { _tag: "Killed", message: detail } as const
    case "signal": {
      if (tick.signal === null) return { _tag: "Signal", value: null, launches: [] } as const
      const about = { source: "sense", refId: tick.sense } as const
      const [signal] = yield* client.QueryLogs({ ...about, type: "signal", cursor: tick.signal - 1, limit: 1 })
      const entries = yield* client.QueryLogs({ ...about, cursor: tick.signal, limit: 100 })
      // Those of this signal: up to whatever the sense said next.
      const others = entries.findIndex(({ type }) => type !== "launch")
      const launches = entries
        .slice(0, others === -1 ? entries.length : others)
        .flatMap(({ payload }) => Option.toArray(decodeLaunch(payload)))
      const payload = signal?.payload
      const value = typeof payload === "object" && payload !== null && "value" in payload ? payload.value : null
      return { _tag: "Signal", value: value ?? null, launches } as const
    }
    default:
      return { _tag: "Failed", message: detail, stack: null } as const
  }
})
