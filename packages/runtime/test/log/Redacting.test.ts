import { assert, describe, it } from "@effect/vitest"
import * as Redaction from "@nerve/core/domain/Redaction"
import * as Redacting from "@nerve/runtime/log/Redacting"
import { layerMemory, TickHistory } from "@nerve/runtime/sense/TickHistory"
import { Effect, Layer } from "effect"
import { tick } from "../sense/TickHistorySuite.ts"

const redact = Redaction.make(["hunter2-hunter2"])

describe("the history of ticks", () => {
  it.effect("has no secret in what went wrong and in what computes logged", () =>
    Effect.gen(function* () {
      const history = yield* TickHistory
      history.recordUnsafe(
        tick("cpu", "error", {
          detail: "401 for hunter2-hunter2",
          lines: [{ level: "Info", message: "try hunter2-hunter2", fields: { deep: { key: ["hunter2-hunter2"] } } }]
        })
      )
      const [found] = yield* history.query({ sense: "cpu" })
      assert.strictEqual(found?.detail, `401 for ${Redaction.REDACTED}`)
      assert.notInclude(JSON.stringify(found), "hunter2")
      assert.deepStrictEqual(found?.lines[0]?.fields, { deep: { key: [Redaction.REDACTED] } })
    }).pipe(Effect.provide(Layer.provide(Redacting.layerTicks(redact), layerMemory)))
  )
})
