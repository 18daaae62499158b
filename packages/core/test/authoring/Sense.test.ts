/** A module that nobody has type-checked is told what is wrong with it, not where that showed. */
import { Sense } from "@nerve/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"

/** As plain JavaScript has it. */
const make = (options: unknown): unknown => Reflect.apply(Sense.make, undefined, [options])

const compute = (): null => null

describe("Sense.make", () => {
  it.each([
    ["signal", { compute }, /`signal` must be a Schema, .*Schema\.Never/],
    ["signal", { signal: { usage: Number }, compute }, /`signal` must be a Schema/],
    ["params", { signal: Schema.Never, params: {}, compute }, /`params` must be a Schema/],
    ["state", { signal: Schema.Never, state: { initial: 1 }, compute }, /`state.schema` must be a Schema/],
    ["compute", { signal: Schema.Never }, /`compute` must be a function or an Effect/],
    ["compute", { signal: Schema.Never, compute: Promise.resolve() }, /`compute` must be a function or an Effect/]
  ])("says what is wrong with %s", (_, options, message) => {
    assert.throws(() => make(options), message)
  })

  it("takes a function and an Effect", () => {
    assert.isTrue(Sense.isSense(make({ signal: Schema.Never, compute })))
    assert.isTrue(Sense.isSense(make({ signal: Schema.Never, compute: Effect.succeed(Sense.none) })))
  })
})
