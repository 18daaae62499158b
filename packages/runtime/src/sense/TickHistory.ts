/**
 * What became of each sense's latest ticks. Of each sense and each outcome the last
 * `KEPT_PER_OUTCOME` are kept: however often a sense has nothing to say, its last errors stay.
 *
 * It is for whoever asks why, and nothing is decided by it. So recording never waits and never fails:
 * what a crash of the daemon takes along is the last few seconds of it, while signals and errors are
 * in the log before anything follows from them.
 *
 * Two implementations: `layerMemory` here, and `TickHistorySql`. One shared test suite runs against both.
 */
import type { Tick, TickInput, TickQuery } from "@nerve/core/domain/Tick"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { LogStoreError } from "../log/LogStore.ts"
import { TickRings } from "./internal/tickRings.ts"

export class TickHistory extends Context.Service<
  TickHistory,
  {
    /** Takes a tick. It is found by `query` at once. */
    readonly recordUnsafe: (tick: TickInput) => void
    /** A sense's ticks, newest first; `DEFAULT_LIMIT` of them unless told. */
    readonly query: (query: TickQuery) => Effect.Effect<ReadonlyArray<Tick>, LogStoreError>
  }
>()("@nerve/runtime/sense/TickHistory") {}

/** Ticks kept of each sense and outcome. */
export const KEPT_PER_OUTCOME = 50

/** Ticks of one `query` that names no limit. */
export const DEFAULT_LIMIT = 20

/** A history in memory, gone with its layer. */
export const makeMemory = (): TickHistory["Service"] => {
  const rings = new TickRings(KEPT_PER_OUTCOME)
  let lastId = 0
  return {
    recordUnsafe: (tick) => rings.add({ ...tick, id: ++lastId }),
    query: ({ before = Number.MAX_SAFE_INTEGER, limit = DEFAULT_LIMIT, outcome, sense }) =>
      Effect.sync(() =>
        rings
          .of(sense)
          .filter((tick) => tick.id < before && (outcome === undefined || tick.outcome === outcome))
          .sort((a, b) => b.id - a.id)
          .slice(0, Math.max(0, limit))
      )
  }
}

export const layerMemory: Layer.Layer<TickHistory> = Layer.sync(TickHistory, makeMemory)
