/**
 * The typed client of a pool: encodes payloads, decodes answers, and leaves everything between to the
 * pool. It differs from a worker's client in what a call carries: two bounds instead of one, because
 * waiting is not running.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as Stream from "effect/Stream"
import { toExit } from "../../internal/answer.ts"
import * as itemStream from "../../internal/itemStream.ts"
import * as rpcCodec from "../../internal/rpcCodec.ts"
import type { Settlement } from "../CallTable.ts"
import type { PoolError } from "../PoolError.ts"
import { ProtocolViolation } from "../WorkerError.ts"
import type { CallOptions, PoolClient } from "../WorkerPool.ts"

/** One call, as the pool sees it. Exactly one of `settle` and `fail` is called, once, unless it is cancelled. */
export interface PoolCall {
  readonly method: string
  readonly streaming: boolean
  /** Encoded. */
  readonly payload: unknown
  readonly options: CallOptions | undefined
  /** The answer, and the name of the worker that gave it. */
  readonly settle: (frame: Settlement, worker: string) => void
  readonly chunk: (values: ReadonlyArray<unknown>, worker: string) => void
  readonly fail: (error: PoolError) => void
}

/** Where calls go. `Job` is the pool's own notion of a call that it has taken. */
export interface PoolTarget<Job> {
  readonly name: string
  readonly submit: (call: PoolCall) => Job
  readonly cancel: (job: Job) => void
  /** A stream's reader took a chunk. */
  readonly acknowledge: (job: Job) => void
}

const violation = (key: string, method: string, detail: string) =>
  Exit.fail(new ProtocolViolation({ key, method, detail }))

const encode = (name: string, codec: rpcCodec.RpcCodec, payload: unknown): Exit.Exit<unknown, unknown> => {
  const encoded = codec.encodePayload(payload)
  return Exit.isSuccess(encoded)
    ? encoded
    : violation(name, codec.method, `the payload does not fit its Schema: ${rpcCodec.detail(encoded.cause)}`)
}

type Resume = (answer: Effect.Effect<unknown, unknown>) => void

/** A call with one answer. An object with methods, because there is one for each call. */
class Request implements PoolCall {
  readonly method: string
  readonly streaming = false
  readonly payload: unknown
  readonly options: CallOptions | undefined
  readonly #codec: rpcCodec.RpcCodec
  readonly #resume: Resume

  constructor(codec: rpcCodec.RpcCodec, payload: unknown, options: CallOptions | undefined, resume: Resume) {
    this.method = codec.method
    this.payload = payload
    this.options = options
    this.#codec = codec
    this.#resume = resume
  }

  settle(frame: Settlement, worker: string): void {
    this.#resume(toExit(worker, this.#codec, frame))
  }

  chunk(): void {
    // It has no items.
  }

  fail(error: PoolError): void {
    this.#resume(Exit.fail(error))
  }
}

const request = <Job>(
  target: PoolTarget<Job>,
  codec: rpcCodec.RpcCodec,
  payload: unknown,
  options: CallOptions | undefined
): Effect.Effect<unknown, unknown> =>
  Effect.callback<unknown, unknown>((resume) => {
    const encoded = encode(target.name, codec, payload)
    if (Exit.isFailure(encoded)) return resume(encoded)
    const job = target.submit(new Request(codec, encoded.value, options, resume))
    return Effect.sync(() => target.cancel(job))
  })

const stream = <Job>(
  target: PoolTarget<Job>,
  codec: rpcCodec.RpcCodec,
  payload: unknown,
  options: CallOptions | undefined
): Stream.Stream<unknown, unknown> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const encoded = encode(target.name, codec, payload)
      if (Exit.isFailure(encoded)) return Stream.fromEffect(encoded)
      // Unbounded is bounded here: a worker that sends more than its window fails the stream (`Unread`).
      const queue = yield* Queue.unbounded<ReadonlyArray<unknown>, unknown>()
      const end = (exit: Exit.Exit<unknown, unknown>) => {
        if (Exit.isSuccess(exit)) Queue.endUnsafe(queue)
        else Queue.failCauseUnsafe(queue, exit.cause)
      }
      let worker = target.name
      const job = yield* Effect.acquireRelease(
        Effect.sync(() =>
          target.submit({
            method: codec.method,
            streaming: true,
            payload: encoded.value,
            options,
            settle: (frame, from) => end(toExit(from, codec, frame)),
            chunk: (values, from) => {
              worker = from
              Queue.offerUnsafe(queue, values)
            },
            fail: (error) => end(Exit.fail(error))
          })
        ),
        (taken) => Effect.sync(() => target.cancel(taken))
      )
      return itemStream.make(Queue.take(queue), (values) => {
        target.acknowledge(job)
        return itemStream.decode(worker, codec, values)
      })
    })
  )

/** One method per RPC of the group. */
export const make = <Job, Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  target: PoolTarget<Job>
): PoolClient<Rpcs> => {
  const methods: Record<string, unknown> = {}
  for (const [method, codec] of rpcCodec.ofGroup(group)) {
    const call = codec.streaming ? stream : request
    methods[method] = (payload: unknown, options?: CallOptions) => call(target, codec, payload, options)
  }
  // Built by name from the group, whose type says what each method takes and gives.
  return methods as unknown as PoolClient<Rpcs>
}
