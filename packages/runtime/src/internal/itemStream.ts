/**
 * The items of a call that is declared `stream: true`, from the chunks that come of it.
 *
 * One pull is one chunk. `Stream.flattenIterable` would make a scope for each, and these hang together so that each chunk
 * is kept from being collected as young: of items of 100 KB every scavenge copied the last ten.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { ProtocolViolation } from "../supervision/WorkerError.ts"
import * as rpcCodec from "./rpcCodec.ts"

type Values = ReadonlyArray<unknown>

/** `next` gives the next chunk, and fails with `Cause.Done` at the end; `take` gives its items, and says that they were taken. */
export const make = (
  next: Effect.Effect<Values, unknown>,
  take: (values: Values) => Exit.Exit<Values, ProtocolViolation>
): Stream.Stream<unknown, unknown> => {
  const pull: Effect.Effect<Arr.NonEmptyReadonlyArray<unknown>, unknown> = Effect.flatMap(next, (values) => {
    const taken = take(values)
    if (Exit.isFailure(taken)) return Effect.failCause(taken.cause)
    return Arr.isReadonlyArrayNonEmpty(taken.value) ? Effect.succeed(taken.value) : pull
  })
  return Stream.fromPull(Effect.succeed(pull))
}

/** The items of a chunk, decoded; `key` names the worker. */
export const decode = (key: string, codec: rpcCodec.RpcCodec, values: Values): Exit.Exit<Values, ProtocolViolation> => {
  const items: Array<unknown> = []
  for (const value of values) {
    const decoded = codec.decodeSuccess(value)
    if (Exit.isFailure(decoded)) {
      return Exit.fail(new ProtocolViolation({ key, method: codec.method, detail: rpcCodec.detail(decoded.cause) }))
    }
    items.push(decoded.value)
  }
  return Exit.succeed(items)
}
