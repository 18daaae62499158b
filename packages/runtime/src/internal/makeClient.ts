/**
 * Builds the typed client of a key over something that takes calls.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as Stream from "effect/Stream"
import type { CallOptions, WorkerClient } from "../ipc/WorkerClient.ts"
import type { CallTable, PendingCall } from "../supervision/CallTable.ts"
import { CallTimeout, ProtocolViolation, type WorkerError } from "../supervision/WorkerError.ts"
import * as callBound from "../supervision/internal/callBound.ts"
import { toExit } from "./answer.ts"
import * as itemStream from "./itemStream.ts"
import * as rpcCodec from "./rpcCodec.ts"
import { tooFarAhead, Unread } from "./unread.ts"

/** Where calls go. Looked up at each call, because a key's table changes when it is evicted. */
export interface Target {
  readonly key: string
  readonly table: () => CallTable
}

const ignoreChunk = () => {}

const request = (
  target: Target,
  codec: rpcCodec.RpcCodec,
  payload: unknown,
  options: CallOptions | undefined
): Effect.Effect<unknown, unknown> => {
  const call = Effect.callback<unknown, unknown>((resume) => {
    const encoded = codec.encodePayload(payload)
    if (Exit.isFailure(encoded)) {
      resume(
        Effect.fail(
          new ProtocolViolation({
            key: target.key,
            method: codec.method,
            detail: `the payload does not fit its Schema: ${rpcCodec.detail(encoded.cause)}`
          })
        )
      )
      return
    }
    const table = target.table()
    const pending: PendingCall = {
      method: codec.method,
      payload: encoded.value,
      settle: (frame) => resume(toExit(target.key, codec, frame)),
      chunk: ignoreChunk,
      fail: (error) => resume(Effect.fail(error)),
      id: undefined
    }
    table.submit(pending)
    return Effect.sync(() => table.withdraw(pending))
  })
  return bounded(target, codec, options, call)
}

const timedOut = (target: Target, codec: rpcCodec.RpcCodec, timeoutMs: number) => () =>
  new CallTimeout({ key: target.key, method: codec.method, timeoutMs })

const bounded = <A>(
  target: Target,
  codec: rpcCodec.RpcCodec,
  options: CallOptions | undefined,
  call: Effect.Effect<A, unknown>
): Effect.Effect<A, unknown> => {
  const timeoutMs = options?.timeoutMs
  return timeoutMs === undefined ? call : callBound.within(call, timeoutMs, timedOut(target, codec, timeoutMs))
}

/**
 * The next chunk of a stream, bounded: how long its reader may have to wait for the next ones. The reader's own time is its
 * own, and for what has come already nothing is timed.
 */
const nextOf = <A>(
  target: Target,
  codec: rpcCodec.RpcCodec,
  options: CallOptions | undefined,
  queue: Queue.Dequeue<A, unknown>
): Effect.Effect<A, unknown> => {
  const timeoutMs = options?.timeoutMs
  const next = Queue.take(queue)
  if (timeoutMs === undefined) return next
  const timed = callBound.within(next, timeoutMs, timedOut(target, codec, timeoutMs))
  return Effect.suspend(() => (Queue.sizeUnsafe(queue) > 0 ? next : timed))
}

const stream = (
  target: Target,
  codec: rpcCodec.RpcCodec,
  payload: unknown,
  options: CallOptions | undefined
): Stream.Stream<unknown, unknown> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const encoded = codec.encodePayload(payload)
      if (Exit.isFailure(encoded)) {
        return Stream.fail(
          new ProtocolViolation({ key: target.key, method: codec.method, detail: rpcCodec.detail(encoded.cause) })
        )
      }
      // Unbounded is bounded here: a worker that sends more than its window fails the stream.
      const queue = yield* Queue.unbounded<ReadonlyArray<unknown>, unknown>()
      const unread = new Unread()
      const table = target.table()
      const end = (exit: Exit.Exit<unknown, unknown>) =>
        Exit.isSuccess(exit)
          ? Queue.failCauseUnsafe(queue, Cause.fail(Cause.Done()))
          : Queue.failCauseUnsafe(queue, exit.cause)
      const pending: PendingCall = {
        method: codec.method,
        payload: encoded.value,
        settle: (frame) => end(toExit(target.key, codec, frame)),
        chunk: (values, characters) => {
          if (unread.add(characters)) return void Queue.offerUnsafe(queue, values)
          table.withdraw(pending)
          pending.fail(new ProtocolViolation({ key: target.key, method: codec.method, detail: tooFarAhead }))
        },
        fail: (error: WorkerError) => end(Exit.fail(error)),
        id: undefined
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => table.submit(pending)),
        () => Effect.sync(() => table.withdraw(pending))
      )
      return itemStream.make(nextOf(target, codec, options, queue), (values) => {
        unread.take()
        table.acknowledge(pending, 1)
        return itemStream.decode(target.key, codec, values)
      })
    })
  )

/** One method per RPC of the group. */
export const makeClient = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  target: Target
): WorkerClient<Rpcs> => {
  const methods: Record<string, unknown> = {}
  for (const [method, codec] of rpcCodec.ofGroup(group)) {
    methods[method] = codec.streaming
      ? (payload: unknown, options?: CallOptions) => stream(target, codec, payload, options)
      : (payload: unknown, options?: CallOptions) => request(target, codec, payload, options)
  }
  // Built by name from the group, whose type says what each method takes and gives.
  return methods as unknown as WorkerClient<Rpcs>
}
