/**
 * The daemon's care for its log: once an hour it archives what has become cold, which changes something
 * once a day, and says so when the disk gets full. What it does and what it cannot do is in the log.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { defaultPolicy, type Policy } from "./Archive.ts"
import { LogStore, type LogStoreError } from "./LogStore.ts"
import { StoreMaintenance } from "./StoreMaintenance.ts"

/** What is cold and what too old, unless somebody asks otherwise. */
export const StorePolicy = Context.Reference<Policy>("@nerve/runtime/log/StoreRounds/StorePolicy", {
  defaultValue: () => defaultPolicy
})

/** The first round comes when a daemon that has just started has other things behind it. */
const FIRST_AFTER = "1 minute"

const EVERY = "1 hour"

/** Below this many bytes free on its disk the log warns: a few days of a busy workspace. */
export const LOW_SPACE = 256 * 1024 * 1024

/** Rounds for as long as the layer lives. */
export const layer: Layer.Layer<never, never, LogStore | StoreMaintenance> = Layer.effectDiscard(
  Effect.gen(function* () {
    const store = yield* LogStore
    const maintenance = yield* StoreMaintenance
    const policy = yield* StorePolicy
    let failing = ""
    let isLow = false

    const record = (type: string, payload: Parameters<typeof store.append>[0]["payload"]) =>
      Effect.ignore(store.append({ source: "kernel", type, refId: null, payload }))

    const archive = maintenance.archive(policy).pipe(
      Effect.matchEffect({
        onSuccess: (report) => {
          failing = ""
          const isIdle = report.days.length === 0 && report.removedDays.length === 0 && report.removedBlobs === 0
          return isIdle ? Effect.void : record("archived", { ...report })
        },
        // Told once, not every hour.
        onFailure: ({ message }: LogStoreError) => {
          if (message === failing) return Effect.void
          failing = message
          return Effect.andThen(
            Effect.logWarning(`the log could not be archived: ${message}`),
            record("archive-failed", { message })
          )
        }
      })
    )

    const lookAtSpace = Effect.gen(function* () {
      const { freeBytes } = yield* maintenance.stats
      const wasLow = isLow
      isLow = freeBytes !== null && freeBytes < LOW_SPACE
      if (!isLow || wasLow) return
      yield* Effect.logWarning(`the disk of the log is nearly full: ${freeBytes} bytes are free`)
      yield* record("low-space", { freeBytes })
    }).pipe(Effect.ignore)

    yield* Effect.andThen(lookAtSpace, archive).pipe(
      Effect.repeat(Schedule.spaced(EVERY)),
      Effect.delay(FIRST_AFTER),
      Effect.forkScoped
    )
  })
)
