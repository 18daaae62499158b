/**
 * Encoders and decoders of an RPC's payload, answer and error, made once per RPC and run without a
 * fiber. Schemas that need services or time to decode have no place on the wire and die here.
 */
import * as Exit from "effect/Exit"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as RpcSchema from "effect/rpc/RpcSchema"
import * as Schema from "effect/Schema"
import * as SchemaParser from "effect/SchemaParser"
import type * as SchemaIssue from "effect/SchemaIssue"

type Codec = (value: unknown) => Exit.Exit<unknown, SchemaIssue.Issue>

export interface RpcCodec {
  readonly method: string
  readonly streaming: boolean
  readonly encodePayload: Codec
  readonly decodePayload: Codec
  /** Of one item when the RPC streams. */
  readonly encodeSuccess: Codec
  readonly decodeSuccess: Codec
  readonly encodeError: Codec
  readonly decodeError: Codec
}

// The type of a group's RPCs hides their schemas' services; on the wire there are none (see above).
type Wire = Schema.Codec<unknown, unknown>

/** A value nested so deep that the parser's stack ends, or a getter that throws, is a defect of that value alone. */
const total =
  (codec: Codec): Codec =>
  (value) => {
    try {
      return codec(value)
    } catch (defect) {
      return Exit.die(defect)
    }
  }

const encoder = (schema: Schema.Top): Codec =>
  total(SchemaParser.encodeUnknownExit(Schema.toCodecJson(schema) as unknown as Wire))
const decoder = (schema: Schema.Top): Codec =>
  total(SchemaParser.decodeUnknownExit(Schema.toCodecJson(schema) as unknown as Wire))
const constructor = (schema: Schema.Top): Codec => {
  const encode = encoder(schema)
  const isVoid = schema.ast._tag === "Void"
  return isVoid ? () => Exit.succeed(null) : encode
}

const lazy = (make: () => Codec): Codec => {
  let codec: Codec | undefined
  return (value) => (codec ??= make())(value)
}

const void_ = (schema: Schema.Top, codec: () => Codec, value: unknown): Codec =>
  schema.ast._tag === "Void" ? () => Exit.succeed(value) : lazy(codec)

const make = (rpc: Rpc.AnyWithProps): RpcCodec => {
  const stream = RpcSchema.isStreamSchema(rpc.successSchema) ? rpc.successSchema : undefined
  const success: Schema.Top = stream?.success ?? rpc.successSchema
  const error: Schema.Top =
    stream === undefined
      ? rpc.errorSchema
      : stream.error.ast._tag === "Never"
        ? rpc.errorSchema
        : Schema.Union([rpc.errorSchema, stream.error])
  return {
    method: rpc._tag,
    streaming: stream !== undefined,
    encodePayload: lazy(() => constructor(rpc.payloadSchema)),
    decodePayload: void_(rpc.payloadSchema, () => decoder(rpc.payloadSchema), undefined),
    encodeSuccess: void_(success, () => encoder(success), null),
    decodeSuccess: void_(success, () => decoder(success), undefined),
    encodeError: lazy(() => encoder(error)),
    decodeError: lazy(() => decoder(error))
  }
}

const cache = new WeakMap<object, ReadonlyMap<string, RpcCodec>>()

/** The codecs of all RPCs of a group, by method. */
export const ofGroup = <Rpcs extends Rpc.Any>(group: RpcGroup.RpcGroup<Rpcs>): ReadonlyMap<string, RpcCodec> => {
  const known = cache.get(group)
  if (known !== undefined) return known
  const codecs = new Map<string, RpcCodec>()
  for (const [method, rpc] of group.requests) {
    codecs.set(method, make(rpc as Rpc.Any as Rpc.AnyWithProps))
  }
  cache.set(group, codecs)
  return codecs
}
