/** The codecs of RPCs against `Schema.toCodecJson`, which they must agree with, before and after they are compiled. */
import * as rpcCodec from "../../src/internal/rpcCodec.ts"
import { assert, describe, it } from "@effect/vitest"
import { Exit, Schema, SchemaParser } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import * as fc from "fast-check"

class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.Unknown }) {}

const Person = Schema.Struct({ id: Schema.Int, born: Schema.Date, tags: Schema.Array(Schema.String) })

const schemas: Readonly<Record<string, Schema.Codec<unknown, unknown>>> = {
  person: Person,
  opaque: Schema.Struct({ rows: Schema.Unknown }),
  optional: Schema.Struct({ rows: Schema.optionalKey(Schema.Unknown), other: Schema.optional(Schema.Json) }),
  json: Schema.Json,
  list: Schema.Array(Schema.Unknown),
  record: Schema.Record(Schema.String, Schema.Json),
  either: Schema.Struct({ one: Schema.Union([Schema.Struct({ id: Schema.Int }), Schema.Unknown]) }),
  short: Schema.Unknown.check(Schema.makeFilter((value) => JSON.stringify(value)?.length !== 4)),
  refused: Refused,
  map: Schema.ReadonlyMap(Schema.String, Schema.Struct({ any: Schema.Unknown }))
}

const json = fc.jsonValue({ depthSize: "small" })

const person = fc.record({
  id: fc.integer(),
  born: fc.date({ noInvalidDate: true }),
  tags: fc.array(fc.string(), { maxLength: 3 })
})

class Other {
  readonly id = 1
}

/** JSON or not, in the shapes that the schemas ask for or others. */
const leaf = fc.oneof(
  { weight: 5, arbitrary: json },
  fc.constantFrom(undefined, Number.NaN, Infinity, 1n, Symbol.iterator, new Date(0), new Other(), new Map(), () => 1)
)

const value = fc.oneof(
  leaf,
  person,
  fc.record({ rows: leaf, other: leaf, one: leaf }, { requiredKeys: [] }),
  fc.array(leaf, { maxLength: 4 }),
  fc.dictionary(fc.string(), leaf, { maxKeys: 4, noNullPrototype: false }),
  leaf.map((why) => new Refused({ why })),
  leaf.map((any) => new Map([["a", { any }]]))
)

const codecOf = (schema: Schema.Codec<unknown, unknown>) => {
  const codec = rpcCodec.ofGroup(RpcGroup.make(Rpc.make("Call", { payload: schema, success: schema }))).get("Call")
  if (codec === undefined) throw new Error("the group has no such method")
  return codec
}

/** Enough calls for a codec to be compiled. */
const manyTimes = <A>(run: () => A): ReadonlyArray<A> => Array.from({ length: 40 }, run)

const outcome = (exit: Exit.Exit<unknown, unknown>) => (Exit.isSuccess(exit) ? { value: exit.value } : "refused")

describe("rpcCodec", () => {
  for (const [name, schema] of Object.entries(schemas)) {
    const reference = Schema.toCodecJson(schema)
    const encode = SchemaParser.encodeUnknownExit(reference)
    const decode = SchemaParser.decodeUnknownExit(reference)

    it(`writes what toCodecJson writes, and refuses what it refuses: ${name}`, () => {
      const codec = codecOf(schema)
      fc.assert(
        fc.property(value, (given) => {
          assert.deepStrictEqual(outcome(codec.encodePayload(given)), outcome(encode(given)))
        }),
        { numRuns: 200 }
      )
    })

    it(`reads what toCodecJson reads, and refuses what it refuses: ${name}`, () => {
      const codec = codecOf(schema)
      fc.assert(
        fc.property(value, (given) => {
          const encoded = encode(given)
          const written = Exit.isSuccess(encoded) ? JSON.stringify(encoded.value) : "[{}]"
          const received: unknown = JSON.parse(written)
          assert.deepStrictEqual(outcome(codec.decodeSuccess(received)), outcome(decode(received)))
        }),
        { numRuns: 200 }
      )
    })
  }

  it("a cycle and a value nested too deep are refused, and a value that only repeats is not", () => {
    const codec = codecOf(Schema.Unknown)
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    let deep: unknown = 1
    for (let i = 0; i < 2000; i++) deep = [deep]
    const shared = { a: 1 }
    for (const exit of manyTimes(() => codec.encodePayload(cycle))) assert.isTrue(Exit.isFailure(exit))
    for (const exit of manyTimes(() => codec.encodePayload(deep))) assert.isTrue(Exit.isSuccess(exit))
    assert.isTrue(Exit.isSuccess(codec.encodePayload([shared, shared])))
  })

  it("says what was expected instead", () => {
    const codec = codecOf(Schema.Struct({ rows: Schema.Unknown }))
    for (const exit of manyTimes(() => codec.encodePayload({ rows: new Other() }))) {
      assert.include(Exit.isFailure(exit) ? rpcCodec.detail(exit.cause) : "", "Expected JSON value")
    }
  })

  it("nothing is written as null and read as undefined", () => {
    const codec = codecOf(Schema.Void)
    assert.deepStrictEqual(outcome(codec.encodeSuccess(undefined)), { value: null })
    assert.deepStrictEqual(outcome(codec.decodeSuccess(null)), { value: undefined })
  })
})
