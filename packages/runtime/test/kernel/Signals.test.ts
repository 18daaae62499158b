import { assert, describe, it } from "@effect/vitest"
import { LogStore, LogStoreError } from "@nerve/runtime/log/LogStore"
import * as LogStoreMemory from "@nerve/runtime/log/LogStoreMemory"
import * as Signals from "@nerve/runtime/kernel/Signals"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

/** A log that fails this often before it can be read. */
const failing = (times: number, permanent: boolean) =>
  Effect.map(LogStore, (store): LogStore["Service"] => {
    let left = times
    return {
      ...store,
      query: (query) =>
        left-- > 0
          ? Effect.fail(new LogStoreError({ operation: "query", message: "disk I/O error", permanent, cause: null }))
          : store.query(query)
    }
  })

const signalled = Effect.flatMap(LogStore, (store) =>
  store.append({ source: "sense", type: "signal", refId: "cpu", payload: { value: 1, key: "k1" } })
)

describe("the key of the last signal", () => {
  it.effect("is waited for while the log cannot be read: another answer would have the signal recorded twice", () =>
    Effect.gen(function* () {
      yield* signalled
      const store = yield* failing(2, false)
      const found = yield* Effect.forkChild(Effect.provideService(Signals.lastKey("cpu"), LogStore, store))
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(found.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(found), "k1")
    }).pipe(Effect.provide(LogStoreMemory.layer))
  )

  it.effect("is none where there was no signal, or where the log is damaged", () =>
    Effect.gen(function* () {
      assert.isNull(yield* Signals.lastKey("cpu"))
      yield* signalled
      const store = yield* failing(1, true)
      assert.isNull(yield* Effect.provideService(Signals.lastKey("cpu"), LogStore, store))
    }).pipe(Effect.provide(LogStoreMemory.layer))
  )
})
