/**
 * Encoders and decoders of an RPC's payload, answer and error, made once per RPC and run without a
 * fiber. Schemas that need services or time to decode have no place on the wire and die here.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as RpcSchema from "effect/rpc/RpcSchema"
import * as Schema from "effect/Schema"
import * as SchemaJITCompiler from "effect/schema/SchemaJITCompiler"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import * as wireSchema from "./wireSchema.ts"

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

/**
 * Uses after which a codec is compiled. Compiled, it is up to ten times as fast; but compiling takes a millisecond,
 * and a worker that is asked seldom should not spend it.
 */
const compileAfter = 32

/** Made at the first use: most workers use few of their methods. */
const parser = (make: () => Schema.Codec<unknown, unknown>): Codec => {
  let schema: Schema.Codec<unknown, unknown> | undefined
  let parse: Codec | undefined
  let uses = 0
  return (value) => {
    try {
      schema ??= make()
      uses += 1
      if (uses === compileAfter) {
        SchemaJITCompiler.enable(schema.ast)
        parse = undefined
      }
      parse ??= SchemaParser.decodeUnknownExit(schema)
      return parse(value)
    } catch (defect) {
      // A value nested so deep that the parser's stack ends, or a getter that throws, is a defect of that value alone.
      return Exit.die(defect)
    }
  }
}

const format = SchemaIssue.makeFormatterDefault()

/** Why a value does not fit its Schema, in words. */
export const detail = (cause: Cause.Cause<unknown>): string => {
  const issue = cause.reasons.find(Cause.isFailReason)?.error
  return SchemaIssue.isIssue(issue) ? format(issue) : Cause.pretty(cause)
}

const isVoid = (schema: Schema.Top): boolean => schema.ast._tag === "Void"

/** Nothing is written as null, and read as undefined. */
const encoder = (schema: Schema.Top): Codec =>
  isVoid(schema) ? () => Exit.succeed(null) : parser(() => wireSchema.writing(schema))
const decoder = (schema: Schema.Top): Codec =>
  isVoid(schema) ? () => Exit.void : parser(() => wireSchema.reading(schema))

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
    encodePayload: encoder(rpc.payloadSchema),
    decodePayload: decoder(rpc.payloadSchema),
    encodeSuccess: encoder(success),
    decodeSuccess: decoder(success),
    encodeError: encoder(error),
    decodeError: decoder(error)
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
